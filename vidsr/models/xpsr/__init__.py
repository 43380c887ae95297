"""XPSR (ECCV 2024): Stable Diffusion 1.5 with Semantic-Fusion Attention, on diffusers' blocks."""
