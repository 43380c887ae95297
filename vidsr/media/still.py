"""Single pictures: written as PNG, with what the source says beside its samples."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

from vidsr.media.codecs import PNG, resolve_codec
from vidsr.media.copies import open_for_copying
from vidsr.media.frames import format_facts, tag
from vidsr.media.output_picture import output_colour, plan_picture
from vidsr.types import UNSPECIFIED, FrameTable, MediaInfo, OutputPlan, Plan

MAX_PROFILE_BYTES = 16 * 2**20
"""More is no colour profile but a file that is made to fill memory."""

_PACKED = {
    ("gray", False): ("gray", "gray16be"),
    ("gbr", False): ("rgb24", "rgb48be"),
    ("gbr", True): ("rgba", "rgba64be"),
}
"""What PNG holds of 8 and of 16 bits, by family and whether there is alpha."""
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a picture file says beside its samples."""

    exif: bytes = b""
    """As TIFF: the camera's settings, and how the picture is turned."""
    icc: bytes = b""
    """The colour profile."""
    texts: tuple[bytes, ...] = ()
    """What is said in words: chunks of a PNG as they are, sorted."""


def still_pix_fmt(pix_fmt: str) -> str:
    """Return the format, of FFV1, in which a picture of `pix_fmt` waits to become a PNG.

    It is gray or RGB, of 8 or 16 bits.
    """
    facts = format_facts(pix_fmt)
    is_deep = facts.bits > 8
    if facts.family == "gray":
        return "gray16le" if is_deep else "gray"
    if facts.has_alpha:
        return "gbrap16le" if is_deep else "bgra"
    return "gbrp16le" if is_deep else "bgr0"


def plan_still(
    info: MediaInfo, *, frames: FrameTable, scale: int, offset: Fraction
) -> tuple[OutputPlan, list[str]]:
    """Return what the restored picture will be, and what it loses of the source's."""
    facts = resolve_codec("ffv1")
    plan, losses = plan_picture(info, facts, frames=frames, muxer=PNG, scale=scale, offset=offset)
    pix_fmt = still_pix_fmt(info.video.pix_fmt)
    colour = output_colour(info.video, facts, pix_fmt=pix_fmt)
    return replace(plan, codec=PNG, pix_fmt=pix_fmt, colour=colour), losses


def write_png(*, plan: Plan, source: Path, segments: Sequence[Path], output: Path) -> None:
    """Write the one frame of the segments as a PNG.

    Raises:
        OSError: `output` cannot be written.
    """
    with open_for_copying(segments[0]) as file:
        picture = next(file.decode(video=0))
    facts = format_facts(plan.output.pix_fmt)
    name = _PACKED[facts.family, facts.has_alpha][facts.bits > 8]
    packed = VideoReformatter().reformat(picture, format=name, threads=1)
    beside = beside_of(source)
    # A profile says more than numbers do, and a reader would believe the numbers.
    colour = plan.output.colour
    if beside.icc:
        colour = replace(colour, primaries=UNSPECIFIED, transfer=UNSPECIFIED)
    tag(packed, colour)
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = packed.width, packed.height, packed.format.name
    encoder.time_base = 1 / plan.output.frame_rate
    encoder.sample_aspect_ratio = plan.output.sample_aspect_ratio
    payload = b"".join(bytes(packet) for frame in (packed, None) for packet in encoder.encode(frame))
    output.write_bytes(_with_chunks(payload, beside))


def beside_of(path: Path) -> Beside:
    """Return what the picture file at `path` says beside its samples, of JPEG, PNG and WebP."""
    data = path.read_bytes()
    if data.startswith(b"\xff\xd8"):
        return _beside_jpeg(data)
    if data.startswith(_SIGNATURE):
        return _beside_png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        chunks = dict(_riff_chunks(data))
        return Beside(exif=_without_name(chunks.get(b"EXIF", b"")), icc=chunks.get(b"ICCP", b""))
    return Beside()


def _beside_jpeg(data: bytes) -> Beside:
    exif, profile = b"", {}
    for marker, body in _jpeg_segments(data):
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif = exif or _without_name(body)
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            # A profile of more than 64 kB is in several segments, each with its number.
            profile[body[12]] = body[14:]
    return Beside(exif=exif, icc=b"".join(profile[number] for number in sorted(profile)))


def _beside_png(data: bytes) -> Beside:
    chunks = dict(_png_chunks(data))
    texts = sorted(_chunk(name, body) for name, body in _png_chunks(data) if name in _TEXTS)
    name, _, profile = chunks.get(b"iCCP", b"").partition(b"\0")
    try:
        icc = zlib.decompressobj().decompress(profile[1:], MAX_PROFILE_BYTES) if name else b""
    except zlib.error:
        # A profile that cannot be read says nothing.
        icc = b""
    return Beside(exif=chunks.get(b"eXIf", b""), icc=icc, texts=tuple(texts))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, body) of what comes before the picture."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, position + 2)
        yield data[position + 1], data[position + 4 : position + 2 + length]
        position += 2 + length


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        yield name, data[position + 8 : position + 8 + length]
        position += 12 + length


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        yield name, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _without_name(exif: bytes) -> bytes:
    return exif.removeprefix(b"Exif\0\0")


def _with_chunks(png: bytes, beside: Beside) -> bytes:
    """Return a PNG with the chunks of `beside` behind its header, where they belong."""
    chunks = b""
    if beside.icc:
        chunks += _chunk(b"iCCP", b"icc\0\0" + zlib.compress(beside.icc))
    if beside.exif:
        chunks += _chunk(b"eXIf", beside.exif)
    chunks += b"".join(beside.texts)
    end_of_header = len(_SIGNATURE) + 25
    return png[:end_of_header] + chunks + png[end_of_header:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
