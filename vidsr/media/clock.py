"""Time as integers: rescaling, mending a timeline, and decode times for a known presentation order.

Nothing here makes a time from a frame rate where the source has one.
"""

import bisect
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vidsr.types import NO_PTS

MAX_REPAIR_LINES = 100
"""A file that has lost its times altogether does not need a line for each."""
RESTART_WINDOW = 8
"""Frames that must all lie behind before a step back is taken for a restart and not for one wrong time."""
SETTLED = 3
"""Frames that make a timeline: fewer before or after a step are wrong times themselves."""
INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sanitised:
    """A timeline that a muxer accepts."""

    pts: NDArray[np.int64]
    """Strictly increasing. [n]"""
    durations: NDArray[np.int32]
    """Ticks until the next frame, at least 1. [n]"""
    repairs: tuple[str, ...]
    """One line for each thing that was mended."""
    splices: tuple[tuple[int, int], ...] = ()
    """(frame, ticks): from this frame on the source's times were moved by so many ticks in all."""


def rescale(pts: int, source: Fraction, target: Fraction) -> int:
    """Express `pts` ticks of `source` seconds in ticks of `target` seconds, rounding half to even."""
    return round(pts * source / target)


def sanitise(
    source_pts: NDArray[np.int64],
    *,
    duration_hint: Fraction,
    last_duration: int | None = None,
    jump_ticks: int | None = None,
) -> Sanitised:
    """Return a strictly increasing timeline that differs from the source only where the source is broken.

    A frame without a time gets one between its neighbours, or at `duration_hint` from the one it
    has. A time that is not after the one before is put between its neighbours. Where the timeline
    starts anew (a splice) the rest is moved to follow on, as the ffmpeg program does. A hole
    (frames that were never recorded) is kept.

    Args:
        source_pts: in presentation order as decoded, `NO_PTS` where there is none. [n]
        duration_hint: ticks of a usual frame, above 0.
        last_duration: ticks of the last frame where the source says; `duration_hint` otherwise.
        jump_ticks: a longer step forward is a splice. None: never, which is right for every container
            whose times do not wrap or restart.
    """
    if duration_hint <= 0:
        msg = f"duration_hint must be above 0, got {duration_hint}"
        raise ValueError(msg)
    pts = np.array(source_pts, dtype=np.int64)
    repairs: list[str] = []
    splices: list[tuple[int, int]] = []
    if len(pts) and not _is_sound(pts, jump_ticks):
        splices = _rebase_restarts(pts, duration_hint, jump_ticks, repairs)
        wrong = _wrong_times(pts)
        _rebuild(pts, wrong, duration_hint)
        _push_apart(pts, wrong)
        repairs += _lines(np.asarray(source_pts), wrong)
    last = max(1, last_duration or round(duration_hint))
    durations = np.append(np.diff(pts), [last] * min(1, len(pts)))
    return Sanitised(
        pts=pts,
        durations=np.minimum(durations, INT32_MAX).astype(np.int32),
        repairs=tuple(capped(repairs)),
        splices=tuple(splices),
    )


def dts_ladder(pts: NDArray[np.int64], *, delay: int) -> NDArray[np.int64]:
    """Return decode times for packets whose presentation times, sorted, are `pts`.

    The packet at position i in decoding order gets `pts[i - delay]`. The first `delay` packets
    come earlier by the time that `delay` frames take. Strictly increasing, and never after the
    packet's own pts as long as no picture is decoded more than `delay` places late.

    Args:
        pts: strictly increasing, in ticks of the output. [n]
        delay: frames of reordering, 0 where the stream has no B-frames.
    """
    if delay < 0:
        msg = f"delay must not be negative, got {delay}"
        raise ValueError(msg)
    if not len(pts) or not delay:
        return np.array(pts, dtype=np.int64)
    reach = min(delay, len(pts) - 1)
    # A stream shorter than its delay has no pts[delay]; a tick for each missing frame keeps the order.
    lead = int(pts[reach] - pts[0]) + (delay - reach)
    return np.concatenate([pts[:delay] - lead, pts[: max(0, len(pts) - delay)]]).astype(np.int64)


def _is_sound(pts: NDArray[np.int64], jump_ticks: int | None) -> bool:
    if (pts == NO_PTS).any():
        return False
    steps = np.diff(pts)
    return bool((steps > 0).all()) and (jump_ticks is None or not bool((steps > jump_ticks).any()))


