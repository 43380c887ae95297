"""What a damaged source has lost, in words: what its header and its packets promise, and what came out."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from vidsr.media.copies import open_for_copying
from vidsr.media.packets import packets_of
from vidsr.types import FrameTable, MediaInfo, StreamInfo

UNSURE = Fraction(1, 2)
"""Seconds by which the end that a header states may be off where it does not list the frames."""
SOUND_PACKET = Fraction(1, 5)
"""Seconds: no packet of sound is longer, so what a list of them promises is missed by less."""
BEFORE_END = 5
"""Seconds before the promised end from which on a file is read to see where its sound ends."""

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
    lines = [*_undecoded(frames, counts), *_before_key(info, frames, counts), *_dropped(frames, counts)]
    lines += _corrupt(frames)
    if knows_end:
        lines += _missing_end(info, frames, counts)
    return tuple(lines)


def missing_sound(path: Path, info: MediaInfo) -> tuple[str, ...]:
    """Return a line for each audio stream that ends before its header says."""
    promised = {
        stream.index: end
        for stream in info.streams
        if stream.kind == "audio" and (end := _promised_end(stream, stream.time_base))
    }
    # Elsewhere the end is often an estimate from the file's size.
    if not promised or not info.container.startswith(("mov,", "matroska")):
        return ()
    ends = _ends(path, promised, start=min(promised.values()) - BEFORE_END)
    if len(ends) < len(promised):
        ends = _ends(path, promised, start=None)
    lines = []
    for stream in info.streams:
        end = ends.get(stream.index, Fraction(0))
        tolerance = SOUND_PACKET if stream.num_frames_from_header else UNSURE
        if stream.index in promised and end < promised[stream.index] - tolerance:
            lines.append(
                f"stream {stream.index} ({stream.kind} {stream.codec}): the header promises sound until "
                f"{float(promised[stream.index]):.3f} s, the last packet ends at {float(end):.3f} s"
            )
    return tuple(lines)


def _ends(path: Path, indices: Collection[int], *, start: Fraction | None) -> dict[int, Fraction]:
    """Return where the last packet of each stream ends, in seconds; read from `start` on if there is one."""
    ends: dict[int, Fraction] = {}
    with open_for_copying(path) as file:
        if start is not None and start > 0:
            try:
                file.seek(round(start * 1_000_000))
            except av.error.FFmpegError:
                return {}
        for packet in packets_of(file, [file.streams[index] for index in indices]):
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
    return ends


def num_without_key(frames: FrameTable, counts: Counts) -> int:
    """Return how many packets before the first key frame gave no frame."""
    return max(0, min(counts.num_before_key, counts.num_packets - len(frames) - counts.num_errors))


def _undecoded(frames: FrameTable, counts: Counts) -> Iterator[str]:
    if counts.num_errors:
        yield (
            f"{counts.num_errors} packet{'s' if counts.num_errors > 1 else ''} could not be read or decoded; "
            f"of {counts.num_packets} packets, {len(frames)} frames came out"
        )


def _before_key(info: MediaInfo, frames: FrameTable, counts: Counts) -> Iterator[str]:
    if number := num_without_key(frames, counts):
        start = float(int(frames.pts[0]) * info.video.time_base)
        yield (
            f"the first key frame is missing: the {number} frames before the next one are lost, "
            f"the video begins at {start:.3f} s"
        )


def _dropped(frames: FrameTable, counts: Counts) -> Iterator[str]:
    # Of packets that cannot be decoded, the numbers are not to be believed either.
    if counts.num_missing and not counts.num_errors:
        places = "one place" if counts.num_holes == 1 else f"{counts.num_holes} places"
        yield (
            f"packets are missing in {places}: by the stream's own numbering, at least {counts.num_missing} "
            f"frames; of {counts.num_packets} packets that are there, {len(frames)} frames came out"
        )


def _corrupt(frames: FrameTable) -> Iterator[str]:
    corrupt = (frames.flags & FrameTable.CORRUPT) != 0
    if count := int(corrupt.sum()):
        yield f"{count} of {len(frames)} frames damaged in part: {_runs(corrupt)}"


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
    is_short = stream.num_frames_from_header > counts.num_packets
    # What a header says of the last frame's length is not reliable, and a slide show has long ones.
    tolerance = 2 * int(frames.duration.max()) * time_base
    if end >= promised - (tolerance if is_short else max(UNSURE, tolerance)):
        return
    promise = f"until {float(promised):.3f} s"
    if is_short:
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
