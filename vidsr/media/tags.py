"""The tags of a file (title, place, camera): which of them a container keeps."""

import functools
import io
from collections.abc import Mapping
from types import MappingProxyType

import av
from av.container import InputContainer

from vidsr.media.convert import add_words

OWN_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "creation_time"})
"""Written by muxers; the time of creation they write in their own way, and all have it."""

FLAGS = MappingProxyType({"mov": "+use_metadata_tags"})
"""Of FFmpeg's muxers. QuickTime has two places for tags: one for a few known names, one for any name, where
phones keep place and camera. This writes both in mov; in mp4, only the second, which few players read."""


def file_tags(file: InputContainer) -> dict[str, str]:
    """Return the file's tags, without those that a muxer writes itself."""
    own = OWN_TAGS - {"creation_time"}
    return {key: value for key, value in file.metadata.items() if key.lower() not in own}


def kept_tags(tags: Mapping[str, str], *, muxer: str) -> dict[str, str]:
    """Return those of a file's tags that `muxer` keeps as they are."""
    written = _written(tuple(sorted(tags.items())), muxer)
    return {
        key: value
        for key, value in tags.items()
        if key.lower() not in OWN_TAGS and written.get(key.lower()) == value
    }


def lost_tags(tags: Mapping[str, str], *, muxer: str) -> list[str]:
    """Return the names of the tags that `muxer` does not keep as they are."""
    kept = kept_tags(tags, muxer=muxer)
    return [key for key in tags if key not in kept and key.lower() not in OWN_TAGS]


@functools.cache
def _written(tags: tuple[tuple[str, str], ...], muxer: str) -> Mapping[str, str]:
    """Write the tags into a file in memory and read them back, by their names in small letters."""
    memory = io.BytesIO()
    options = {"movflags": FLAGS[muxer]} if muxer in FLAGS else {}
    with av.open(
        memory, "w", format=muxer, container_options=options, metadata_errors="surrogateescape"
    ) as file:
        file.metadata.update(dict(tags))
        for packet in add_words(file, muxer=muxer):
            file.mux_one(packet)
    memory.seek(0)
    with av.open(memory, "r", metadata_errors="surrogateescape") as file:
        return {key.lower(): value for key, value in file.metadata.items()}
