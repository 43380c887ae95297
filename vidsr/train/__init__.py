"""Training of the embedded model. It imports torch, numpy, safetensors, Pillow and PyYAML, and no codec."""
