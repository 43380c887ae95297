"""Single pictures from anywhere in a video, for those who look at a few of many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from vidsr.media.colour import HD_HEIGHT
from vidsr.media.decode import PyAVSource
from vidsr.media.shown import to_shown
from vidsr.terminal import printable
from vidsr.types import UNSPECIFIED, FrameTable, MediaInfo

FRAME_SHARE = 0.25
"""Part of the shortest frame by which decord's times may be off: they are single precision."""
_PLAIN_MATRICES = frozenset({0, 1, 5, 6})
# In transport streams decord repeats a neighbour where it does not find a frame, and says so only on stderr.
_INDEXED_CONTAINERS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})


class Sampler(Protocol):
    """Gives pictures by frame number, in any order. For one thread at a time."""

    def pictures(self, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return the frames at `indices`, each uint8 R'G'B' [3, H, W] as networks are shown it.

        As stored: not turned, not squared.
        """
        ...

    def close(self) -> None:
        """Let the file go."""
        ...

    def __enter__(self) -> Self:
        """Return the sampler."""
        ...

    def __exit__(self, *unused: object) -> None:
        """Close the file."""
        ...


def open_sampler(path: Path, info: MediaInfo, table: FrameTable) -> Sampler:
    """Open a file for looking at single frames: with decord where it reads the file right, else with PyAV.

    Args:
        path: the file that the index was made of.
        info: from the index.
        table: from the index.
    """
    exact = PyAVSampler(path, info, table)
    reader = _decord_reader(path, info, table)
    return (
        exact
        if reader is None
        else DecordSampler(reader, stand_in=exact, shape=(info.video.height, info.video.width))
    )


class PyAVSampler:
    """Seeks and decodes like the main pass: right for every file."""

    def __init__(self, path: Path, info: MediaInfo, table: FrameTable) -> None:
        self._source = PyAVSource(path, info, table, linear=bool((table.flags & FrameTable.CORRUPT).any()))

    def pictures(self, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return the frames at `indices`, decoded in rising order."""
        unique = sorted(set(indices))
        found = {
            index: _as_uint8(to_shown(frame))
            for index in unique
            for frame in self._source.frames(index, index + 1)
        }
        return [found[index] for index in indices]

    def close(self) -> None:
        """Let the file go."""
        self._source.close()

    def __enter__(self) -> Self:
        """Return the sampler."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Close the file."""
        self.close()


class DecordSampler:
    """decord, which keeps its own index of key frames and skips what nobody asks for.

    Differs: its chroma is enlarged without a filter, so pictures differ from PyAV's at coloured edges.
    """

    def __init__(self, reader: Any, *, stand_in: PyAVSampler, shape: tuple[int, int]) -> None:  # noqa: ANN401  # decord has no types
        """Take over an open reader.

        Args:
            reader: decord.VideoReader.
            stand_in: gives the pictures that decord fails at; it cannot read any that are 16 pixels wide.
            shape: (rows, columns) that pictures must have.
        """
        self._reader = reader
        self._stand_in = stand_in
        self._shape = shape

    def pictures(self, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return the frames at `indices`."""
        import decord

        if not indices:
            return []
        try:
            batch: NDArray[np.uint8] = self._reader.get_batch(list(indices)).asnumpy()
        except decord.DECORDError:
            return self._stand_in.pictures(indices)
        if batch.shape[1:3] != self._shape:
            return self._stand_in.pictures(indices)
        return [np.ascontiguousarray(picture.transpose(2, 0, 1)) for picture in batch]

    def close(self) -> None:
        """Let the file go."""
        self._reader = None
        self._stand_in.close()

    def __enter__(self) -> Self:
        """Return the sampler."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Close the file."""
        self.close()


def _decord_reader(path: Path, info: MediaInfo, table: FrameTable) -> Any:  # noqa: ANN401  # decord has no types
    """Return decord's reader of the file if it sees the frames that the index saw, None otherwise."""
    # It prints the names of files that it cannot open.
    if not _suits_decord(info, table) or printable(str(path)) != str(path):
        return None
    try:
        import decord
    except ImportError:  # no wheel for this machine: PyAV gives the same pictures
        return None
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        # It sorts out edit lists and missing times in its own way, and fills in what it cannot find: only a
        # file whose every time agrees with the index is left to it.
        starts = (
            reader.get_frame_timestamp(list(range(len(reader))))[:, 0] if len(reader) == len(table) else None
        )
    except (decord.DECORDError, RuntimeError, UnicodeEncodeError, IndexError):
        # PyAV reads what it cannot. It says RuntimeError of files that it cannot open.
        return None
    if starts is None:
        return None
    seconds_per_tick = float(info.video.time_base)
    tolerance = FRAME_SHARE * float(table.duration.min()) * seconds_per_tick
    agrees = np.abs(starts - table.pts * seconds_per_tick).max() <= tolerance
    return reader if agrees else None


def _suits_decord(info: MediaInfo, table: FrameTable) -> bool:
    """Return whether decord shows this video as it is stored: it knows 8 bits only, and turns pictures."""
    video = info.video
    is_alone = sum(stream.kind == "video" and not stream.is_cover for stream in info.streams) == 1
    # Without a matrix it takes BT.601 at any size.
    is_matrix_plain = video.colour.matrix in _PLAIN_MATRICES or (
        video.colour.matrix == UNSPECIFIED and video.height < HD_HEIGHT
    )
    is_whole = not (table.flags & FrameTable.CORRUPT).any() and int(table.source_pts.min()) >= 0
    is_known = info.container in _INDEXED_CONTAINERS and video.bit_depth == 8 and video.display_matrix is None
    return is_alone and is_matrix_plain and is_whole and is_known


def _as_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels on the scale 0..255, rounded."""
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(pixels * (255 / 65535)).astype(np.uint8)
