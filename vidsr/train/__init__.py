"""Training of the embedded model, with torch, numpy, safetensors, Pillow and PyYAML alone; xpsr/: of XPSR."""
