"""Where an installed vidsr keeps pipelines/ and configs/; in a checkout they lie at the top."""
