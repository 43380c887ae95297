"""Small files that ask for much: what a person would make who wants to bring a machine down."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

SEGMENT, TRACKS, CHAPTERS, TAGS, ATTACHMENTS = "18538067", "1654ae6b", "1043a770", "1254c367", "1941a469"
CLUSTER = bytes.fromhex("1f43b675")
UNKNOWN_SIZE = b"\x01" + b"\xff" * 7


def huge_png(path: Path, side: int, *, num_rows: int | None = None) -> Path:
    """Write a black picture of `side` x `side`, its first rows only where that is asked for."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    squeezer = zlib.compressobj(9)
    data = b"".join(squeezer.compress(bytes(side + 1)) for _ in range(num_rows or side)) + squeezer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks))
    return path


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chapters(source: Path, path: Path, count: int) -> Path:
    """Copy a Matroska file without chapters and give it `count`."""
    atoms = (
        _element("b6", _number("73c4", n + 1), _number("91", n), _element("80", _element("85", b"a")))
        for n in range(count)
    )
    return _inserted(source, path, _element(CHAPTERS, _element("45b9", *atoms)))


def with_tags(source: Path, path: Path, texts: Iterable[bytes]) -> Path:
    """Copy a Matroska file and give it a tag for each text."""
    tags = (
        _element(
            "7373",
            _element("63c0"),
            _element("67c8", _element("45a3", b"TAG%d" % n), _element("4487", text)),
        )
        for n, text in enumerate(texts)
    )
    return _inserted(source, path, _element(TAGS, *tags))


def with_attachment_of(source: Path, path: Path, claimed_bytes: int) -> Path:
    """Copy a Matroska file and let it end with an attachment that claims to be large."""
    data = bytes.fromhex("465c") + _size(claimed_bytes)
    names = _element("466e", b"a.ttf") + _element("4660", b"font/ttf") + _number("46ae", 1)
    file = bytes.fromhex("61a7") + _size(len(names) + len(data) + claimed_bytes) + names + data
    whole = bytes.fromhex(ATTACHMENTS) + _size(len(file) + claimed_bytes) + file
    return _inserted(source, path, whole)


def with_streams(source: Path, path: Path, count: int) -> Path:
    """Copy a Matroska file of one track and give it `count` more, without a packet."""
    tracks = (
        _element(
            "ae",
            _number("d7", n + 2),
            _number("73c5", n + 2),
            _number("83", 17),
            _element("86", b"S_TEXT/UTF8"),
        )
        for n in range(count)
    )
    content = source.read_bytes()
    # The list of contents at the beginning names it as well.
    start = content.rindex(bytes.fromhex(TRACKS), 0, content.index(CLUSTER))
    body, stop = _bounds(content, start + 4)
    new = _element(TRACKS, content[body:stop], *tracks)
    path.write_bytes(_open_ended(content[:start]) + new + content[stop:])
    return path


def _bounds(content: bytes, start: int) -> tuple[int, int]:
    """Return where the content of an element begins and ends whose size is at `start`."""
    length = 9 - content[start].bit_length()
    size = int.from_bytes(content[start : start + length]) & (1 << 7 * length) - 1
    return start + length, start + length + size


def _inserted(source: Path, path: Path, element: bytes) -> Path:
    """Put an element before the first cluster."""
    content = source.read_bytes()
    place = content.index(CLUSTER)
    path.write_bytes(_open_ended(content[:place]) + element + content[place:])
    return path


def _open_ended(head: bytes) -> bytes:
    """Take the segment's size out of a file's beginning."""
    start = head.index(bytes.fromhex(SEGMENT)) + 4
    return head[:start] + UNKNOWN_SIZE + head[start + 8 :]


def _element(identity: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return bytes.fromhex(identity) + _size(len(body)) + body


def _number(identity: str, value: int) -> bytes:
    return _element(identity, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def _size(value: int) -> bytes:
    return (value | 1 << 56).to_bytes(8)
