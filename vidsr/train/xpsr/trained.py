"""Which weights of XPSR are trained: all of the ControlNet, and what it adds to the UNet."""

from torch import nn

from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet

ADDED = frozenset({"pixel_attentions", "attentions_lowlevel", "attentions_connect"})
"""Modules of the UNet that Stable Diffusion has not."""
HEADS = frozenset({"conv_degradation", "conv_degradation_mid", "to_rgbs"})
"""Modules of the ControlNet that only the degradation-free constraint reads."""


def choose_trained(
    unet: XpsrUNet, controlnet: XpsrControlNet, *, with_heads: bool
) -> dict[str, nn.Parameter]:
    """Let gradients reach what is trained and nothing else; return that as "unet.NAME" and "controlnet.NAME".

    The rest of the UNet stays what Stable Diffusion made it.
    """
    named = {}
    for prefix, network in (("controlnet", controlnet), ("unet", unet)):
        for name, parameter in network.named_parameters():
            parts = set(name.split("."))
            is_trained = bool(parts & ADDED) if network is unet else with_heads or not parts & HEADS
            parameter.requires_grad_(is_trained)
            if is_trained:
                named[f"{prefix}.{name}"] = parameter
    return named
