"""What is done to a video's pictures before they are restored: decided here, and why."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from vidsr.media.colour import is_hdr
from vidsr.media.frames import format_facts
from vidsr.media.scan import MIN_MEASURED, FieldOrder, Scan
from vidsr.types import HdrMetadata, VideoInfo

Hdr = Literal["keep", "tonemap"]
Deinterlace = Literal["auto", "on", "off"]
Fields = Literal["keep", "deinterlace", "film"]
"""deinterlace makes one frame of each; film undoes telecine, which makes four of five."""

TELECINE_FORMATS = frozenset({"yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv444p"})
"""What FFmpeg's fieldmatch takes without a conversion."""
DIFFUSE_WHITE = Fraction(203)
USUAL_PEAK = Fraction(1000)
MAX_PEAK = Fraction(10_000)
"""cd/m2: of paper (BT.2408), of most HDR, of PQ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters that the pictures go through."""

    fields: Fields = "keep"
    field_order: FieldOrder = "upper"
    tone_peak: Fraction | None = None
    """Of HDR that becomes SDR: the brightest it gets, in cd/m2. None: no tone mapping."""
    reasons: tuple[str, ...] = ()
    """What was decided and why, a line each, where a user would want to know."""

    @property
    def is_needed(self) -> bool:
        """False where the pictures are restored as they are."""
        return self.fields != "keep" or self.tone_peak is not None


def decide_filters(scan: Scan, video: VideoInfo, *, deinterlace: Deinterlace, hdr: Hdr) -> Filters:
    """Decide what the pictures need.

    Args:
        scan: of all frames.
        video: their format.
        deinterlace: auto filters where the stream's flags and the pictures agree, on always, off never.
        hdr: tonemap turns HDR into SDR.
    """
    fields, reason = _fields(scan, video, deinterlace)
    peak, how = _tone_peak(video) if hdr == "tonemap" and is_hdr(video.colour) else (None, "")
    return Filters(
        fields=fields,
        field_order=scan.field_order,
        tone_peak=peak,
        reasons=tuple(line for line in (reason, how) if line),
    )


def _tone_peak(video: VideoInfo) -> tuple[Fraction, str]:
    """Return how bright HDR gets, from the best that is stated, and a line about it."""
    metadata = video.hdr or HdrMetadata()
    if metadata.light is not None and metadata.light.max_content:
        peak, source = Fraction(metadata.light.max_content), "its content light level"
    elif metadata.mastering is not None and metadata.mastering.max_luminance:
        peak, source = metadata.mastering.max_luminance, "its mastering display"
    else:
        peak, source = USUAL_PEAK, "assumed"
    # Above PQ's own end, or below diffuse white, a statement is wrong.
    peak = min(max(peak, DIFFUSE_WHITE), MAX_PEAK)
    return peak, f"HDR is tone-mapped to BT.709 SDR: up to {float(peak):g} cd/m2 ({source})"


def _fields(scan: Scan, video: VideoInfo, deinterlace: Deinterlace) -> tuple[Fields, str]:
    is_interlaced = scan.is_flagged and scan.is_combed
    is_wanted = deinterlace == "on" or (deinterlace == "auto" and is_interlaced)
    if not is_wanted:
        return "keep", _why_kept(scan, deinterlace)
    if format_facts(video.pix_fmt).family == "gbr":
        return "keep", "pictures in RGB are not deinterlaced"
    because = _counts(scan) if is_interlaced else f"{_counts(scan)}; --deinterlace is on"
    if not (scan.is_combed and scan.is_telecined):
        done = f"deinterlaced by bwdif, one frame for each, {scan.field_order} field first"
        return "deinterlace", f"interlaced ({because}): {done}"
    if video.pix_fmt not in TELECINE_FORMATS:
        done = f"deinterlaced by bwdif, as fieldmatch does not take {video.pix_fmt}"
        return "deinterlace", f"telecined film ({because}): {done}"
    done = "undone by fieldmatch and decimate, four frames for every five"
    return "film", f"telecined film ({because}): {done}"


def _why_kept(scan: Scan, deinterlace: Deinterlace) -> str:
    """Return what a user should know of pictures that are not filtered; empty where there is nothing."""
    if scan.is_flagged and scan.is_combed:
        return f"interlaced ({_counts(scan)}), and left so: --deinterlace is {deinterlace}"
    if scan.is_flagged and scan.num_measured >= MIN_MEASURED:
        return f"flagged as interlaced, yet progressive ({_counts(scan)}): left as it is"
    if scan.is_combed and deinterlace == "auto":
        how = "left as it is; --deinterlace on filters it"
        return f"looks interlaced, yet is not flagged so ({_counts(scan)}): {how}"
    return ""


def _counts(scan: Scan) -> str:
    num_combed = scan.num_upper_first + scan.num_lower_first
    repeated = f", {scan.num_repeated} repeat a field" if scan.is_telecined else ""
    return (
        f"{scan.num_flagged} of {scan.num_frames} frames are flagged, "
        f"{num_combed} of {scan.num_measured} measured are combed{repeated}"
    )
