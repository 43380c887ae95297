"""Small real implementations of the protocols, for tests of what stands between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vidsr.caption.protocol import ShownShot
from vidsr.errors import CaptionError
from vidsr.types import Carry, Colour, Done, Frame, Part, Prior, Shot, Work


def make_frame(index: int, *, width: int = 4, height: int = 2, value: int | None = None) -> Frame:
    """A gray frame whose samples say which frame it is."""
    plane = np.full((height, width), index % 256 if value is None else value, dtype=np.uint8)
    return Frame(
        planes=(plane,),
        pix_fmt="gray",
        width=width,
        height=height,
        colour=Colour(),
        index=index,
        pts=index,
        time_base=Fraction(1, 25),
    )


class FakeSource:
    """Frames that are made when asked for; can fail at one of them."""

    def __init__(self, *, fails_at: int | None = None) -> None:
        self._fails_at = fails_at
        self.is_closed = False

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        for index in range(start, stop):
            if index == self._fails_at:
                msg = f"frame {index} cannot be decoded"
                raise ArithmeticError(msg)
            yield make_frame(index)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeSink:
    """Keeps what was written; can fail at a frame."""

    part: Part
    fails_at: int | None = None
    frames: list[Frame] = field(default_factory=list)
    state: str = "open"

    def write(self, frame: Frame) -> None:
        if frame.index == self.fails_at:
            msg = f"frame {frame.index} cannot be encoded"
            raise ArithmeticError(msg)
        self.frames.append(frame)

    def close(self) -> int:
        self.state = "closed"
        return len(self.frames)

    def abort(self) -> None:
        self.state = "aborted"


class SumCarry(Carry):
    """The sum of all frame numbers of the part so far, lead-in included."""

    __slots__ = ("total",)

    def __init__(self, total: int) -> None:
        self.total = total


class SummingRestorer:
    """Writes into each frame what it received: a wrong carry, seed, prior or setting shows in the pixels.

    The first frame of a part takes two steps, the others one; it has a note at `notes_at`.
    """

    def __init__(self, notes_at: frozenset[int] = frozenset()) -> None:
        self.batch_sizes: list[int] = []
        self._notes_at = notes_at

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        self.batch_sizes.append(len(batch))
        return [self._restore(work) for work in batch]

    def _restore(self, work: Work) -> Done:
        before = work.carry.total if isinstance(work.carry, SumCarry) else 0
        total = before + work.frame.index
        strength = int(100 * (work.settings.strength or 0))
        fingerprint = (total * 31 + work.seed + len(work.prior.low_level) + strength) % 251
        plane: NDArray[np.uint8] = np.full_like(work.frame.planes[0], fingerprint)
        notes = (f"frame {work.frame.index}: less memory",) if work.frame.index in self._notes_at else ()
        return Done(
            frame=replace(work.frame, planes=(plane,)),
            carry=SumCarry(total),
            steps=2 if work.carry is None else 1,
            notes=notes,
        )


class CountingCaptioner:
    """Says which shot it was shown, and counts how often."""

    name = "counting/1"
    frames_per_shot = 2
    is_cacheable = True

    def __init__(self) -> None:
        self.calls: list[int] = []

    def caption(self, shot: Shot, pictures: Sequence[NDArray[np.uint8]]) -> Prior:
        self.calls.append(shot.index)
        return Prior(low_level=f"shot {shot.index} in {len(pictures)} pictures", captioner=self.name)


class BatchingCaptioner(CountingCaptioner):
    """Takes several shots at once, says what each was shown, fails at some, and knows whether it is open."""

    name = "batching/1"

    def __init__(self, *, batch_shots: int = 3, fails_at: Sequence[int] = ()) -> None:
        super().__init__()
        self.batch_shots = batch_shots
        self.batches: list[list[int]] = []
        self.is_open = False
        self._fails_at = fails_at

    def caption_shots(self, shown: Sequence[ShownShot]) -> list[Prior | CaptionError]:
        self.is_open = True
        self.batches.append([item.shot.index for item in shown])
        return [
            CaptionError(f"shot {item.shot.index}: no words came")
            if item.shot.index in self._fails_at
            else self.caption(item.shot, item.pictures)
            for item in shown
        ]

    def close(self) -> None:
        self.is_open = False
