"""The index: one decode of the whole input that every later stage relies on."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from vidsr.errors import DamagedInputError
from vidsr.media.clock import Sanitised, sanitise
from vidsr.media.damage import losses_of, missing_sound
from vidsr.media.fit import ShapeChanges, fitted
from vidsr.media.frames import format_facts, luma_crc, planar_format
from vidsr.media.packets import num_broken
from vidsr.media.pictures import Pictures
from vidsr.media.scan import Scan, ScanMeter
from vidsr.types import NO_PTS, FrameTable, MediaInfo, Splice, VideoInfo

Thumbnail = NDArray[np.uint8]
"""A small picture for the shot detector: [rows, columns, 3], blue, green, red."""

THUMBNAIL_WIDTH = 128
SPLICE = Fraction(10)
"""Seconds: a longer step in a container whose clock may jump is a splice, as the ffmpeg program has it."""
ASSUMED_RATE = 25
"""Frames a second of a file that says nothing about time at all."""

_NO_MATRIX = frozenset({8, 10, 11, 12, 13, 14, 15, 16, 17})
_ASSUMED_MATRIX = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexResult:
    """What one decode of the whole input showed."""

    info: MediaInfo
    """The header's facts, the picture's corrected by the first frame."""
    frames: FrameTable
    decode_errors: int
    """Packets that could not be decoded or read."""
    losses: tuple[str, ...]
    """One line for each kind of thing that is damaged or missing; none for a sound file."""
    scan: Scan
    """Whether the frames are woven of two fields."""
    repairs: tuple[str, ...]
    """One line for each thing that was mended in the timeline or in the pictures' sizes."""
    splices: tuple[Splice, ...]
    """Where the source's clock starts anew."""


def build_index(path: Path, info: MediaInfo, *, on_frame: Callable[[int, Thumbnail], None]) -> IndexResult:
    """Decode the video once, from beginning to end.

    Args:
        path: the file.
        info: what its header says; `info.video.stream_index` is decoded.
        on_frame: called with each frame's index and thumbnail, in order.

    Raises:
        InputError: no frame can be decoded.
    """
    rows, meter = _Rows(), ScanMeter()
    make_thumbnail = _Thumbnails()
    video, changes = info.video, ShapeChanges(info.video)
    with Pictures(path, info) as pictures:
        for picture in pictures:
            index = len(rows)
            if not index:
                video = _corrected(video, picture)
                changes = ShapeChanges(video)
            changes.note(index, picture)
            shown = fitted(picture, video)
            rows.add(picture, crc=luma_crc(shown))
            meter.add(shown)
            on_frame(index, make_thumbnail(shown))
        counts, may_restart = pictures.counts, pictures.may_restart
    if not len(rows):
        msg = f"{path}: no frame of stream {video.stream_index} ({video.codec}) can be decoded"
        raise DamagedInputError(msg)
    timeline = _timeline(rows, video, may_restart=may_restart)
    info, frames = replace(info, video=video), rows.table(timeline)
    return IndexResult(
        info=info,
        frames=frames,
        decode_errors=counts.num_errors,
        losses=(
            *losses_of(info, frames, counts, knows_end=not may_restart),
            *(() if may_restart else missing_sound(path, info)),
            *_broken_sound(path, info),
        ),
        scan=meter.scan(),
        repairs=(*timeline.repairs, *changes.lines()),
        splices=tuple(
            Splice(frame=frame, shift=ticks * video.time_base) for frame, ticks in timeline.splices
        ),
    )


def _broken_sound(path: Path, info: MediaInfo) -> list[str]:
    """Return a line for each stream whose packets cannot all be copied."""
    if all(stream.codec != "aac" for stream in info.streams):
        return []
    return [
        f"stream {index}: {number} packets of sound are broken and are left out"
        for index, number in num_broken(path).items()
    ]


class _Rows:
    """The frame table while it grows: 17 bytes a frame."""

    def __init__(self) -> None:
        self._source_pts = array("q")
        self._luma_crc = array("I")
        self._flags = array("B")
        self.last_duration = 0

    def __len__(self) -> int:
        return len(self._flags)

    @property
    def source_pts(self) -> NDArray[np.int64]:
        return np.array(self._source_pts, dtype=np.int64)

    def add(self, picture: av.VideoFrame, *, crc: int) -> None:
        self._source_pts.append(NO_PTS if picture.pts is None else picture.pts)
        self._luma_crc.append(crc)
        self._flags.append(FrameTable.KEY * picture.key_frame | FrameTable.CORRUPT * picture.is_corrupt)
        self.last_duration = picture.duration

    def table(self, timeline: Sanitised) -> FrameTable:
        return FrameTable(
            pts=timeline.pts,
            source_pts=self.source_pts,
            duration=timeline.durations,
            luma_crc=np.array(self._luma_crc, dtype=np.uint32),
            flags=np.array(self._flags, dtype=np.uint8),
        )


class _Thumbnails:
    """Makes thumbnails cheaply: 0.1 ms of a 640x360 picture."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> Thumbnail:
        width = min(THUMBNAIL_WIDTH, picture.width)
        height = max(1, round(picture.height * width / picture.width))
        if picture.colorspace in _NO_MATRIX:
            # swscale refuses YCgCo and the like; the colours of a thumbnail only have to be consistent.
            picture.colorspace = _ASSUMED_MATRIX
        small = self._reformatter.reformat(
            picture, width=width, height=height, format="bgr24", interpolation=Interpolation.AREA, threads=1
        )
        plane = small.planes[0]
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(height, plane.line_size)
        return rows[:, : 3 * width].reshape(height, width, 3).copy()


def _corrected(video: VideoInfo, picture: av.VideoFrame) -> VideoInfo:
    pix_fmt = planar_format(picture.format.name)
    return replace(
        video,
        width=picture.width,
        height=picture.height,
        pix_fmt=pix_fmt,
        bit_depth=format_facts(pix_fmt).bits,
    )


def _timeline(rows: _Rows, video: VideoInfo, *, may_restart: bool) -> Sanitised:
    rate = video.average_rate_from_header or Fraction(ASSUMED_RATE)
    return sanitise(
        rows.source_pts,
        duration_hint=1 / (rate * video.time_base),
        last_duration=rows.last_duration or None,
        jump_ticks=int(SPLICE / video.time_base) if may_restart else None,
    )
