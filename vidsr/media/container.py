"""What the output file will be: container, streams and picture. Decided before a frame is restored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vidsr.errors import ConfigError, UsageError
from vidsr.media.codecs import CodecFacts, resolve_codec
from vidsr.media.colour import output_pix_fmt, resolved_colour
from vidsr.media.frames import FormatFacts, format_facts
from vidsr.media.streams import OnIncompatible, name_of, plan_streams, refused_streams
from vidsr.media.trial import takes_codec
from vidsr.types import (
    UNSPECIFIED,
    Colour,
    FrameTable,
    MediaInfo,
    OutputPlan,
    Splice,
    StreamPlan,
    VideoInfo,
)

SUFFIXES = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Muxer of each file name ending that can be asked for."""

DEFAULT_SUFFIX = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "webm": ".webm"}


DEFAULT_RATE = Fraction(25)
"""Of a single picture."""
SLOWEST, FASTEST = Fraction(1), Fraction(240)
"""Frames per second that every encoder accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The part of a plan that concerns the output file."""

    output: OutputPlan
    streams: tuple[StreamPlan, ...]
    warnings: tuple[str, ...]
    """What the output cannot keep of the source, one line each."""


def suffix_for(
    info: MediaInfo, *, codec: str, suffix: str | None = None, on_incompatible: OnIncompatible = "convert"
) -> str:
    """Return the ending of the output's name: the one that is asked for, unless the container is changed."""
    muxer, _ = _choose_muxer(info, suffix, resolve_codec(codec), on_incompatible)
    is_kept = suffix is not None and SUFFIXES[suffix.lower()] == muxer
    return suffix if is_kept and suffix is not None else DEFAULT_SUFFIX[muxer]


def decide_output(
    info: MediaInfo,
    *,
    frames: FrameTable,
    splices: Sequence[Splice] = (),
    suffix: str | None,
    codec: str,
    scale: int,
    on_incompatible: OnIncompatible = "convert",
) -> Decision:
    """Decide container, streams, picture format and time offset of the output.

    Args:
        info: of the source, whose file is read: containers are asked what they hold of its streams.
        frames: its frame table.
        splices: where its clock starts anew.
        suffix: ending that the user asked for, None for the source's own kind of container.
        codec: name of a codec as users write it.
        scale: output size over input size.
        on_incompatible: what to do with streams that the container cannot hold.

    Raises:
        UsageError: the ending is of no container that is written here, or of one that cannot hold the codec,
            or a stream and `on_incompatible` says to stop.
        ConfigError: the codec cannot hold pictures of this size.
    """
    facts = resolve_codec(codec)
    muxer, warnings = _choose_muxer(info, suffix, facts, on_incompatible)
    beside = plan_streams(info, frames=frames, splices=splices, muxer=muxer, on_incompatible=on_incompatible)
    picture, losses = _plan_picture(
        info, facts, frames=frames, muxer=muxer, scale=scale, offset=beside.offset
    )
    return Decision(output=picture, streams=beside.streams, warnings=(*warnings, *beside.warnings, *losses))


def container_family(info: MediaInfo) -> str:
    """Return the muxer of the source's own kind of container, Matroska for kinds not written here."""
    if info.container.startswith("mov,"):
        brand = dict(info.metadata).get("major_brand", "")
        is_quicktime = brand.startswith("qt") or (not brand and Path(info.path).suffix.lower() == ".mov")
        return "mov" if is_quicktime else "mp4"
    if info.container.startswith("matroska"):
        return "webm" if Path(info.path).suffix.lower() == ".webm" else "matroska"
    return "matroska"


