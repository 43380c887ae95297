"""What HDR video says of itself beside its samples: the display it was mastered on, and how bright it gets.

SMPTE ST 2086 and CTA-861.3, as FFmpeg's decoders hand them out and as encoders want to be told.
"""

import struct
from fractions import Fraction

import av
from av.sidedata.sidedata import Type as SideDataType

from vidsr.media.codecs import CodecFacts
from vidsr.media.side_data import side_data_of
from vidsr.types import ContentLight, HdrMetadata, MasteringDisplay

DYNAMIC = {
    SideDataType.DYNAMIC_HDR_PLUS: "HDR10+",
    SideDataType.DOVI_RPU_BUFFER: "Dolby Vision",
    SideDataType.DOVI_METADATA: "Dolby Vision",
    SideDataType.DYNAMIC_HDR_VIVID: "HDR Vivid",
}
"""Metadata of single frames, which no encoder here writes."""

CHROMATICITY_UNITS = 50_000
LUMINANCE_UNITS = 10_000
"""Per unit, and per candela a square metre: the integers of H.264's and H.265's messages."""


def hdr_of(picture: av.VideoFrame, codec: str) -> HdrMetadata | None:
    """Return what a picture that `codec` decoded says; None where it says nothing."""
    found = {side_data.type: side_data for side_data in side_data_of(picture, codec) or ()}
    mastering = found.get(SideDataType.MASTERING_DISPLAY_METADATA)
    light = found.get(SideDataType.CONTENT_LIGHT_LEVEL)
    dynamic = tuple(dict.fromkeys(name for kind, name in DYNAMIC.items() if kind in found))
    metadata = HdrMetadata(
        mastering=None if mastering is None else _mastering(bytes(mastering)),
        light=None if light is None else ContentLight(*struct.unpack_from("=2I", bytes(light))),
        dynamic=dynamic,
    )
    return None if metadata == HdrMetadata() else metadata


def hdr_options(facts: CodecFacts, metadata: HdrMetadata | None) -> dict[str, str]:
    """Return the encoder's options that state the metadata; none where it has no place for them."""
    if metadata is None or facts.hdr_option is None:
        return {}
    parts = []
    if metadata.mastering is not None:
        parts.append(f"{facts.hdr_option.mastering}={_display(metadata.mastering, facts)}")
    if metadata.light is not None:
        parts.append(f"{facts.hdr_option.light}={metadata.light.max_content},{metadata.light.max_average}")
    return {facts.hdr_option.name: ":".join(parts)} if parts else {}


def hdr_differences(found: HdrMetadata | None, wanted: HdrMetadata | None) -> list[str]:
    """Return in what a file's static metadata are not those that are wanted, a line each.

    AV1 counts in other units than the others: values are compared to what both can hold.
    """
    found, wanted = found or HdrMetadata(), wanted or HdrMetadata()
    lines = []
    if found.light != wanted.light:
        lines.append(f"has the content light level {found.light}, not {wanted.light}")
    if not _agree(found.mastering, wanted.mastering):
        lines.append(f"has the mastering display {found.mastering}, not {wanted.mastering}")
    return lines


def _mastering(data: bytes) -> MasteringDisplay | None:
    """Read FFmpeg's AVMasteringDisplayMetadata: ten fractions, and whether they are there."""
    *numbers, has_primaries, has_luminance = struct.unpack_from("=22i", data)
    if not (has_primaries and has_luminance):
        return None
    pairs = zip(numbers[0::2], numbers[1::2], strict=True)
    values = [Fraction(numerator, denominator or 1) for numerator, denominator in pairs]
    return MasteringDisplay(
        red=(values[0], values[1]),
        green=(values[2], values[3]),
        blue=(values[4], values[5]),
        white=(values[6], values[7]),
        min_luminance=values[8],
        max_luminance=values[9],
    )


def _display(display: MasteringDisplay, facts: CodecFacts) -> str:
    def number(value: Fraction, units: int) -> str:
        return f"{float(value):.6f}" if facts.codec == "av1" else str(round(value * units))

    points = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    text = "".join(
        f"{name}({number(x, CHROMATICITY_UNITS)},{number(y, CHROMATICITY_UNITS)})"
        for name, (x, y) in points.items()
    )
    luminances = (number(value, LUMINANCE_UNITS) for value in (display.max_luminance, display.min_luminance))
    return f"{text}L({','.join(luminances)})"


def _agree(found: MasteringDisplay | None, wanted: MasteringDisplay | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    points = zip(_points(found), _points(wanted), strict=True)
    return (
        all(abs(ours - theirs) <= Fraction(1, CHROMATICITY_UNITS) for ours, theirs in points)
        and abs(found.max_luminance - wanted.max_luminance) <= Fraction(1, 100)
        and abs(found.min_luminance - wanted.min_luminance) <= Fraction(1, LUMINANCE_UNITS)
    )


def _points(display: MasteringDisplay) -> tuple[Fraction, ...]:
    return (*display.red, *display.green, *display.blue, *display.white)
