"""What happens to each stream beside the picture: copied or left out, and what is forgotten of it."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

from av.container import InputContainer
from av.stream import Disposition, Stream

from vidsr.media.copies import (
    MP4_FAMILY,
    Head,
    heads_of,
    is_chapter_track,
    is_timecode_track,
    open_for_copying,
)
from vidsr.media.packets import SourceClock
from vidsr.media.trial import Held, try_stream
from vidsr.types import FrameTable, MediaInfo, Splice, StreamInfo, StreamPlan


def plan_streams(
    info: MediaInfo, *, frames: FrameTable, splices: Sequence[Splice], muxer: str
) -> tuple[tuple[StreamPlan, ...], Fraction, tuple[str, ...]]:
    """Return what happens to each stream of the source, the offset of all, and what is lost.

    The offset, in seconds, is the smallest that puts the video at or after zero and every other stream where
    the container can hold it.
    """
    clock = SourceClock(splices=tuple(splices), video_index=info.video.stream_index)
    heads = heads_of(Path(info.path), muxer=muxer, clock=clock)
    plans: list[StreamPlan] = []
    warnings: list[str] = []
    offset = max(Fraction(0), -int(frames.pts[0]) * info.video.time_base)
    with open_for_copying(Path(info.path)) as file:
        for entry, stream in zip(info.streams, file.streams, strict=True):
            head = heads.get(stream.index)
            if stream.index == info.video.stream_index:
                plans.append(_plan(entry, "restore"))
                continue
            reason = _rewritten(stream, file)
            if reason:
                plans.append(_plan(entry, "drop", reason))
                continue
            held = try_stream(stream, None if head is None else head.packet, muxer=muxer)
            if held.refusal:
                plans.append(_plan(entry, "drop", held.refusal))
                warnings.append(f"{_name(entry)} is left out: {held.refusal}{_advice(muxer)}")
                continue
            plans.append(_plan(entry, "copy"))
            offset = max(offset, _offset_for(head, held, muxer=muxer))
            warnings += _tags_lost(entry, stream, held, muxer=muxer)
            if head is not None and head.is_trimmed:
                warnings.append(_trimmed(entry, muxer=muxer))
    return tuple(plans), offset, tuple(warnings)


def _rewritten(stream: Stream, file: InputContainer) -> str:
    """Return why `stream` needs no copy, as what it holds is written anew. Empty where it does."""
    if is_chapter_track(stream):
        return "it repeats the chapters, which are copied"
    if is_timecode_track(stream) and any("timecode" in video.metadata for video in file.streams.video):
        return "the timecode is kept as a tag of the video stream"
    return ""


def _plan(entry: StreamInfo, action: Literal["restore", "copy", "drop"], reason: str = "") -> StreamPlan:
    return StreamPlan(
        source_index=entry.index, kind=entry.kind, codec=entry.codec, action=action, reason=reason
    )


def _offset_for(head: Head | None, held: Held, *, muxer: str) -> Fraction:
    """Return the seconds by which a stream must be moved for the container to hold its first packet."""
    packet = None if head is None else head.packet
    if packet is None or packet.pts is None:
        return Fraction(0)
    earliest = held.earliest
    if muxer in MP4_FAMILY:
        # An edit list hides what lies below zero: right for an encoder's priming, wrong for sound.
        is_silent = packet.is_discard or packet.has_sidedata("skip_samples")
        earliest = None if is_silent else Fraction(0)
    return Fraction(0) if earliest is None else earliest - packet.pts * packet.time_base


def _tags_lost(entry: StreamInfo, stream: Stream, held: Held, *, muxer: str) -> list[str]:
    lost = Disposition(int(stream.disposition) & ~held.dispositions)
    names = [flag.name for flag in Disposition if flag & lost and flag.name]
    things = [f"flag {name}" for name in names]
    if not held.has_language:
        things.append(f"language {entry.language}")
    if not held.has_title:
        things.append(f"title {entry.title!r}")
    if not things:
        return []
    return [f"{_name(entry)} loses its {' and '.join(things)} in {muxer}{_advice(muxer)}"]


def _trimmed(entry: StreamInfo, *, muxer: str) -> str:
    hidden = "what the source's edit list hides before its start"
    return f"{_name(entry)} is copied without {hidden}: {muxer} has no edit lists"


def _name(entry: StreamInfo) -> str:
    language = f", {entry.language}" if entry.language else ""
    return f"stream {entry.index} ({entry.kind} {entry.codec}{language})"


def _advice(muxer: str) -> str:
    return "" if muxer == "matroska" else "; name the output .mkv to keep it"
