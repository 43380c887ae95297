"""XPSR as a restorer: the frames of all open parts side by side, with the memory that there is."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from vidsr.diffusion.noise import Noise, NoiseDraws
from vidsr.errors import MemoryExhaustedError
from vidsr.media.shown import from_shown, to_shown
from vidsr.models.xpsr.autoencoder import FACTOR
from vidsr.restore.xpsr.frame import FrameRestorer, Restored
from vidsr.restore.xpsr.ladder import is_out_of_memory, ladder
from vidsr.restore.xpsr.networks import Networks
from vidsr.restore.xpsr.picture import Sizes
from vidsr.restore.xpsr.predict import Denoising, Predictor, Text, Texts, run_together
from vidsr.restore.xpsr.settings import XpsrSettings
from vidsr.restore.xpsr.warm import Previous, XpsrCarry
from vidsr.types import Done, LeadIn, Prior, Work

LEAD_IN = LeadIn(frames=5, fade=4)
"""The first frame invents the texture that later ones carry on, so that of the next part is faded in: over
four frames, each change has a 25th of the energy. The very first frame, cold, is a little apart from those
after it and is dropped."""
KEPT_TEXTS = 64
"""Priors whose keys and values are kept: as many as there may be open parts."""


class XpsrRestorer:
    """Restores a frame of each open part with the published model."""

    def __init__(self, load: Callable[[], Networks], settings: XpsrSettings) -> None:
        """Prepare; the networks are loaded when the first frame comes.

        Args:
            load: makes the networks; to be picklable where the restorer is sent elsewhere.
            settings: how they are run.
        """
        self._load = load
        self._settings = settings
        self._rungs = ladder(max_batch=settings.max_batch, tile=settings.tile)
        self._rung = next(self._rungs)
        self._texts: dict[Prior, Texts] = {}

    @functools.cached_property
    def _networks(self) -> Networks:
        return self._load()

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        """Restore the frames of `batch`; where memory runs out, the same frames again with less.

        The frames may be of shots with other settings: each has its own strength and guidance.

        Raises:
            MemoryExhaustedError: it ran out at the last rung of the ladder too.
        """
        notes: tuple[str, ...] = ()
        while True:
            try:
                return self._step(batch, notes)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler, where the failed step's tensors are still referred to.
            where = _named([work.frame.index for work in batch])
            self._step_down(where)
            # The last rung says it all: each one keeps what those above it gave up.
            notes = (f"{where}: out of memory, went on with {self._rung}",)

    @torch.inference_mode()
    def restore_pixels(
        self,
        pixels: NDArray[Any],
        prior: Prior,
        *,
        seed: int = 0,
        draw: Callable[[], Noise] | None = None,
    ) -> Restored:
        """Restore one picture.

        Args:
            pixels: uint8 or uint16 RGB [3, h, w].
            prior: what is known about it.
            seed: of the noise.
            draw: gives each field of noise in the order of the published sampler, instead of `seed`.
        """
        frame = self.coroutine(pixels, prior, draw=draw or self._draws(pixels, seed=seed, index=0))
        return run_together([frame], self.predictor())[0]

    def coroutine(
        self, pixels: NDArray[Any], prior: Prior, *, draw: Callable[[], Noise]
    ) -> Denoising[Restored]:
        """Return one picture on its way, for those who predict its noise themselves; see `restore_pixels`."""
        return self._frames(self._settings).restore(pixels, self._read(prior), draw=draw)

    @torch.inference_mode()
    def _step(self, batch: Sequence[Work], notes: tuple[str, ...]) -> Sequence[Done]:
        results = run_together([self._on_its_way(work) for work in batch], self.predictor())
        return [
            Done(
                frame=from_shown(result.pixels, like=work.frame),
                carry=result.carry if self._settings.warm_start else None,
                steps=result.steps,
                notes=notes,
            )
            for work, result in zip(batch, results, strict=True)
        ]

    def _on_its_way(self, work: Work) -> Denoising[Restored]:
        pixels, seed, index = to_shown(work.frame), work.seed, work.frame.index
        carry = work.carry if isinstance(work.carry, XpsrCarry) and self._settings.warm_start else None
        carried = None
        if carry is not None and self._settings.carried_noise:
            carried = functools.partial(_moved, carry=carry, seed=seed, index=index)
        return self._frames(self._settings.for_shot(work.settings)).restore(
            pixels,
            self._read(work.prior),
            draw=self._draws(pixels, seed=seed, index=index),
            carry=carry,
            carried=carried,
        )

    def _draws(self, pixels: NDArray[Any], *, seed: int, index: int) -> NoiseDraws:
        height, width = Sizes.of(pixels, self._settings).canvas
        return NoiseDraws((4, height // FACTOR, width // FACTOR), seed=seed, index=index)

    def _read(self, prior: Prior) -> Texts:
        """Return the prior as the networks read it: encoded once a shot."""
        if prior not in self._texts:
            if len(self._texts) == KEPT_TEXTS:
                self._texts.pop(next(iter(self._texts)))
            networks = self._networks
            prompts = networks.text.prompts(
                prior.high_level, prior.low_level, reserve_added=self._settings.reserve_added_prompt
            )
            networks.use("denoiser")
            self._texts[prior] = Texts(
                wanted=self._project(prompts.high, prompts.low),
                unwanted=self._project(prompts.high_negative, prompts.low_negative),
            )
        return self._texts[prior]

    def _project(self, high: str, low: str) -> Text:
        networks = self._networks
        states = networks.text.encode([high, low]).to(networks.device, networks.dtype)
        return Text(
            control_high=networks.controlnet.project_high(states[:1]),
            control_low=networks.controlnet.project_low(states[1:]),
            unet_high=networks.unet.project_high(states[:1]),
            unet_low=networks.unet.project_low(states[1:]),
        )

    def _frames(self, settings: XpsrSettings) -> FrameRestorer:
        return FrameRestorer(networks=self._networks, settings=settings, tile=self._rung.tile)

    def predictor(self) -> Predictor:
        """Return what predicts the noise of pictures on their way."""
        settings = self._settings
        return Predictor(
            self._networks,
            conditioning_scale=settings.conditioning_scale,
            max_batch=self._rung.max_batch,
            keeps_control=settings.control_every > 1,
            pads=settings.compiled,
        )

    def _step_down(self, where: str) -> None:
        """Take the next rung of the ladder, for good."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        rung = next(self._rungs, None)
        if rung is None:
            msg = (
                f"{where}: memory ran out even with {self._rung}; take a smaller --scale, "
                "restore.batch_parts=1, or a machine with more memory"
            )
            raise MemoryExhaustedError(msg)
        self._rung = rung
        self._networks.autoencoder.use_tiles(rung.autoencoder_tile)
        if rung.offload:
            self._networks.offload()


def _named(indices: Sequence[int]) -> str:
    """Return "frame 12" or "frames 12, 76"; a frame that fades into another part is in a step twice."""
    different = dict.fromkeys(indices)
    return f"{'frame' if len(different) == 1 else 'frames'} {', '.join(map(str, different))}"


def _moved(previous: Previous, *, carry: XpsrCarry, seed: int, index: int) -> Noise:
    """Return the noise of the frame before, moved along."""
    return previous.noise(carry, seed=seed, index=index)
