"""The embedded model xpsr-s as a restorer of video frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidsr.degradation_words import NEGATIVE_HIGH_LEVEL, Degradation, describe, known_phrases
from vidsr.diffusion.sampler import guided, sample
from vidsr.diffusion.schedule import TIMESTEPS, WARM_TIMESTEPS
from vidsr.diffusion.warm_start import DiffusionCarry, Previous, Start, cold_start, warm_start
from vidsr.errors import ConfigError
from vidsr.flow import fading_trust, trusted_share
from vidsr.media.shown import from_shown, to_shown
from vidsr.models.compact import text, weights
from vidsr.models.compact.denoiser import Condition, DenoiserNet
from vidsr.models.compact.estimate import SCALE, SIDE, pad
from vidsr.models.compact.precision import cast_parameters
from vidsr.models.compact.transform import BLOCK
from vidsr.models.compact.unet import Priors
from vidsr.models.compact.weights import CompactModel, WeightsInfo
from vidsr.models.device import TORCH_DTYPES, Device, DType
from vidsr.restore.quieten import quieten
from vidsr.types import Done, LeadIn, Prior, ShotSettings, Work

FADE = 9
"""Pixels of the result over which fusion fades out, odd."""
DEFAULT_FUSION = 0.25
MAX_STEPS = max(TIMESTEPS)
LEAD_IN = LeadIn(frames=2)
NO_NOISE = describe(Degradation(noise_sigma=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactSettings:
    """How the model is run."""

    scale: int
    device: Device
    dtype: DType
    steps: int = 0
    """Diffusion steps of a frame that starts from noise, 0 to 4; 0 gives the estimate."""
    strength: float = 0.0
    """Share of the diffused residual in the result, [0, 1]; 0 gives the estimate, without a step."""
    guidance_scale: float = 1.0
    warm_start: bool = True
    """Start from the previous frame where it can be trusted."""
    fusion: float = 0.0
    """Share of the previous frame's result in a frame that starts warm, [0, 1), where it can be trusted: the
    fusion of Upscale-A-Video (Zhou et al. 2024), in pixels and along the flow that is known already."""

    def for_shot(self, shot: ShotSettings) -> Self:
        """Return the settings for a shot that has some of its own."""
        return replace(
            self,
            strength=self.strength if shot.strength is None else shot.strength,
            guidance_scale=self.guidance_scale if shot.guidance_scale is None else shot.guidance_scale,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedWeights:
    """The weights file in the package."""

    path: Path
    digest: str
    info: WeightsInfo


def shipped_weights() -> ShippedWeights:
    """Return the weights that came with the package.

    Raises:
        MissingWeightsError: they are not there.
    """
    path = weights.SHIPPED
    return ShippedWeights(path=path, digest=weights.digest(path), info=weights.read_info(path))


def resolve_diffusion(
    info: WeightsInfo, *, steps: int | None, strength: float | None, guidance_scale: float
) -> tuple[int, float]:
    """Return steps and strength; None takes what the weights are best at.

    Raises:
        ConfigError: the two contradict each other, or the weights hold no diffusion.
    """
    if steps is not None and steps > MAX_STEPS:
        msg = f"restore.steps={steps}: xpsr-s takes 0 to {MAX_STEPS}"
        raise ConfigError(msg)
    steps = (0 if strength == 0 else info.steps) if steps is None else steps
    strength = (info.strength if steps else 0.0) if strength is None else strength
    if not info.steps and (steps or strength or guidance_scale != 1):
        msg = (
            "restore.steps, restore.strength and restore.guidance_scale are of the diffusion, and the "
            "weights of this version hold the estimate alone; leave them out"
        )
        raise ConfigError(msg)
    if (steps == 0) != (strength == 0) or (guidance_scale != 1 and not steps):
        msg = (
            f"restore.steps={steps}, restore.strength={strength:g} and restore.guidance_scale="
            f"{guidance_scale:g} contradict each other: the estimate alone has 0, 0 and 1, "
            "diffusion has steps and strength above 0"
        )
        raise ConfigError(msg)
    return steps, strength


class CompactRestorer:
    """Restores frames: an estimate each, and a residual diffused from noise or from the frame before."""

    def __init__(self, model: CompactModel, settings: CompactSettings) -> None:
        self._settings = settings
        dtype = TORCH_DTYPES[settings.dtype]
        for network in (model.estimate, model.denoiser):
            if network is not None:
                network.to(device=settings.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
                cast_parameters(network, dtype)
        self._estimate = model.estimate
        self._denoiser = model.denoiser
        self._read: tuple[Prior, tuple[Priors, Priors, Priors]] | None = None

    @classmethod
    def load(cls, path: Path, settings: CompactSettings) -> Self:
        """Read the weights at `path` and make a restorer of them."""
        return cls(weights.load(path)[0], settings)

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        """Restore the frames one after the other.

        A convolution over a larger batch may sum in another order, and a CPU gains nothing by it: frame by
        frame the result depends on the frame alone, to the bit.
        """
        return [self._restore(work) for work in batch]

    def restore_pixels(self, pixels: NDArray[Any], prior: Prior, *, seed: int = 0) -> NDArray[Any]:
        """Restore one picture.

        Args:
            pixels: [3, H, W] RGB, uint8 or uint16.
            prior: what is known about it.
            seed: of the noise.

        Returns:
            [3, scale * H, scale * W] of the same type.
        """
        return self._run(pixels, prior, self._settings, seed=seed, index=0, carry=None)[0]

    def _restore(self, work: Work) -> Done:
        frame = work.frame
        carry = work.carry if isinstance(work.carry, DiffusionCarry) else None
        settings = self._settings.for_shot(work.settings)
        restored, carry = self._run(
            to_shown(frame), work.prior, settings, seed=work.seed, index=frame.index, carry=carry
        )
        made = from_shown(restored, like=frame)
        steps = 0 if carry is None else carry.steps
        return Done(frame=made, carry=carry if settings.warm_start else None, steps=steps)

    @torch.inference_mode()
    def _run(
        self,
        pixels: NDArray[Any],
        prior: Prior,
        settings: CompactSettings,
        *,
        seed: int,
        index: int,
        carry: DiffusionCarry | None,
    ) -> tuple[NDArray[Any], DiffusionCarry | None]:
        """Return the restored pixels and what the next frame starts from."""
        top = np.iinfo(pixels.dtype).max
        frame = pixels.astype(np.float32) / np.float32(top)
        start: Start | None = None
        if self._denoiser is not None and settings.steps and settings.strength:
            seen = np.rint(pixels / (top / 255)).astype(np.uint8)
            start = None if carry is None else warm_start(carry, seen, seed=seed, index=index)
            start = start or cold_start(seen, scale=SCALE, seed=seed, index=index)
            frame = _quietened(frame, start.previous, prior)
        lr = torch.from_numpy(frame)[None].to(settings.device).contiguous(memory_format=torch.channels_last)
        plain, priors, negative = self._priors(prior)
        image = self._estimate(lr, plain).image
        after: DiffusionCarry | None = None
        if self._denoiser is not None and start is not None:
            residual = self._diffuse(
                self._denoiser, lr, image, start, priors, negative, guidance_scale=settings.guidance_scale
            )
            added = self._denoiser.added(residual, image)
            drawn = image + added
            image = self._fused(image + settings.strength * added, start.previous)
            after = DiffusionCarry(
                seen=seen,
                lr=frame,
                sample=_to_numpy(drawn),
                result=_to_numpy(image),
                noise=start.noise,
                steps=len(self._timesteps(start)),
            )
        image = reduce_to(image, settings.scale)[0]
        levels = (image.clamp(0, 1) * float(top)).round_().to("cpu", torch.float32)
        return levels.numpy().astype(pixels.dtype), after

    def _fused(self, image: Tensor, previous: Previous | None) -> Tensor:
        """Mix in the previous result where it can be trusted, fading out towards where it cannot."""
        if previous is None or not self._settings.fusion:
            return image
        before = torch.from_numpy(previous.result)[None].to(image.device)
        share = torch.from_numpy(self._settings.fusion * fading_trust(previous.trusted, FADE)).to(
            image.device
        )
        return image + share * (before - image)

    def _timesteps(self, start: Start) -> tuple[int, ...]:
        return (TIMESTEPS if start.previous is None else WARM_TIMESTEPS)[self._settings.steps]

    def _diffuse(
        self,
        denoiser: DenoiserNet,
        lr: Tensor,
        estimate: Tensor,
        start: Start,
        priors: Priors,
        negative: Priors,
        *,
        guidance_scale: float,
    ) -> Tensor:
        """Return r0, [1, 192, h/2, w/2]."""
        device = self._settings.device
        noise = denoiser.transform.spectrum(pad(torch.from_numpy(start.noise)[None].to(device), SCALE))
        trust, previous = torch.zeros_like(noise[:, :1]), torch.zeros_like(noise)
        if start.previous is not None:
            share = trusted_share(start.previous.trusted, BLOCK, side=SCALE * SIDE)
            trust = torch.from_numpy(share)[None, None].to(device)
            before = torch.from_numpy(start.previous.sample)[None].to(device)
            previous = trust * denoiser.residual(before, estimate)
        condition = Condition(lr, estimate, previous, trust)
        timesteps = self._timesteps(start)
        first = torch.full((1,), timesteps[0], device=device)
        return sample(
            guided(
                lambda noisy, timestep: denoiser(noisy, timestep, condition, priors),
                lambda noisy, timestep: denoiser(noisy, timestep, condition, negative),
                guidance_scale,
            ),
            denoiser.schedule.noised(previous, noise, first),
            timesteps=timesteps,
            schedule=denoiser.schedule,
        )

    def _priors(self, prior: Prior) -> tuple[Priors, Priors, Priors]:
        """Return the prior as the estimate reads it, as the denoiser does, and what guidance leads away from.

        The estimate was trained without content, so it is told none.
        """
        # The prior is the same for all frames of a shot: its text is read once.
        if self._read is None or self._read[0] != prior:
            low = known_phrases(prior.low_level)
            contents = ("", prior.high_level, NEGATIVE_HIGH_LEVEL)
            plain, wanted, unwanted = (self._encode(content, low) for content in contents)
            self._read = (prior, (plain, wanted, unwanted))
        return self._read[1]

    def _encode(self, high: str, low: str) -> Priors:
        device = self._settings.device
        high_ids, high_mask = (part.to(device) for part in text.tokenize([high]))
        low_ids, low_mask = (part.to(device) for part in text.tokenize([low]))
        return self._estimate.read((high_ids, high_mask), (low_ids, low_mask))


def _quietened(frame: NDArray[np.float32], previous: Previous | None, prior: Prior) -> NDArray[np.float32]:
    """Average noise away, unless there is no frame before or the prior denies that there is noise."""
    if previous is None or NO_NOISE in known_phrases(prior.low_level):
        return frame
    return quieten(frame, previous.lr, previous.trusted[::SCALE, ::SCALE])


def _to_numpy(image: Tensor) -> NDArray[np.float32]:
    """Return the only picture of [1, 3, H, W] as float32 [3, H, W]."""
    planes: NDArray[np.float32] = image[0].to("cpu", torch.float32).numpy()
    return planes


def reduce_to(image: Tensor, scale: int) -> Tensor:
    """Average [B, C, 4h, 4w] down to [B, C, scale * h, scale * w] by exact area weights.

    Costs as much as scale 4 and a little: the network has one size.
    """
    if scale == SCALE:
        return image
    for dim in (2, 3):
        # Each output sample covers 4/scale input samples: repeat to a common grid, then average.
        fine = image.repeat_interleave(scale, dim=dim).transpose(dim, -1)
        image = F.avg_pool2d(fine, (1, SCALE)).transpose(dim, -1)
    return image
