"""The networks of XPSR, loaded, and where they are."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from vidsr.diffusion.latent import NoiseSchedule
from vidsr.models.xpsr.autoencoder import Autoencoder
from vidsr.models.xpsr.text import TextEncoder

Group = Literal["denoiser", "autoencoder"]


@dataclass(kw_only=True, eq=False)
class Networks:
    """Everything that is needed to restore a frame."""

    unet: Any
    """An XpsrUNet, or what stands in its place: a compiled one, or one whose answer is known."""
    controlnet: Any
    autoencoder: Autoencoder
    text: TextEncoder
    schedule: NoiseSchedule
    device: torch.device
    dtype: torch.dtype
    is_offloaded: bool = False
    """Whether only the group at work is on the device."""

    def use(self, group: Group) -> None:
        """Bring a group of networks to the device, and where memory is short the other one away from it."""
        if not self.is_offloaded:
            return
        resting = torch.device("cpu")
        denoiser, autoencoder = (self.device, resting) if group == "denoiser" else (resting, self.device)
        # First away, then here: both do not fit.
        if group == "denoiser":
            self.autoencoder.to(autoencoder)
        for network in (self.unet, self.controlnet):
            network.to(denoiser)
        self.autoencoder.to(autoencoder)

    def offload(self) -> None:
        """From now on keep only the group at work on the device."""
        self.is_offloaded = True
