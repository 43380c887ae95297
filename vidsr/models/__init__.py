"""Networks. They know tensors and files of weights, and no configuration."""
