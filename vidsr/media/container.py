"""What the output file will be: container, streams and picture. Decided before a frame is restored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidsr.errors import UsageError
from vidsr.media.codecs import PNG, CodecFacts
from vidsr.media.output_picture import choose_codec, plan_picture
from vidsr.media.still import Beside, beside_of, plan_still
from vidsr.media.streams import OnIncompatible, name_of, plan_streams, refused_streams
from vidsr.media.trial import takes_codec
from vidsr.types import FrameTable, MediaInfo, OutputPlan, Splice, StreamPlan

SUFFIXES = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".png": PNG,
}
"""Muxer of each file name ending that can be asked for."""

DEFAULT_SUFFIX = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "webm": ".webm", PNG: ".png"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The part of a plan that concerns the output file."""

    output: OutputPlan
    streams: tuple[StreamPlan, ...]
    warnings: tuple[str, ...]
    """What the output cannot keep of the source, one line each."""


def suffix_for(
    info: MediaInfo,
    *,
    codec: str,
    scale: int,
    suffix: str | None = None,
    on_incompatible: OnIncompatible = "convert",
) -> str:
    """Return the ending of the output's name: the one that is asked for, unless the container is changed."""
    if _is_picture(info, suffix):
        return suffix or DEFAULT_SUFFIX[PNG]
    facts, _ = choose_codec(info, codec, muxer=_asked(suffix), scale=scale)
    muxer, _ = _choose_muxer(info, suffix, facts, on_incompatible)
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
    if _is_picture(info, suffix):
        beside = plan_streams(
            info, frames=frames, splices=splices, muxer=PNG, on_incompatible=on_incompatible
        )
        picture, losses = plan_still(info, frames=frames, scale=scale, offset=beside.offset)
        return Decision(output=picture, streams=beside.streams, warnings=(*beside.warnings, *losses))
    facts, reasons = choose_codec(info, codec, muxer=_asked(suffix), scale=scale)
    muxer, warnings = _choose_muxer(info, suffix, facts, on_incompatible)
    beside = plan_streams(info, frames=frames, splices=splices, muxer=muxer, on_incompatible=on_incompatible)
    picture, losses = plan_picture(info, facts, frames=frames, muxer=muxer, scale=scale, offset=beside.offset)
    return Decision(
        output=picture,
        streams=beside.streams,
        warnings=(*reasons, *warnings, *beside.warnings, *losses, *_unsaid(info, muxer)),
    )


def container_family(info: MediaInfo) -> str:
    """Return the muxer of the source's own kind of container, Matroska for kinds not written here."""
    if info.is_still:
        return PNG
    if info.container.startswith("mov,"):
        brand = dict(info.metadata).get("major_brand", "")
        is_quicktime = brand.startswith("qt") or (not brand and Path(info.path).suffix.lower() == ".mov")
        return "mov" if is_quicktime else "mp4"
    if info.container.startswith("matroska"):
        return "webm" if Path(info.path).suffix.lower() == ".webm" else "matroska"
    return "matroska"


def _is_picture(info: MediaInfo, suffix: str | None) -> bool:
    """Return whether the output is a picture file.

    Raises:
        UsageError: that is asked for, and the source is a video.
    """
    if _asked(suffix) == PNG and not info.is_still:
        msg = f"output ending {suffix}: a picture holds one frame, and {info.path} is a video; take .mkv"
        raise UsageError(msg)
    return info.is_still and _asked(suffix) in {None, PNG}


def _unsaid(info: MediaInfo, muxer: str) -> list[str]:
    """Return what is lost of a picture that becomes a video."""
    if not info.is_still or beside_of(Path(info.path)) == Beside():
        return []
    return [f"the picture's EXIF, colour profile or texts are left out: {muxer} has no place for them"]


def _asked(suffix: str | None) -> str | None:
    """Return the muxer that a name's ending asks for; None where there is no name."""
    if suffix is None:
        return None
    muxer = SUFFIXES.get(suffix.lower())
    if muxer is None:
        msg = f"output ending {suffix or '(none)'}: wanted one of {', '.join(SUFFIXES)}"
        raise UsageError(msg)
    return muxer


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
    muxer = _asked(suffix)
    if muxer is not None:
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
