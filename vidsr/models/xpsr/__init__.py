"""XPSR (ECCV 2024): Stable Diffusion 1.5 with Semantic-Fusion Attention, on diffusers' blocks."""

from vidsr.models.xpsr.checkpoint import load_controlnet, load_unet

__all__ = ["load_controlnet", "load_unet"]