def _rebase_restarts(
    pts: NDArray[np.int64], duration_hint: Fraction, jump_ticks: int | None, repairs: list[str]
) -> list[tuple[int, int]]:
    """Move every part of the timeline that starts anew so that it follows the part before. In place.

    Returns:
        The first frame of each such part, and the ticks that it was moved by.
    """
    splices: list[tuple[int, int]] = []
    known = np.flatnonzero(pts != NO_PTS)
    for position in range(1, len(known)):
        index, before = int(known[position]), int(known[position - 1])
        step = int(pts[index]) - int(pts[before])
        is_jump = jump_ticks is not None and step > jump_ticks
        if not is_jump and step > 0:
            continue
        # One wrong time among right ones is mended by itself; a restart holds for the frames that follow.
        limit = int(pts[before]) + (jump_ticks if is_jump and jump_ticks else 0)
        behind = pts[known[max(0, position - SETTLED) : position]]
        ahead = pts[known[position : position + RESTART_WINDOW]]
        is_back = len(behind) == SETTLED and bool((ahead <= limit).all()) and ahead[0] <= behind.min()
        if len(ahead) < SETTLED or not (bool((ahead > limit).all()) if is_jump else is_back):
            continue
        shift = round(duration_hint * (index - before)) - step
        pts[known[position:]] += shift
        splices.append((index, shift + (splices[-1][1] if splices else 0)))
        repairs.append(f"frame {index}: the timeline jumps by {step} ticks; the rest is moved by {shift}")
    return splices


def _wrong_times(pts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the frames without a time, and as few others as needed to leave an increasing timeline."""
    wrong: NDArray[np.bool_] = np.equal(pts, NO_PTS)
    known = np.flatnonzero(~wrong)
    values = pts[known]
    if len(values) > 1 and not bool((np.diff(values) > 0).all()):
        kept = _longest_increasing(values.tolist())
        wrong[np.delete(known, kept)] = True
    return wrong


def _longest_increasing(values: list[int]) -> list[int]:
    """Return positions of a longest strictly increasing subsequence (patience sorting)."""
    tails: list[int] = []
    ends: list[int] = []
    previous = [-1] * len(values)
    for position, value in enumerate(values):
        place = bisect.bisect_left(tails, value)
        if place < len(tails) and tails[place] == value:
            continue  # of two equal times the first is right
        previous[position] = ends[place - 1] if place else -1
        if place == len(tails):
            tails.append(value)
            ends.append(position)
        else:
            tails[place], ends[place] = value, position
    chain = []
    position = ends[-1]
    while position >= 0:
        chain.append(position)
        position = previous[position]
    return chain[::-1]


def _rebuild(pts: NDArray[np.int64], wrong: NDArray[np.bool_], duration_hint: Fraction) -> None:
    """Fill in every wrong time from the right ones around it. In place."""
    good = np.flatnonzero(~wrong)
    if not len(good):
        pts[:] = [round(duration_hint * index) for index in range(len(pts))]
        return
    for index in np.flatnonzero(wrong).tolist():
        place = int(np.searchsorted(good, index))
        after = int(good[place]) if place < len(good) else None
        before = int(good[place - 1]) if place else None
        if before is None:
            assert after is not None  # there is at least one right time
            pts[index] = round(int(pts[after]) - duration_hint * (after - index))
        elif after is None:
            pts[index] = round(int(pts[before]) + duration_hint * (index - before))
        else:
            share = Fraction(index - before, after - before)
            pts[index] = round(int(pts[before]) + share * (int(pts[after]) - int(pts[before])))


def _push_apart(pts: NDArray[np.int64], wrong: NDArray[np.bool_]) -> None:
    """Move frames on by single ticks where their neighbours left no room between them. In place."""
    for index in range(1, len(pts)):
        if pts[index] <= pts[index - 1]:
            pts[index] = pts[index - 1] + 1
            wrong[index] = True


def _lines(source: NDArray[np.int64], wrong: NDArray[np.bool_]) -> list[str]:
    """Say what was mended, one line for each run of frames with the same fault."""
    faults = np.where(wrong, np.where(source == NO_PTS, 1, 2), 0)
    bounds = np.flatnonzero(np.diff(faults, prepend=0, append=0))
    lines = []
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if faults[start]:
            frames = f"frame {start}" if stop - start == 1 else f"frames {start} to {stop - 1}"
            what = "came without a time" if faults[start] == 1 else "had a time out of order"
            lines.append(f"{frames}: {what}; it was rebuilt from the frames around")
    return lines


def capped(lines: list[str]) -> list[str]:
    """Return the first `MAX_REPAIR_LINES` lines, and how many there are more."""
    if len(lines) <= MAX_REPAIR_LINES:
        return lines
    return [*lines[:MAX_REPAIR_LINES], f"and {len(lines) - MAX_REPAIR_LINES} repairs more"]
