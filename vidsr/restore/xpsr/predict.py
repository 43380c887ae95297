"""One call of the networks for all that is to be predicted at a step: tiles x guidance halves x frames."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from vidsr.diffusion.tiles import Grid
from vidsr.models.xpsr.blocks import KeyValue
from vidsr.models.xpsr.controlnet import Embedded
from vidsr.restore.xpsr.networks import Networks

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """A high-level and a low-level text as keys and values of every layer that reads them."""

    control_high: list[KeyValue]
    control_low: list[KeyValue]
    unet_high: list[KeyValue]
    unet_low: list[KeyValue]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Texts:
    """What guidance leads to, and what it leads away from."""

    wanted: Text
    unwanted: Text


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditioning:
    """What the networks are told of one frame, the same at every step."""

    grid: Grid
    embedded: Sequence[Embedded]
    """The low-resolution picture of each tile."""
    texts: Texts
    guidance_scale: float
    controls: dict[tuple[int, bool], tuple[tuple[Tensor, ...], Tensor]] = field(default_factory=dict)
    """The ControlNet's last answer for a tile and a half, where it is used again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """Asks for the noise in the latents of one frame."""

    conditioning: Conditioning
    latents: Tensor
    """[1, 4, h, w], float32."""
    timestep: int
    tiles: Sequence[int]
    """Which tiles of the grid are asked for."""
    is_guided: bool
    reuses_control: bool
    """Whether the ControlNet's last answer will do."""


