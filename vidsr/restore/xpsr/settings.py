"""How XPSR is run: every place where video wants something else than the paper is one option."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from vidsr.diffusion.latent import SolverName, Spacing
from vidsr.models.device import Device, DType
from vidsr.types import ShotSettings

StartName = Literal["noise", "lr", "lr-twice"]
ColourName = Literal["none", "adain", "adain-smoothed", "wavelet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class XpsrSettings:
    """The defaults are the published sampler; `recommended` is what video wants."""

    scale: int = 4
    device: Device = "cpu"
    dtype: DType = "float32"
    solver: SolverName = "ddpm"
    spacing: Spacing = "leading"
    steps: int = 20
    """Of a frame that starts from the low-resolution picture alone."""
    guidance_scale: float = 4.5
    guidance_interval: tuple[int, int] = (0, 1000)
    """Timesteps [low, high) at which guidance is on (Kynkäänniemi et al. 2024); other steps cost half."""
    conditioning_scale: float = 1.0
    start: StartName = "lr-twice"
    """From noise; from the noised latents of the low-resolution picture; or from those noised once more."""
    added_noise_level: int = 800
    """Timestep of the second noise of `lr-twice`."""
    draws_posterior: bool = True
    """Whether the picture's latents are drawn from the encoder's posterior, or are its mean."""
    tile: int = 320
    """Side in latents; tiles are used for pictures of more than tile x tile."""
    overlap: int = 8
    centred_windows: bool = False
    process_size: int = 512
    """Shortest side in pixels that the model is shown; smaller pictures are enlarged for it."""
    fit: Literal["squeeze", "pad"] = "squeeze"
    """How sides become multiples of 8."""
    quantised: bool = True
    """Whether pictures pass through 8 bits where the published code has PIL pictures."""
    colour: ColourName = "adain"
    reserve_added_prompt: bool = False
    """Keep room for the added prompt within the 77 tokens."""
    warm_start: bool = False
    strength: float = 0.3
    """Share of the steps that a frame takes which starts warm, (0, 1]."""
    min_coverage: float = 0.6
    """Share of a tile that the previous frame must account for; below it the tile takes all steps."""
    carried_noise: bool = False
    """Whether noise moves with the picture, or is drawn anew for each frame."""
    control_every: int = 1
    """Steps for which the ControlNet's answer is used (after DeepCache, Ma et al. 2024)."""
    max_batch: int = 32
    """Tiles x guidance halves in one call of the networks."""
    compiled: bool = False
    """Whether the networks go through torch.compile."""

    @classmethod
    def recommended(cls, **changes: object) -> Self:
        """Return what video wants, with `changes`."""
        video = cls(
            solver="unipc",
            spacing="trailing",
            guidance_interval=(200, 900),
            start="lr",
            draws_posterior=False,
            tile=64,
            overlap=16,
            centred_windows=True,
            fit="pad",
            quantised=False,
            colour="adain-smoothed",
            reserve_added_prompt=True,
            warm_start=True,
            carried_noise=True,
        )
        return replace(video, **changes)  # type: ignore[arg-type]  # dataclasses.replace checks the names

    def for_shot(self, shot: ShotSettings) -> Self:
        """Return the settings for a shot that has some of its own."""
        return replace(
            self,
            strength=self.strength if shot.strength is None else shot.strength,
            guidance_scale=self.guidance_scale if shot.guidance_scale is None else shot.guidance_scale,
        )
