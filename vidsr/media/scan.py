"""Whether a video's frames are woven of two fields: what the stream says of them, and what is seen in them.

A frame of interlaced video holds two pictures, one in its even rows and one in its odd rows, half a frame's
time apart: what moves has edges like combs. Its rows fit those of the neighbouring frame on one side as well
as each other, and those on the other side worse, which tells the field that comes first. Film that was
telecined repeats a field in two of every five frames. A progressive frame's rows fit each other by far best.

Neither is trusted alone. Streams flag progressive pictures as interlaced, and test patterns look so.
"""

from dataclasses import dataclass
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from vidsr.media.frames import format_facts

FieldOrder = Literal["upper", "lower"]

MAX_COLUMNS = 256
"""Columns of a picture that are looked at, spread evenly: some 10 ms for a picture of 1080 rows."""
UNFLAGGED_STEP = 8
"""Of frames that say they are progressive every so many are measured. No multiple of telecine's five."""
MOVED = 15
"""Change of an 8-bit sample from frame to frame that is motion and not noise."""
COMB = 10
"""Difference of a sample from the ones above and below it, both in one direction, that makes a comb."""
MIN_MOVING = 0.002
"""Share of samples that must move for a frame to tell anything."""
MIN_ORDER = 1.1
"""How many times more combs there are with the neighbour's rows on one side than with those on the other,
where fields have an order."""
MAX_GAIN = {True: 3.0, False: 1.5}
"""How many times fewer combs a frame may have by itself than with the near neighbour's rows, to be taken for
interlaced. About 1 in interlaced video, where both are half a frame apart, and more where things move up or
down; 4 and more in progressive video. Frames that are flagged are given the benefit of the doubt."""
REPEATED = 0.35
"""A field that changes by less than this share of the other field's change is a repetition."""
MIN_MEASURED = 4
"""Frames that must tell something before it is believed."""
MOSTLY = 0.5
TELECINED = 0.25
"""Share of frames with a repeated field, and of woven ones: 0.4 in film at 24 frames a second shown at 30."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was found, as counts of frames."""

    num_frames: int
    num_flagged: int
    """Frames that the stream says are interlaced."""
    num_measured: int
    """Frames in which enough moves to tell."""
    num_upper_first: int
    """Of those, woven of two fields, the upper one shown first."""
    num_lower_first: int
    num_repeated: int
    """Of those, with one field of the frame before."""

    @property
    def is_flagged(self) -> bool:
        """True where most frames say they are interlaced."""
        return 2 * self.num_flagged > self.num_frames

    @property
    def is_combed(self) -> bool:
        """True where most of what moves is woven of two fields; of telecined film two fifths are."""
        num_combed = self.num_upper_first + self.num_lower_first
        share = TELECINED if self.is_telecined else MOSTLY
        return self.num_measured >= MIN_MEASURED and num_combed > share * self.num_measured

    @property
    def is_telecined(self) -> bool:
        """True where fields are repeated as often as film needs them to be."""
        return self.num_measured >= MIN_MEASURED and self.num_repeated > TELECINED * self.num_measured

    @property
    def field_order(self) -> FieldOrder:
        """Which field is shown first; the upper one where nothing tells."""
        return "lower" if self.num_lower_first > self.num_upper_first else "upper"


class ScanMeter:
    """Looks at all frames in order and keeps counts and one picture."""

    def __init__(self) -> None:
        self._num_frames = self._num_flagged = 0
        self._votes = {"upper": 0, "lower": 0, "progressive": 0}
        self._num_repeated = 0
        self._before: tuple[int, NDArray[np.int32]] | None = None

    def add(self, picture: av.VideoFrame) -> None:
        """Look at the next frame, planar and of one size with those before."""
        index, is_flagged = self._num_frames, picture.interlaced_frame
        self._num_frames += 1
        self._num_flagged += is_flagged
        if not is_flagged and index % UNFLAGGED_STEP > 1:
            return
        rows = _rows(picture)
        before, self._before = self._before, (index, rows)
        if before is not None and before[0] == index - 1 and len(rows) > 4:
            self._compare(before[1], rows, is_flagged=is_flagged)

    def scan(self) -> Scan:
        """Return what was found so far."""
        return Scan(
            num_frames=self._num_frames,
            num_flagged=self._num_flagged,
            num_measured=sum(self._votes.values()),
            num_upper_first=self._votes["upper"],
            num_lower_first=self._votes["lower"],
            num_repeated=self._num_repeated,
        )

    def _compare(self, before: NDArray[np.int32], now: NDArray[np.int32], *, is_flagged: bool) -> None:
        changes = np.abs(now - before)
        moves = changes[2:-2] > MOVED
        if moves.mean() < MIN_MOVING:
            return
        fields = float(changes[0::2].mean()), float(changes[1::2].mean())
        if min(fields) < REPEATED * max(fields):
            self._num_repeated += 1
        own = _num_combs(now, moves)
        upper = _num_combs(_woven(now, before), moves)
        lower = _num_combs(_woven(before, now), moves)
        near, far = sorted((upper, lower))
        if far > MIN_ORDER * near and near < MAX_GAIN[is_flagged] * own:
            self._votes["upper" if upper < lower else "lower"] += 1
        else:
            self._votes["progressive"] += 1


def _rows(picture: av.VideoFrame) -> NDArray[np.int32]:
    """Return an even number of rows of the first plane on the scale of 8 bits, some of the columns."""
    plane, facts = picture.planes[0], format_facts(picture.format.name)
    samples: NDArray[Any] = np.frombuffer(memoryview(plane), dtype=facts.dtype).reshape(plane.height, -1)
    if plane.line_size < 0:
        samples = samples[::-1]
    step = -(-plane.width // MAX_COLUMNS)
    few = samples[: plane.height // 2 * 2, : plane.width : step]
    return few.astype(np.int32) >> (facts.bits - 8)


def _woven(upper: NDArray[np.int32], lower: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the even rows of one picture between the odd rows of another."""
    both = upper.copy()
    both[1::2] = lower[1::2]
    return both


def _num_combs(rows: NDArray[np.int32], moves: NDArray[np.bool_]) -> int:
    """Return how many samples that move stick out from the rows above and below, and not from those beyond.

    The second test is the one of FFmpeg's fieldmatch.
    """
    centre, above, below = rows[2:-2], rows[1:-3], rows[3:-1]
    sticks_out = (centre - above) * (centre - below) > COMB**2
    is_comb = np.abs(rows[:-4] + 4 * centre + rows[4:] - 3 * (above + below)) > 6 * COMB
    return int((sticks_out & is_comb & moves).sum())
