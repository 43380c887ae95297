"""What happens to each stream beside the picture: copied, converted or left out, and what of it is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from av.container import InputContainer
from av.stream import Disposition, Stream

from vidsr.errors import UsageError
from vidsr.media.codecs import PNG
from vidsr.media.convert import nearest_codec
from vidsr.media.copies import (
    MP4_FAMILY,
    Head,
    heads_of,
    is_chapter_track,
    is_timecode_track,
    open_for_copying,
)
from vidsr.media.packets import SourceClock
from vidsr.media.tags import file_tags, lost_tags
from vidsr.media.texts import num_lost, read_texts
from vidsr.media.trial import NOTHING_LOST, Held, try_conversion, try_stream
from vidsr.types import FrameTable, MediaInfo, Splice, StreamInfo, StreamPlan

OnIncompatible = Literal["convert", "mkv", "stop", "drop"]
"""What to do with a stream that the output's container cannot hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDecision:
    """What becomes of the streams of a source in one container."""

    streams: tuple[StreamPlan, ...]
    """Of the source, in its order."""
    offset: Fraction
    """Seconds: the least that puts the video at or after zero and the rest where the container holds it."""
    warnings: tuple[str, ...]
    """What is lost, one line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fate:
    """What becomes of one stream."""

    plan: StreamPlan
    held: Held = NOTHING_LOST
    """What the container makes of it."""
    refusal: str = ""
    """Why it is not there as it was; empty where it is, or where it need not be."""


def plan_streams(
    info: MediaInfo,
    *,
    frames: FrameTable,
    splices: Sequence[Splice],
    muxer: str,
    on_incompatible: OnIncompatible,
) -> StreamDecision:
    """Decide what happens to each stream of the source.

    Raises:
        UsageError: `on_incompatible` is "stop", and the container cannot hold a stream as it is.
    """
    clock = SourceClock(splices=tuple(splices), video_index=info.video.stream_index)
    heads = heads_of(Path(info.path), muxer=muxer, clock=clock)
    plans: list[StreamPlan] = []
    warnings: list[str] = []
    offset = max(Fraction(0), -int(frames.pts[0]) * info.video.time_base)
    for entry, fate in zip(info.streams, _fates(info, heads, muxer, on_incompatible), strict=True):
        head = heads.get(entry.index)
        plans.append(fate.plan)
        if fate.refusal:
            warnings.append(_said(entry, fate, muxer=muxer))
            warnings += _cues_lost(info, fate.plan, clock)
        if fate.plan.action in {"copy", "convert"}:
            is_copy = fate.plan.action == "copy"
            offset = max(offset, _offset_for(head, fate.held, can_begin_early=is_copy, muxer=muxer))
            warnings += _tags_lost(entry, fate.held, muxer=muxer)
            if is_copy and head is not None and head.is_trimmed:
                warnings.append(_trimmed(entry, muxer=muxer))
    warnings += _file_tags_lost(info, muxer=muxer)
    return StreamDecision(streams=tuple(plans), offset=offset, warnings=tuple(warnings))


def refused_streams(info: MediaInfo, *, muxer: str) -> list[StreamPlan]:
    """Return the streams that `muxer` cannot hold as they are, and what it can have instead of each."""
    fates = _fates(info, heads_of(Path(info.path), muxer=muxer), muxer, "convert")
    return [fate.plan for fate in fates if fate.refusal]


def _fates(
    info: MediaInfo, heads: dict[int, Head], muxer: str, on_incompatible: OnIncompatible
) -> list[_Fate]:
    with open_for_copying(Path(info.path)) as file:
        fates = [
            _Fate(plan=_plan(entry, "restore"))
            if entry.index == info.video.stream_index
            else _fate(entry, stream, file, heads.get(entry.index), muxer=muxer)
            for entry, stream in zip(info.streams, file.streams, strict=True)
        ]
    refused = [fate for fate in fates if fate.refusal]
    if on_incompatible == "stop" and refused:
        names = "; ".join(f"{name_of(info.streams[fate.plan.source_index])}" for fate in refused)
        msg = (
            f"{info.path}: {muxer} cannot hold {names}; name the output .mkv, "
            "or pass --on-incompatible convert, mkv or drop"
        )
        raise UsageError(msg)
    if on_incompatible == "drop":
        return [_dropped(fate) for fate in fates]
    return fates


def _fate(entry: StreamInfo, stream: Stream, file: InputContainer, head: Head | None, *, muxer: str) -> _Fate:
    if reason := _rewritten(stream, file):
        return _Fate(plan=_plan(entry, "drop", reason))
    held = try_stream(stream, None if head is None else head.packet, muxer=muxer)
    if not held.refusal:
        return _Fate(plan=_plan(entry, "copy"), held=held)
    codec = nearest_codec(stream, muxer=muxer)
    converted = try_conversion(stream, codec, muxer=muxer) if codec else held
    if converted.refusal:
        return _Fate(plan=_plan(entry, "drop", held.refusal), refusal=held.refusal)
    return _Fate(
        plan=_plan(entry, "convert", held.refusal, target=codec), held=converted, refusal=held.refusal
    )


def _cues_lost(info: MediaInfo, plan: StreamPlan, clock: SourceClock) -> list[str]:
    if plan.action != "convert" or plan.kind != "subtitle":
        return []
    number = num_lost(read_texts(Path(info.path), plan.source_index, clock=clock), plan.target)
    name = name_of(info.streams[plan.source_index])
    return [f"{name}: {number} of its cues cannot be converted and are left out"] if number else []


def _dropped(fate: _Fate) -> _Fate:
    plan = fate.plan
    if plan.action != "convert":
        return fate
    dropped = StreamPlan(
        source_index=plan.source_index, kind=plan.kind, codec=plan.codec, action="drop", reason=fate.refusal
    )
    return _Fate(plan=dropped, refusal=fate.refusal)


def _said(entry: StreamInfo, fate: _Fate, *, muxer: str) -> str:
    if fate.plan.action == "convert":
        what = f"is converted to {fate.plan.target}"
        advice = "" if muxer == "matroska" else "; name the output .mkv to keep it as it is"
    else:
        what, advice = "is left out", _advice(muxer)
    return f"{name_of(entry)} {what}: {fate.refusal}{advice}"


def _rewritten(stream: Stream, file: InputContainer) -> str:
    """Return why `stream` needs no copy, as what it holds is written anew. Empty where it does."""
    if is_chapter_track(stream):
        return "it repeats the chapters, which are copied"
    if is_timecode_track(stream) and any("timecode" in video.metadata for video in file.streams.video):
        return "the timecode is kept as a tag of the video stream"
    return ""


def _plan(
    entry: StreamInfo,
    action: Literal["restore", "copy", "convert", "drop"],
    reason: str = "",
    *,
    target: str = "",
) -> StreamPlan:
    return StreamPlan(
        source_index=entry.index,
        kind=entry.kind,
        codec=entry.codec,
        action=action,
        reason=reason,
        target=target,
    )


def _offset_for(head: Head | None, held: Held, *, can_begin_early: bool, muxer: str) -> Fraction:
    """Return the seconds by which a stream must be moved for the container to hold its first packet."""
    packet = None if head is None else head.packet
    if packet is None or packet.pts is None:
        return Fraction(0)
    earliest = held.earliest
    if muxer in MP4_FAMILY or not can_begin_early:
        # An edit list hides what lies below zero, and a decoder leaves an encoder's priming out: right for
        # that, wrong for sound.
        is_silent = packet.is_discard or packet.has_sidedata("skip_samples")
        earliest = None if is_silent else Fraction(0)
    return Fraction(0) if earliest is None else earliest - packet.pts * packet.time_base


def _tags_lost(entry: StreamInfo, held: Held, *, muxer: str) -> list[str]:
    flags = [flag for flag in Disposition if flag.name in entry.dispositions]
    things = [f"flag {flag.name}" for flag in flags if not flag & held.dispositions]
    if not held.has_language:
        things.append(f"language {entry.language}")
    if not held.has_title:
        things.append(f"title {entry.title!r}")
    if not things:
        return []
    return [f"{name_of(entry)} loses its {' and '.join(things)} in {muxer}{_advice(muxer)}"]


def _file_tags_lost(info: MediaInfo, *, muxer: str) -> list[str]:
    if muxer == PNG:
        return []
    with open_for_copying(Path(info.path)) as file:
        lost = lost_tags(file_tags(file), muxer=muxer)
    return [f"the file loses its tags {', '.join(lost)} in {muxer}{_advice(muxer)}"] if lost else []


def _trimmed(entry: StreamInfo, *, muxer: str) -> str:
    hidden = "what the source's edit list hides before its start"
    return f"{name_of(entry)} is copied without {hidden}: {muxer} has no edit lists"


def name_of(entry: StreamInfo) -> str:
    """Return how messages name a stream of the source."""
    language = f", {entry.language}" if entry.language else ""
    return f"stream {entry.index} ({entry.kind} {entry.codec}{language})"


def _advice(muxer: str) -> str:
    return "" if muxer == "matroska" else "; name the output .mkv to keep it"
