"""What the restored picture is written as: codec, pixel format, colour and shape."""

from dataclasses import replace
from fractions import Fraction

from vidsr.errors import ConfigError, MissingCodecError
from vidsr.media.codecs import AUTO, CodecFacts, resolve_codec
from vidsr.media.colour import HD_HEIGHT, is_hdr, output_pix_fmt, resolved_colour
from vidsr.media.frames import FormatFacts, format_facts, planar_format
from vidsr.media.orientation import kept_aspect, kept_matrix, orientation_lost
from vidsr.media.trial import takes_codec
from vidsr.types import UNSPECIFIED, Colour, FrameTable, HdrMetadata, MediaInfo, OutputPlan, VideoInfo

AUTO_ORDER = ("h264", "hevc", "prores", "vp9", "av1", "ffv1")
"""What encode.codec=auto tries, the one that plays in most places first."""
SKIPPING_ALPHA = frozenset({"gif"})
"""Codecs whose transparency mostly says that a sample stays as it was."""

PRORES_BITS = 10
"""That FFmpeg's encoder writes."""

DEFAULT_RATE = Fraction(25)
"""Of a single picture."""
SLOWEST, FASTEST = Fraction(1), Fraction(240)
"""Frames per second that every encoder accepts."""


def choose_codec(
    info: MediaInfo, name: str, *, muxer: str | None, scale: int
) -> tuple[CodecFacts, tuple[str, ...]]:
    """Return the codec that a user calls `name`, and why it is that one where auto takes another than H.264.

    Args:
        info: of the source.
        name: as users write it; auto is the first codec that holds all of the picture.
        muxer: that the user asked for; None where any will do.
        scale: output size over input size.

    Raises:
        ConfigError: there is no such codec; or auto finds none that holds the picture.
    """
    if name != AUTO:
        return resolve_codec(name), ()
    video = info.video
    has_alpha = format_facts(video.pix_fmt).has_alpha and video.codec not in SKIPPING_ALPHA
    # What is lost, rather nothing than bits of ProRes, and rather these than transparency.
    for needs_bits, needs_alpha in ((True, has_alpha), (False, has_alpha), (True, False)):
        for facts in _candidates(muxer, first=video.codec if has_alpha else ""):
            if _suits(video, facts, scale=scale, needs_bits=needs_bits, needs_alpha=needs_alpha):
                return facts, _why(video, facts, keeps_alpha=needs_alpha)
    where = "any codec" if muxer is None else f"a codec of {muxer}"
    msg = f"encode.codec=auto: {where} holds {video.pix_fmt} only with a loss; name the output .mkv"
    raise ConfigError(msg)


def _candidates(muxer: str | None, *, first: str) -> list[CodecFacts]:
    """Return the codecs that auto may take; a codec of the kind `first` goes first."""
    found = []
    for name in AUTO_ORDER:
        try:
            facts = resolve_codec(name)
        except MissingCodecError:
            continue  # this build has one less to choose from
        if muxer is None or takes_codec(muxer, facts.encoder):
            found.append(facts)
    return sorted(found, key=lambda facts: facts.codec != first)


def _suits(video: VideoInfo, facts: CodecFacts, *, scale: int, needs_bits: bool, needs_alpha: bool) -> bool:
    if is_hdr(video.colour) and not facts.is_for_hdr:
        return False
    if facts.accepts == "yuva" and not needs_alpha:
        return False
    usable = _usable(facts, width=video.width * scale, height=video.height * scale)
    try:
        chosen = output_pix_fmt(_wanted(video, facts), usable)
    except ConfigError:
        return False
    has_bits = format_facts(chosen).bits >= format_facts(video.pix_fmt).bits
    return (has_bits or not needs_bits) and (format_facts(chosen).has_alpha or not needs_alpha)


def _why(video: VideoInfo, facts: CodecFacts, *, keeps_alpha: bool) -> tuple[str, ...]:
    if facts.name == AUTO_ORDER[0]:
        return ()
    if is_hdr(video.colour):
        reason = "HDR is looked for in it"
    elif keeps_alpha:
        reason = "it keeps the transparency"
    else:
        reason = f"{AUTO_ORDER[0]} does not hold {video.pix_fmt}"
    return (f"encoded with {facts.name}: {reason}",)


def plan_picture(
    info: MediaInfo, facts: CodecFacts, *, frames: FrameTable, muxer: str, scale: int, offset: Fraction
) -> tuple[OutputPlan, list[str]]:
    """Return what the restored picture will be, and what it loses of the source's.

    Raises:
        ConfigError: the codec cannot hold pictures of this size or format.
    """
    video = info.video
    width, height = video.width * scale, video.height * scale
    pix_fmt, losses = _choose_pix_fmt(info, facts, width=width, height=height)
    losses += [*_matrix_assumed(video), *_hdr_lost(video, facts), *orientation_lost(video, muxer=muxer)]
    matrix = kept_matrix(video, muxer=muxer)
    plan = OutputPlan(
        container=muxer,
        codec=facts.encoder,
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        colour=output_colour(video, facts, pix_fmt=pix_fmt),
        sample_aspect_ratio=kept_aspect(video),
        display_matrix=None
        if matrix is None
        else (*matrix[:6], matrix[6] * scale, matrix[7] * scale, matrix[8]),
        offset=offset,
        hdr=kept_hdr(video, facts),
        frame_rate=_mean_rate(frames, info),
    )
    return plan, losses


