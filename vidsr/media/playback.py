"""Plays a restored video from one end to the other, as a player would."""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidsr.media.compare import Difference
from vidsr.media.copies import open_for_copying


def play(path: Path, stream_index: int, shown: NDArray[np.int64]) -> Iterator[Difference]:
    """Decode every frame of a stream and yield what does not come out whole.

    All of them, since the last frame of a part needs every frame of the part, and parts are all there is.

    Args:
        path: the file.
        stream_index: of the restored video.
        shown: pts of its packets whose pictures are shown, sorted. [n]
    """
    with open_for_copying(path) as file:
        stream = cast(VideoStream, file.streams[stream_index])
        stream.thread_type = "AUTO"
        decoded, damaged = array("q"), array("q")
        for picture in _pictures(file.demux(stream)):
            if picture.pts is not None:
                (damaged if picture.is_corrupt else decoded).append(picture.pts)
    is_whole = np.isin(shown, np.array(decoded, dtype=np.int64))
    is_damaged = np.isin(shown, np.array(damaged, dtype=np.int64)) & ~is_whole
    yield from _told(is_damaged, "decoded with errors")
    yield from _told(~is_whole & ~is_damaged, "not decoded")


def _pictures(packets: Iterator["av.Packet[VideoStream]"]) -> Iterator[av.VideoFrame]:
    """Yield what can be decoded; what cannot is missed by its time."""
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue


def _told(marked: NDArray[np.bool_], what: str) -> Iterator[Difference]:
    numbers = np.flatnonzero(marked)
    if len(numbers):
        message = f"{len(numbers)} of {len(marked)} frames are {what}, the first is frame {numbers[0]}"
        yield Difference(kind="decode", message=message)
