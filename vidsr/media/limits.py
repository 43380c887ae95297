"""What a file may ask of this machine, and what it may make FFmpeg open.

A small file can claim a picture, a number of streams or a size of tables that no machine has room for. It can
also be a list of other files or addresses: those formats are not opened at all.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from av.format import ContainerFormat, formats_available
from av.format import Flags as ContainerFlags
from av.video.codeccontext import VideoCodecContext

DEFAULT_MAX_PIXELS = 2**26
"""8192 x 8192: twice what 8K has. FFmpeg itself ends at 16,383 x 16,383."""

REFERRING = frozenset(
    {"concat", "hls", "dash", "sdp", "imf", "webm_dash_manifest", "vobsub", "avisynth", "vapoursynth"}
)
"""Demuxers that open what a file's content names: other files, addresses, scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may ask for before it is refused."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    """Of one picture."""
    max_streams: int = 500
    max_chapters: int = 10_000
    max_tag_bytes: int = 2**24
    """Of all titles, comments and other tags together."""
    open_memory_bytes: int = 2**31
    """Address space in which a file must be opened."""
    open_seconds: int = 60
    """Processor time in which a file must be opened."""


@functools.cache
def openable_formats() -> frozenset[str]:
    """Return FFmpeg's names of the demuxers that read one file and nothing else."""
    names = set()
    for name in formats_available:
        try:
            described = ContainerFormat(name, "r")
        except ValueError:  # it can only be written
            continue
        # Devices and networks come without a file. So does image2, which also opens single pictures.
        if not described.flags & cast(int, ContainerFlags.no_file.value) or described.name == "image2":
            names.add(described.name)
    return frozenset(names - REFERRING)


@functools.cache
def open_options() -> Mapping[str, str]:
    """Return the options of `av.open` for a file that somebody else made."""
    return MappingProxyType(
        {"protocol_whitelist": "file", "format_whitelist": ",".join(sorted(openable_formats()))}
    )


def bound_pixels(context: VideoCodecContext) -> None:
    """Have a decoder that is not open yet refuse pictures much larger than the header says.

    What the header says was admitted; a picture in the middle of the video may claim anything.
    """
    bound = max(DEFAULT_MAX_PIXELS, context.width * context.height)
    context.options = {**context.options, "max_pixels": str(bound)}
