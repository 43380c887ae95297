"""What a damaged source has lost, in words: what its header and its packets promise, and what came out."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vidsr.types import FrameTable, MediaInfo, StreamInfo

MAX_RUNS = 10
"""Runs of damaged frames that are named; a ruined film does not need a line of a thousand numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a decoder met on its way from one end of a file to the other."""

    num_packets: int
    """That are to be shown."""
    num_before_key: int
    """Of these, before the first key frame."""
    num_errors: int
    """Packets that were refused, and reads that failed."""
    num_holes: int = 0
    num_missing: int = 0
    """Reference frames that are missing in the stream's own numbering, and in how many places."""


def losses_of(info: MediaInfo, frames: FrameTable, counts: Counts, *, knows_end: bool) -> tuple[str, ...]:
    """Return a line for each kind of loss; none for a sound file.

    Args:
        info: what the header says.
        frames: that came out.
        counts: of the pass that they came out of.
        knows_end: the header's end is more than an estimate from the first and last times in the file.
    """
    lines = [*_undecoded(frames, counts), *_before_key(info, frames, counts), *_dropped(counts)]
    lines += _corrupt(frames)
    if knows_end:
        lines += _missing_end(info, frames, counts)
    return tuple(lines)


def num_without_key(frames: FrameTable, counts: Counts) -> int:
    """Return how many packets before the first key frame gave no frame."""
    return max(0, min(counts.num_before_key, counts.num_packets - len(frames) - counts.num_errors))


def _undecoded(frames: FrameTable, counts: Counts) -> Iterator[str]:
    if counts.num_errors:
        yield (
            f"{counts.num_errors} packets could not be read or decoded; "
            f"of {counts.num_packets} packets, {len(frames)} frames came out"
        )


def _before_key(info: MediaInfo, frames: FrameTable, counts: Counts) -> Iterator[str]:
    if number := num_without_key(frames, counts):
        start = float(int(frames.pts[0]) * info.video.time_base)
        yield (
            f"the first key frame is missing: the {number} frames before the next one are lost, "
            f"the video begins at {start:.3f} s"
        )


def _dropped(counts: Counts) -> Iterator[str]:
    # Of packets that cannot be decoded, the numbers are not to be believed either.
    if counts.num_missing and not counts.num_errors:
        places = "one place" if counts.num_holes == 1 else f"{counts.num_holes} places"
        yield (
            f"packets are missing in {places}: by the stream's own numbering, at least {counts.num_missing} "
            "frames; those after them are built on what is left"
        )


def _corrupt(frames: FrameTable) -> Iterator[str]:
    corrupt = (frames.flags & FrameTable.CORRUPT) != 0
    if count := int(corrupt.sum()):
        yield f"{count} of {len(frames)} frames are damaged in part: {_runs(corrupt)}"


def _runs(marked: NDArray[np.bool_]) -> str:
    """Return the numbers of the marked frames: "40 to 43, 55"."""
    bounds = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    names = [f"{start}" if stop - start == 1 else f"{start} to {stop - 1}" for start, stop in bounds]
    more = ["and more"] if len(names) > MAX_RUNS else []
    return ", ".join([*names[:MAX_RUNS], *more])


def _missing_end(info: MediaInfo, frames: FrameTable, counts: Counts) -> Iterator[str]:
    """Yield a line if the header promises more video than there is: the file was cut off."""
    stream = next(stream for stream in info.streams if stream.index == info.video.stream_index)
    time_base = info.video.time_base
    promised = _promised_end(stream, time_base)
    end = int(frames.pts[-1] + frames.duration[-1]) * time_base
    # What a header says of the last frame's length is not reliable, and a slide show has long ones.
    tolerance = max(Fraction(1, 2), 2 * int(frames.duration.max()) * time_base)
    if end >= promised - tolerance:
        return
    promise = f"until {float(promised):.3f} s"
    if stream.num_frames_from_header > counts.num_packets:
        promise += f" in {stream.num_frames_from_header} frames"
    yield (
        f"the header promises video {promise}; there are {len(frames)} frames, "
        f"the last one ends at {float(end):.3f} s"
    )


def _promised_end(stream: StreamInfo, time_base: Fraction) -> Fraction:
    if stream.duration_from_header is not None:
        return ((stream.start_pts_from_header or 0) + stream.duration_from_header) * time_base
    return _matroska_end(dict(stream.metadata).get("DURATION", ""))


def _matroska_end(tag: str) -> Fraction:
    """Return the seconds in the tag that FFmpeg and mkvmerge write ("00:01:02.500000000"), 0 without one."""
    try:
        hours, minutes, seconds = tag.split(":")
        return Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return Fraction(0)
