"""Writes the shape of pixels into the header of a finished file, which PyAV gives no way to do.

PyAV states the sample aspect ratio in the codec's parameters and not in the stream's. mp4's `pasp` box and
what H.264 and H.265 say in band come from the first; Matroska's DisplayWidth and the presentation width of
mp4's track header come from the second. FFV1, ProRes and AV1 in Matroska would lose their shape altogether.

The file's size does not change. In mp4 the number has its place already. In Matroska the muxer is given a
track title that is longer by `FILLER`; those bytes are turned into the display size.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

FILLER = "\x1f" * 24
"""Goes at the end of the restored track's title. No title ends with 24 unit separators."""

_SEGMENT, _TRACKS, _TRACK_ENTRY = 0x18538067, 0x1654AE6B, 0xAE
_NAME, _VIDEO, _DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x536E, 0xE0, 0x54B0, 0x54BA, 0x54B2
_CRC, _VOID = 0xBF, 0xEC


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    """An EBML element or an ISO box inside `data`."""

    id: int
    start: int
    body: int
    stop: int


def display_size(width: int, height: int, sample_aspect_ratio: Fraction) -> tuple[int, int]:
    """Return whole numbers with the ratio of the picture as it is shown, not smaller than the stored picture.

    Where only numbers more than twice as large have exactly that ratio, the width is rounded.
    """
    ratio = width * sample_aspect_ratio / height
    factor = max(-(-width // ratio.numerator), -(-height // ratio.denominator))
    exact = (ratio.numerator * factor, ratio.denominator * factor)
    if exact[1] <= 2 * height:
        return exact
    return round(width * sample_aspect_ratio), height


def shape_matroska(path: Path, *, size: tuple[int, int]) -> None:
    """Take `FILLER` off the title of the track that has it, and state the display size of that track.

    Args:
        path: a file of FFmpeg's Matroska muxer.
        size: (width, height) in square pixels.
    """
    with path.open("r+b") as file:
        offset, tracks = _read_tracks(file)
        file.seek(offset)
        file.write(_reshaped(tracks, size))


def shape_mp4(path: Path, *, track: int, sample_aspect_ratio: Fraction) -> None:
    """Widen the presentation of track number `track`, counted from 0 in the order of the file."""
    with path.open("r+b") as file:
        moov = _find_moov(file)
        file.seek(moov.body)
        data = file.read(moov.stop - moov.body)
        header = _find(_find_all(data, b"trak", 0, len(data))[track], data, b"tkhd")
        # Version 1 has three 64-bit numbers where version 0 has 32-bit ones. Then 52 bytes up to the width.
        place = header.body + 4 + (32 if data[header.body] == 1 else 20) + 52
        (width,) = struct.unpack_from(">I", data, place)
        file.seek(moov.body + place)
        file.write(struct.pack(">I", round(width * sample_aspect_ratio)))


def _reshaped(tracks: bytes, size: tuple[int, int]) -> bytes:
    """Return the body of Tracks, as long as it was, with one entry changed and its checksum right."""
    elements = list(_elements(tracks, 0, len(tracks)))
    parts = []
    for element in elements:
        part = tracks[element.start : element.stop]
        is_ours = element.id == _TRACK_ENTRY and FILLER.encode() in part
        if is_ours:
            head = tracks[element.start : element.body]
            part = head + _entry(tracks[element.body : element.stop], size)
        if element.id != _CRC:
            parts.append(part)
    body = b"".join(parts)
    if elements[0].id != _CRC:
        return body
    return b"\xbf\x84" + struct.pack("<I", zlib.crc32(body)) + body


def _entry(entry: bytes, size: tuple[int, int]) -> bytes:
    """Return the body of a TrackEntry, as long as it was, without the filler and with the display size."""
    parts = []
    for element in _elements(entry, 0, len(entry)):
        payload = entry[element.body : element.stop]
        if element.id == _NAME:
            if name := payload.removesuffix(FILLER.encode()):
                parts.append(_element(_NAME, name))
        elif element.id == _VIDEO:
            parts.append(_element(_VIDEO, _without(payload, _DISPLAY_UNIT) + _display(size)))
        else:
            parts.append(entry[element.start : element.stop])
    body = b"".join(parts)
    room = len(entry) - len(body)
    # The filler is longer than what takes its place, by two bytes at least: the least that Void needs.
    return body + bytes([_VOID, 0x80 | (room - 2)]) + bytes(room - 2)


def _without(body: bytes, identity: int) -> bytes:
    elements = _elements(body, 0, len(body))
    return b"".join(body[element.start : element.stop] for element in elements if element.id != identity)


def _display(size: tuple[int, int]) -> bytes:
    # The unit, which the muxer calls unknown, is pixels where it is left out.
    return _number(_DISPLAY_WIDTH, size[0]) + _number(_DISPLAY_HEIGHT, size[1])


def _read_tracks(file: BinaryIO) -> tuple[int, bytes]:
    """Return where the body of Tracks begins, and the body."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(12)
        element = next(_elements(head, 0, len(head), is_cut=True))
        if element.id == _TRACKS:
            file.seek(position + element.body)
            return position + element.body, file.read(element.stop - element.body)
        # The segment holds everything; what else comes before Tracks is skipped.
        position += element.body if element.id == _SEGMENT else element.stop


def _elements(data: bytes, start: int, stop: int, *, is_cut: bool = False) -> Iterator[_Element]:
    """Yield the EBML elements in data[start:stop]; `is_cut` allows the last one to reach beyond."""
    while start < stop:
        id_length = 9 - data[start].bit_length()
        size_start = start + id_length
        size_length = 9 - data[size_start].bit_length()
        body = size_start + size_length
        size = int.from_bytes(data[size_start:body]) & ((1 << 7 * size_length) - 1)
        if body + size > stop and not is_cut:
            msg = f"EBML element at {start} reaches beyond its parent"
            raise ValueError(msg)
        yield _Element(id=int.from_bytes(data[start:size_start]), start=start, body=body, stop=body + size)
        start = body + size


def _element(identity: int, payload: bytes) -> bytes:
    length = len(payload)
    size_bytes = next(count for count in range(1, 9) if length < (1 << 7 * count) - 1)
    size = (length | 1 << 7 * size_bytes).to_bytes(size_bytes)
    return identity.to_bytes((identity.bit_length() + 7) // 8) + size + payload


def _number(identity: int, value: int) -> bytes:
    return _element(identity, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def _find_moov(file: BinaryIO) -> _Element:
    position = 0
    while True:
        file.seek(position)
        head = file.read(16)
        box = next(_boxes(head, 0, len(head)))
        if box.id == int.from_bytes(b"moov"):
            return _Element(id=box.id, start=position, body=position + box.body, stop=position + box.stop)
        position += box.stop


def _find_all(data: bytes, name: bytes, start: int, stop: int) -> list[_Element]:
    return [box for box in _boxes(data, start, stop) if box.id == int.from_bytes(name)]


def _find(parent: _Element, data: bytes, name: bytes) -> _Element:
    return _find_all(data, name, parent.body, parent.stop)[0]


def _boxes(data: bytes, start: int, stop: int) -> Iterator[_Element]:
    """Yield the ISO boxes in data[start:stop]."""
    while start + 8 <= stop:
        size, name = struct.unpack_from(">II", data, start)
        body = start + 8
        if size == 1:
            size, body = struct.unpack_from(">Q", data, body)[0], body + 8
        yield _Element(id=name, start=start, body=body, stop=start + size)
        start += size