def _choose_muxer(
    info: MediaInfo, suffix: str | None, facts: CodecFacts, on_incompatible: OnIncompatible
) -> tuple[str, list[str]]:
    """Return the output's muxer, and warnings where it is not the one that was asked for or expected."""
    muxer, warnings = _usual_muxer(info, suffix, facts)
    # Where nobody names the container, none is taken that costs a stream.
    may_change = on_incompatible == "mkv" or (suffix is None and on_incompatible == "convert")
    if muxer == "matroska" or not may_change:
        return muxer, warnings
    actions = {"drop"} if on_incompatible == "convert" else {"drop", "convert"}
    here, there = (
        [plan for plan in refused_streams(info, muxer=name) if plan.action in actions]
        for name in (muxer, "matroska")
    )
    if len(there) >= len(here):
        return muxer, warnings
    names = ", ".join(name_of(info.streams[plan.source_index]) for plan in here)
    return "matroska", [*warnings, f"the output is matroska: {muxer} cannot hold {names}"]


def _usual_muxer(info: MediaInfo, suffix: str | None, facts: CodecFacts) -> tuple[str, list[str]]:
    if suffix is not None:
        muxer = SUFFIXES.get(suffix.lower())
        if muxer is None:
            msg = f"output ending {suffix or '(none)'}: wanted one of {', '.join(SUFFIXES)}"
            raise UsageError(msg)
        if not takes_codec(muxer, facts.encoder):
            msg = (
                f"output ending {suffix}: {muxer} cannot hold {facts.name}; take .mkv or another encode.codec"
            )
            raise UsageError(msg)
        return muxer, []
    own = container_family(info)
    # mp4 and mov are one family: what one cannot hold the other may.
    candidates = {"mp4": ("mp4", "mov"), "mov": ("mov", "mp4")}.get(own, (own,))
    muxer = next((name for name in candidates if takes_codec(name, facts.encoder)), "matroska")
    changed = [] if muxer == own else [f"the output is {muxer}: {own} cannot hold {facts.name}"]
    return muxer, changed


def _plan_picture(
    info: MediaInfo, facts: CodecFacts, *, frames: FrameTable, muxer: str, scale: int, offset: Fraction
) -> tuple[OutputPlan, list[str]]:
    video = info.video
    width, height = video.width * scale, video.height * scale
    pix_fmt, losses = _choose_pix_fmt(info, facts, width=width, height=height)
    matrix = video.display_matrix
    plan = OutputPlan(
        container=muxer,
        codec=facts.encoder,
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        colour=output_colour(video, facts, pix_fmt=pix_fmt),
        sample_aspect_ratio=video.sample_aspect_ratio,
        display_matrix=None
        if matrix is None
        else (*matrix[:6], matrix[6] * scale, matrix[7] * scale, matrix[8]),
        offset=offset,
        frame_rate=_mean_rate(frames, info),
    )
    return plan, losses


def _choose_pix_fmt(info: MediaInfo, facts: CodecFacts, *, width: int, height: int) -> tuple[str, list[str]]:
    """Return the output's pixel format and what it loses of the source's."""
    source = format_facts(info.video.pix_fmt)
    usable = [
        name
        for name in facts.pix_fmts
        if facts.takes_odd_sizes or not _splits(format_facts(name), width=width, height=height)
    ]
    if not usable:
        msg = f"{facts.name} takes no picture of {width}x{height}, which is odd; take an even scale or h264"
        raise ConfigError(msg)
    wanted = info.video.pix_fmt
    if source.family == "gray" and facts.accepts != "any":
        # Few players show video without chroma; two gray planes beside it cost next to nothing.
        wanted = f"yuv420p{'' if source.bits == 8 else f'{source.bits}le'}"
    pix_fmt = output_pix_fmt(wanted, usable)
    warnings = []
    chosen = format_facts(pix_fmt)
    if _has_hidden_alpha(info):
        warnings.append("transparency is given up: FFmpeg's own VP8 and VP9 decoders do not show it")
    if source.has_alpha and not chosen.has_alpha:
        warnings.append(f"transparency is given up: {facts.name} has none; take encode.codec=prores or ffv1")
    if source.family == "yuv" and source.chroma_step != chosen.chroma_step and width % 2 + height % 2:
        warnings.append(f"{width}x{height} is odd, so the output is {pix_fmt}: not all players show it")
    return pix_fmt, warnings


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
