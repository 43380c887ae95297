"""Training of XPSR on Stable Diffusion 1.5; docs/training.md says how, and what the published script did."""