Denoising = Generator[Call, Tensor, Result]
"""A frame on its way: yields what it asks for and is sent the noise, [1, 4, h, w]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Entry:
    """One row of a batch."""

    call: Call
    tile: int
    is_wanted: bool

    @property
    def text(self) -> Text:
        texts = self.call.conditioning.texts
        return texts.wanted if self.is_wanted else texts.unwanted


def run_together(frames: Sequence[Denoising[Result]], predictor: "Predictor") -> list[Result]:
    """Take all frames to their end, predicting for all of them at once."""
    results: dict[int, Result] = {}
    waiting: dict[int, Call] = {}
    answers: dict[int, Tensor | None] = dict.fromkeys(range(len(frames)))
    while answers:
        for index, answer in answers.items():
            try:
                waiting[index] = next(frames[index]) if answer is None else frames[index].send(answer)
            except StopIteration as ended:
                results[index] = ended.value
                waiting.pop(index, None)
        predicted = predictor.predict(list(waiting.values()))
        answers = dict(zip(waiting, predicted, strict=True))
    return [results[index] for index in range(len(frames))]


class Predictor:
    """Predicts noise in batches."""

    def __init__(
        self,
        networks: Networks,
        *,
        conditioning_scale: float,
        max_batch: int,
        keeps_control: bool,
        pads: bool,
    ) -> None:
        """Set up for networks that are loaded.

        Args:
            networks: UNet and ControlNet.
            conditioning_scale: of the ControlNet's residuals.
            max_batch: rows of one call.
            keeps_control: whether calls may ask for the ControlNet's last answer.
            pads: whether every batch is filled up to `max_batch`: compiled networks know few shapes.
        """
        self._networks = networks
        self._scale = conditioning_scale
        self._max_batch = max_batch
        self._keeps_control = keeps_control
        self._pads = pads
        self._joined: dict[tuple[Text, ...], Text] = {}

    def predict(self, calls: Sequence[Call]) -> list[Tensor]:
        """Return the noise that each call asks for, guidance and blending done, [1, 4, h, w] float32."""
        entries = [
            _Entry(call=call, tile=tile, is_wanted=is_wanted)
            for call in calls
            for is_wanted in ((False, True) if call.is_guided else (True,))
            for tile in call.tiles
        ]
        noise: dict[tuple[Call, bool, int], Tensor] = {}
        for group in _alike(entries):
            for first in range(0, len(group), self._max_batch):
                chunk = group[first : first + self._max_batch]
                for entry, row in zip(chunk, self._run(chunk), strict=True):
                    noise[entry.call, entry.is_wanted, entry.tile] = row
        return [_guided(call, noise) for call in calls]

    def _run(self, chunk: Sequence[_Entry]) -> Sequence[Tensor]:
        """Call the networks once; returns [4, h, w] for each entry."""
        rows = [*chunk, *[chunk[-1]] * (self._max_batch - len(chunk) if self._pads else 0)]
        networks = self._networks
        networks.use("denoiser")
        latents = torch.cat([row.call.conditioning.grid.tiles[row.tile].of(row.call.latents) for row in rows])
        latents = latents.to(networks.dtype)
        timesteps = torch.tensor([row.call.timestep for row in rows], device=latents.device)
        text = self._join([row.text for row in rows])
        residuals, mid_residual = self._control(rows, latents, timesteps, text)
        noise: Tensor = networks.unet(
            latents, timesteps, text.unet_high, text.unet_low, residuals, mid_residual
        )
        return noise[: len(chunk)].float().unbind()

    def _control(
        self, rows: Sequence[_Entry], latents: Tensor, timesteps: Tensor, text: Text
    ) -> tuple[Sequence[Tensor], Tensor]:
        """Return residuals and the middle one, new ones or those kept."""
        if rows[0].call.reuses_control:
            kept = [row.call.conditioning.controls[row.tile, row.is_wanted] for row in rows]
            columns = zip(*(residuals for residuals, _ in kept), strict=True)
            return [torch.cat(column) for column in columns], torch.cat([middle for _, middle in kept])
        embedded = Embedded(
            torch.cat([row.call.conditioning.embedded[row.tile].features for row in rows]), ()
        )
        control = self._networks.controlnet(
            latents,
            timesteps,
            text.control_high,
            text.control_low,
            embedded,
            self._scale,
            with_heads=False,
        )
        if self._keeps_control:
            for position, row in enumerate(rows):
                part = slice(position, position + 1)
                row.call.conditioning.controls[row.tile, row.is_wanted] = (
                    tuple(residual[part] for residual in control.residuals),
                    control.mid_residual[part],
                )
        return control.residuals, control.mid_residual

    def _join(self, texts: Sequence[Text]) -> Text:
        """Return the texts of all rows as one batch; the same rows come back at every step."""
        key = tuple(texts)
        if key not in self._joined:
            self._joined = {
                key: Text(
                    control_high=_stack(text.control_high for text in texts),
                    control_low=_stack(text.control_low for text in texts),
                    unet_high=_stack(text.unet_high for text in texts),
                    unet_low=_stack(text.unet_low for text in texts),
                )
            }
        return self._joined[key]


def _alike(entries: Sequence[_Entry]) -> Iterable[list[_Entry]]:
    """Return the entries in groups that can share a batch: of one tile size, and with the same need."""
    groups: dict[tuple[int, int, bool], list[_Entry]] = {}
    for entry in entries:
        tile = entry.call.conditioning.grid.tiles[entry.tile]
        groups.setdefault((tile.height, tile.width, entry.call.reuses_control), []).append(entry)
    return groups.values()


def _stack(rows: Iterable[list[KeyValue]]) -> list[KeyValue]:
    """Join the keys and values of each layer along the batch."""
    return [
        (torch.cat([key for key, _ in layer]), torch.cat([value for _, value in layer]))
        for layer in zip(*rows, strict=True)
    ]


def _guided(call: Call, noise: dict[tuple[Call, bool, int], Tensor]) -> Tensor:
    """Return what a call asked for: blended, then guided (Ho and Salimans 2022)."""

    def blended(is_wanted: bool) -> Tensor:
        predictions = torch.stack([noise[call, is_wanted, tile] for tile in call.tiles])
        return call.conditioning.grid.blend(predictions, call.tiles)

    wanted = blended(True)
    if not call.is_guided:
        return wanted
    unwanted = blended(False)
    return unwanted + call.conditioning.guidance_scale * (wanted - unwanted)
