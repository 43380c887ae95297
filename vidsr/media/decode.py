"""Frames of a video by their number in the plan's table, exact however the file seeks."""

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import av
import numpy as np
from numpy.typing import NDArray

from vidsr.errors import InputError
from vidsr.media.fit import fitted
from vidsr.media.frames import from_av, luma_crc
from vidsr.media.pictures import Pictures
from vidsr.types import NO_PTS, Frame, FrameTable, MediaInfo

BACK_OFFS = (0, 2, 6, 20)
"""Seconds before the wanted frame that are sought to, one after the other. A transport stream may land behind
the target; and what comes right after a key frame may be decoded wrongly until the next one."""
LOOK_AHEAD = 64
"""Frames that are rather decoded and dropped than sought over."""
KEPT_FRAMES = 8
"""Last frames that are kept, so that a part's lead-in behind the part before needs no seek."""


class VideoSource(Protocol):
    """Gives frames by number. For one thread at a time."""

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield frames [start, stop) of the frame table, as the index saw them.

        Raises:
            InputError: a frame is not the one that the index saw.
        """
        ...

    def close(self) -> None:
        """Let the file go."""
        ...


def open_source(path: Path, info: MediaInfo, table: FrameTable, *, linear: bool) -> "PyAVSource":
    """Open the input of a plan.

    Args:
        path: the file that the index was made of.
        info: from the index.
        table: from the index.
        linear: never seek, decode from the first frame on: a seek into damaged input gives other pictures.
    """
    return PyAVSource(path, info, table, linear=linear)


class PyAVSource:
    """Decodes with FFmpeg in this process; every frame is held against the index's CRC."""

    def __init__(
        self,
        path: Path,
        info: MediaInfo,
        table: FrameTable,
        *,
        linear: bool,
        time_base: Fraction | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            path: the file that the index was made of.
            info: from the index.
            table: from the index.
            linear: never seek.
            time_base: seconds per tick of the table's times, where they are not those of the file.
        """
        self._path = path
        self._varies = _varying(table) if linear else np.zeros(len(table), dtype=np.bool_)
        self._info = info
        self._table = table
        self._is_linear = linear
        self._time_base = info.video.time_base if time_base is None else time_base
        self._decoder: Pictures | None = None
        self._running: Iterator[av.VideoFrame] = iter(())
        self._position: int | None = None
        """Number of the picture that `_running` yields next, None where that is unknown."""
        self._kept: deque[Frame] = deque(maxlen=KEPT_FRAMES)

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Close the file."""
        self.close()

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield frames [start, stop). A request that follows on the last one goes on where that ended."""
        if not 0 <= start <= stop <= len(self._table):
            msg = f"frames {start} to {stop} are not within the {len(self._table)} of {self._path}"
            raise ValueError(msg)
        index = start
        for frame in tuple(self._kept):
            if frame.index == index < stop:
                yield frame
                index += 1
        while index < stop:
            before = index
            for frame in self._decoded_from(index, stop):
                index = frame.index + 1
                yield frame
            if index == before:
                msg = f"{self._path}: frame {index} differs from the plan's: the file has changed; plan again"
                raise InputError(msg)

    def close(self) -> None:
        """Let the file go. May be called twice."""
        if self._decoder is not None:
            self._decoder.close()
        self._decoder, self._running, self._position = None, iter(()), None
        self._kept.clear()

    def _decoded_from(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield frames from `start` on until one differs from the index: none if no way leads to `start`."""
        for approach in self._approaches(start):
            picture = approach()
            if picture is None or not self._is_frame(picture, start):
                self._position = None
                continue
            yield self._frame(picture, start)
            for index in range(start + 1, stop):
                picture = next(self._running, None)
                if picture is None or not self._is_frame(picture, index):
                    self._position = None
                    return
                yield self._frame(picture, index)
            return

    def _approaches(self, index: int) -> Iterator[Callable[[], av.VideoFrame | None]]:
        """Yield ways to picture `index`, the cheapest first."""
        position = self._position
        can_seek = not self._is_linear and int(self._table.source_pts[index]) != NO_PTS
        is_behind = position is not None and position <= index
        if position is not None and is_behind and (not can_seek or not self._is_far(position, index)):
            yield lambda: self._skip(index - position)
        if self._decoder is None and index <= LOOK_AHEAD:
            yield lambda: self._from_beginning(index)
        if can_seek:
            for seconds in BACK_OFFS:
                yield lambda seconds=seconds: self._seek(index, Fraction(seconds))  # type: ignore[misc]
        yield lambda: self._from_beginning(index)

    def _is_far(self, position: int, index: int) -> bool:
        """Return whether seeking beats decoding on: a key frame lies well ahead and not behind the target."""
        if index - position <= LOOK_AHEAD:
            return False
        return bool((self._table.flags[position + 1 : index + 1] & FrameTable.KEY).any())

    def _skip(self, count: int) -> av.VideoFrame | None:
        for _ in range(count):
            next(self._running, None)
        return next(self._running, None)

    def _seek(self, index: int, back_off: Fraction) -> av.VideoFrame | None:
        """Return the picture that has the time of frame `index`, decoded from before it."""
        wanted = int(self._table.source_pts[index])
        decoder = self._open()
        try:
            decoder.seek(wanted - round(back_off / self._info.video.time_base))
        except av.error.FFmpegError:
            # No index in the file, or a back-off to before its beginning: the next way may still work.
            return None
        self._running = self._fitted(decoder)
        for picture in self._running:
            if picture.pts == wanted:
                return picture
            if picture.pts is not None and picture.pts > wanted:
                return None
        return None

    def _from_beginning(self, index: int) -> av.VideoFrame | None:
        # A file that was sought in is opened anew: some demuxers do not find back to their first packet.
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        self._running = self._fitted(self._open())
        return self._skip(index)

    def _fitted(self, decoder: Pictures) -> Iterator[av.VideoFrame]:
        return (fitted(picture, self._info.video) for picture in decoder)

    def _open(self) -> Pictures:
        if self._decoder is None:
            self._decoder = Pictures(self._path, self._info)
        return self._decoder

    def _is_frame(self, picture: av.VideoFrame, index: int) -> bool:
        """Return whether `picture` is what the index saw as frame `index`: its time and its first plane."""
        pts = NO_PTS if picture.pts is None else picture.pts
        if pts != int(self._table.source_pts[index]):
            return False
        return bool(self._varies[index]) or luma_crc(picture) == int(self._table.luma_crc[index])

    def _frame(self, picture: av.VideoFrame, index: int) -> Frame:
        self._position = index + 1
        frame = from_av(
            picture,
            index=index,
            pts=int(self._table.pts[index]),
            time_base=self._time_base,
            colour=self._info.video.colour,
        )
        self._kept.append(frame)
        return frame


def _varying(table: FrameTable) -> NDArray[np.bool_]:
    """Mark the groups of pictures in which one is damaged: they need not decode the same twice.

    Where nothing is left of a picture, FFmpeg shows what lay in its memory, and that may depend on timing.
    Other pictures of the group are built on it.
    """
    is_damaged = (table.flags & FrameTable.CORRUPT) != 0
    group = np.cumsum((table.flags & FrameTable.KEY) != 0)
    return np.isin(group, np.unique(group[is_damaged]))