def _matrix_assumed(video: VideoInfo) -> list[str]:
    is_stated = format_facts(video.pix_fmt).family != "yuv" or video.colour.matrix != UNSPECIFIED
    if is_stated or video.height < HD_HEIGHT:
        return []
    return ["the source does not say its colour matrix: taken for BT.709, as HD is by players"]


def kept_hdr(video: VideoInfo, facts: CodecFacts) -> HdrMetadata | None:
    """Return the metadata that the output states."""
    if video.hdr is None or facts.hdr_option is None or video.hdr == HdrMetadata(dynamic=video.hdr.dynamic):
        return None
    return replace(video.hdr, dynamic=())


def _hdr_lost(video: VideoInfo, facts: CodecFacts) -> list[str]:
    if video.hdr is None:
        return []
    lost = [
        f"the {name} metadata of its frames are given up: no encoder here writes them"
        for name in video.hdr.dynamic
    ]
    if facts.hdr_option is None and (video.hdr.mastering or video.hdr.light):
        lost.append(
            f"mastering display and content light level are given up: {facts.name} has no place for them"
        )
    return lost


def _choose_pix_fmt(info: MediaInfo, facts: CodecFacts, *, width: int, height: int) -> tuple[str, list[str]]:
    """Return the output's pixel format and what it loses of the source's."""
    source = format_facts(info.video.pix_fmt)
    usable = _usable(facts, width=width, height=height)
    if not usable:
        msg = f"{facts.name} takes no picture of {width}x{height}, which is odd; take an even scale or h264"
        raise ConfigError(msg)
    pix_fmt = output_pix_fmt(_wanted(info.video, facts), usable)
    warnings = []
    chosen = format_facts(pix_fmt)
    if _has_hidden_alpha(info):
        warnings.append("transparency is given up: this FFmpeg build has no decoder that shows it")
    if chosen.bits < source.bits:
        warnings.append(f"{source.bits} bits become {chosen.bits}: FFmpeg writes no more in ProRes")
    if source.has_alpha and not chosen.has_alpha:
        warnings.append(f"transparency is given up: {facts.name} has none; take prores, vp9 or ffv1")
    if source.family == "yuv" and source.chroma_step != chosen.chroma_step and width % 2 + height % 2:
        warnings.append(f"{width}x{height} is odd, so the output is {pix_fmt}: not all players show it")
    return pix_fmt, warnings


def _usable(facts: CodecFacts, *, width: int, height: int) -> list[str]:
    """Return the formats that a codec takes of pictures of a size."""
    return [
        name
        for name in facts.pix_fmts
        if facts.takes_odd_sizes or not _splits(format_facts(name), width=width, height=height)
    ]


def _wanted(video: VideoInfo, facts: CodecFacts) -> str:
    """Return the format whose samples the output has to hold."""
    source = format_facts(video.pix_fmt)
    if facts.codec == video.codec == "prores" and source.bits > PRORES_BITS:
        # FFmpeg reads 12 bits from every ProRes 4444, also where fewer were written.
        return planar_format(video.pix_fmt.replace(f"p{source.bits}", f"p{PRORES_BITS}"))
    if source.family != "gray" or facts.accepts == "any":
        return video.pix_fmt
    # Few players show video without chroma; two gray planes beside it cost next to nothing.
    return planar_format("yuv420p" if source.bits == 8 else f"yuv420p{source.bits}le")


def _has_hidden_alpha(info: MediaInfo) -> bool:
    """Return whether the picture's opacity is a second stream inside the packets, as WebM has it."""
    metadata = {key.lower(): value for key, value in info.streams[info.video.stream_index].metadata}
    return metadata.get("alpha_mode") == "1" and not format_facts(info.video.pix_fmt).has_alpha


def _splits(pix_fmt: FormatFacts, *, width: int, height: int) -> bool:
    """Return whether the picture's edge would go through a chroma sample."""
    rows, columns = pix_fmt.chroma_step
    return bool(height % rows or width % columns)


def output_colour(video: VideoInfo, facts: CodecFacts, *, pix_fmt: str) -> Colour:
    """Return the colour that the output states; where the source states none, how its samples are read."""
    stated = video.colour
    if format_facts(video.pix_fmt).family != format_facts(pix_fmt).family:
        stated = replace(stated, matrix=UNSPECIFIED, full_range=None)
    if not facts.has_range:
        stated = replace(stated, full_range=False)
    return resolved_colour(stated, pix_fmt=pix_fmt, height=video.height)


def _mean_rate(frames: FrameTable, info: MediaInfo) -> Fraction:
    """Return frames per second over the whole video; the header's number where it says the same."""
    stated = info.video.average_rate_from_header or DEFAULT_RATE
    span = (int(frames.pts[-1]) - int(frames.pts[0])) * info.video.time_base
    measured = (len(frames) - 1) / span if span else stated
    rate = stated if abs(stated - measured) < measured / 200 else measured.limit_denominator(1001)
    return min(max(rate, SLOWEST), FASTEST)
