"""Joins the segments and copies every other stream beside them, each packet at its source's time.

FFmpeg's concat demuxer is not used: it adds up durations, and after three cuts of a VFR clip is off by two
frames. Here a packet's time is looked up in the plan's frame table by the number of its frame.
"""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidsr.errors import VerificationError
from vidsr.media.chapters import placed_chapters
from vidsr.media.clock import dts_ladder
from vidsr.media.codecs import PNG, resolve_codec
from vidsr.media.convert import add_converted, converted_packets
from vidsr.media.copies import (
    MATROSKA_FAMILY,
    MP4_FAMILY,
    Placement,
    add_copy,
    copied_metadata,
    heads_of,
    is_cover,
    open_for_copying,
    ticks_of,
)
from vidsr.media.frames import format_facts
from vidsr.media.packets import clock_of, packets_of
from vidsr.media.shape import FILLER, display_size, shape_matroska, shape_mp4
from vidsr.media.still import write_png
from vidsr.media.tags import FLAGS, file_tags
from vidsr.media.trial import MUXER_OPTIONS
from vidsr.types import FrameTable, OutputPlan, Plan

if TYPE_CHECKING:
    pass  # in PyAV's stubs only

MAX_TIMESCALE = 2**31 - 1

STALE_TAGS = ("bps", "number_of_", "_statistics", "encoder", "duration", "alpha_mode", "vendor_id")
"""Beginnings of tags that describe the source's video track and not the restored one."""


def assemble(*, plan: Plan, source: Path, segments: Sequence[Path], output: Path) -> None:
    """Write `output` from the segments' video and the source's other streams.

    Packets are copied as they pass: memory holds what the muxer needs to interleave, ten seconds at most.

    Args:
        plan: decides container, times and streams.
        source: the input.
        segments: one for each part, in order.
        output: a file to write; the caller gives it its final name when it is verified.

    Raises:
        VerificationError: the segments do not hold the plan's frames, or do not fit together.
        OSError: `output` cannot be written.
    """
    delay = _reorder_delay(segments, num_frames=len(plan.frames))
    if plan.output.container == PNG:
        write_png(plan=plan, source=source, segments=segments, output=output)
        return
    with open_for_copying(source) as original, _open_output(output, plan, original) as file:
        pictures = _pictures(plan, source)
        tracks = _add_streams(file, plan, original, segment=segments[0], pictures=pictures)
        file.metadata.update(file_tags(original))
        file.set_chapters(placed_chapters(original, offset=plan.output.offset))
        file.start_encoding()
        video = _video_packets(segments, tracks.video, _Timeline.of(plan, tracks.video, delay=delay))
        copies = _copied_packets(original, tracks.copies, plan)
        converted = (
            converted_packets(
                source, original.streams[index], stream, clock=clock_of(plan), offset=plan.output.offset
            )
            for index, stream in tracks.conversions.items()
        )
        for packet in heapq.merge(video, copies, *converted, key=_decode_seconds):
            file.mux_one(packet)
    _state_shape(output, plan.output, tracks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tracks:
    video: VideoStream
    video_position: int
    """Number of tracks before it; covers of mp4 and attachments are no tracks."""
    copies: Mapping[int, Stream]
    """Output stream of each source stream whose packets are copied."""
    conversions: Mapping[int, Stream]
    """Output stream of each source stream that is converted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Timeline:
    """When each packet of the restored video goes, in ticks of the output's stream."""

    pts: NDArray[np.int64]
    """By frame. [n]"""
    dts: NDArray[np.int64]
    """By position in decoding order. [n]"""
    durations: NDArray[np.int64]
    """By frame. [n]"""
    last_duration: int
    """Of the packet that is decoded last: what makes the durations add up to the presentation's."""

    @classmethod
    def of(cls, plan: Plan, stream: VideoStream, *, delay: int) -> "_Timeline":
        assert stream.time_base is not None  # the header is written
        pts, end = output_times(
            plan.frames,
            time_base=plan.info.video.time_base,
            offset=plan.output.offset,
            tick=stream.time_base,
        )
        dts = dts_ladder(pts, delay=delay)
        durations = np.diff(pts, append=end)
        presented, decoded = end - int(pts[0]), int(dts[-1] - dts[0])
        return cls(pts=pts, dts=dts, durations=durations, last_duration=max(1, presented - decoded))


def output_times(
    frames: FrameTable, *, time_base: Fraction, offset: Fraction, tick: Fraction
) -> tuple[NDArray[np.int64], int]:
    """Return each frame's pts in the output and the end of the last frame, in ticks of `tick` seconds."""
    each = (ticks_of(int(pts) * time_base + offset, tick) for pts in frames.pts)
    times = np.fromiter(each, dtype=np.int64, count=len(frames))
    end = ticks_of((int(frames.pts[-1]) + int(frames.duration[-1])) * time_base + offset, tick)
    return times, max(end, int(times[-1]) + 1)


def _reorder_delay(segments: Sequence[Path], *, num_frames: int) -> int:
    """Return by how many places the output's packets are decoded before they are shown.

    Raises:
        VerificationError: a segment does not hold frames 0 to n-1 once each, or all do not hold `num_frames`.
    """
    delay, total = 0, 0
    for segment in segments:
        with open_for_copying(segment) as part:
            order = np.array([packet.pts for packet in part.demux(video=0) if packet.size], dtype=np.int64)
        if not np.array_equal(np.sort(order), np.arange(len(order))):
            msg = f"{segment}: does not hold each of its {len(order)} frames once; delete it and run again"
            raise VerificationError(msg)
        if len(order):
            delay = max(delay, int((np.arange(len(order)) - order).max()))
        total += len(order)
    if total != num_frames:
        msg = f"{len(segments)} segments hold {total} frames, the plan has {num_frames}; delete and run again"
        raise VerificationError(msg)
    return delay


def _open_output(output: Path, plan: Plan, original: InputContainer) -> OutputContainer:
    muxer = plan.output.container
    options = dict(MUXER_OPTIONS)
    if muxer in MP4_FAMILY:
        video_scale = video_timescale(plan.info.video.time_base)
        options |= {
            "movflags": f"+faststart{FLAGS.get(muxer, '')}",
            "video_track_timescale": str(video_scale),
            # Edit lists, which hold a late start, count in this.
            "movie_timescale": str(_movie_timescale(original, video_scale)),
        }
    return av.open(
        f"file:{output}", "w", format=muxer, container_options=options, metadata_errors="surrogateescape"
    )


def video_timescale(time_base: Fraction) -> int:
    """Return ticks per second in which mp4 holds times of `time_base` exactly, a million where none does."""
    return time_base.denominator if time_base.denominator <= 10_000_000 else 1_000_000


def _movie_timescale(original: InputContainer, video_scale: int) -> int:
    """Return ticks per second in which every stream's start is exact, as far as 31 bits go."""
    scale = video_scale
    for stream in original.streams:
        if isinstance(stream, AudioStream) and stream.codec_context is not None:
            rate = stream.codec_context.sample_rate
        else:
            rate = stream.time_base.denominator if stream.time_base else 1
        # A stream without a rate has 0; lcm with it would be 0.
        common = math.lcm(scale, rate or 1)
        scale = common if common <= MAX_TIMESCALE else scale
    return scale


def _add_streams(
    file: OutputContainer,
    plan: Plan,
    original: InputContainer,
    *,
    segment: Path,
    pictures: Mapping[int, bytes],
) -> _Tracks:
    """Add the output's streams in the source's order. `segment` is the first, `pictures` are the covers."""
    video: VideoStream | None = None
    position = 0
    copies: dict[int, Stream] = {}
    conversions: dict[int, Stream] = {}
    for entry in plan.streams:
        stream = original.streams[entry.source_index]
        if entry.action == "restore":
            video = _add_video(file, plan.output, stream, segment)
            tracks = (*copies, *conversions)
            position = sum(not is_cover(original.streams[index]) for index in tracks)
        elif entry.action == "copy":
            picture = pictures.get(stream.index, b"")
            added = add_copy(file, stream, muxer=plan.output.container, picture=picture)
            if added.type != "attachment":
                copies[stream.index] = added
        elif entry.action == "convert":
            conversions[stream.index] = add_converted(file, stream, codec=entry.target)
    assert video is not None  # every plan restores one stream
    return _Tracks(video=video, video_position=position, copies=copies, conversions=conversions)


def _pictures(plan: Plan, source: Path) -> dict[int, bytes]:
    """Return the payloads of the source's covers by stream index; Matroska wants them in its header."""
    covers = [stream.index for stream in plan.info.streams if stream.is_cover]
    heads = heads_of(source, muxer=plan.output.container, only=covers)
    return {index: bytes(head.packet) for index, head in heads.items()}


def _add_video(file: OutputContainer, output: OutputPlan, source: Stream, first_segment: Path) -> VideoStream:
    with open_for_copying(first_segment) as file_of_segment:
        template = file_of_segment.streams.video[0]
        stream = file.add_stream_from_template(template, opaque=True)
        segment_tag = template.codec_context.codec_tag
    context = stream.codec_context
    context.sample_aspect_ratio = output.sample_aspect_ratio
    context.framerate = output.frame_rate
    if output.container in MP4_FAMILY:
        facts = resolve_codec(output.codec)
        if facts.mp4_tag or segment_tag.strip("\0"):
            context.codec_tag = facts.mp4_tag or segment_tag
    stream.set_display_matrix(output.display_matrix)
    metadata = copied_metadata(source)
    stream.metadata.update(
        {key: value for key, value in metadata.items() if not key.lower().startswith(STALE_TAGS)}
    )
    if output.codec == "libvpx-vp9" and format_facts(output.pix_fmt).has_alpha:
        # Players look at the opacity inside the packets only where this says so.
        stream.metadata["alpha_mode"] = "1"
    if output.container in MATROSKA_FAMILY and output.sample_aspect_ratio != 1:
        stream.metadata["title"] = stream.metadata.get("title", "") + FILLER
    stream.disposition = source.disposition
    return stream


def _state_shape(path: Path, output: OutputPlan, tracks: _Tracks) -> None:
    """Write the display size of the restored video where its pixels are not square."""
    if output.sample_aspect_ratio == 1:
        return
    if output.container in MP4_FAMILY:
        shape_mp4(path, track=tracks.video_position, sample_aspect_ratio=output.sample_aspect_ratio)
    else:
        size = display_size(output.width, output.height, output.sample_aspect_ratio)
        shape_matroska(path, size=size)


def _video_packets(
    segments: Sequence[Path], stream: VideoStream, timeline: _Timeline
) -> Iterator["Packet[Any]"]:
    """Yield the segments' packets in order, at their frames' times."""
    num_frames = len(timeline.pts)
    start = position = 0
    extradata = stream.codec_context.extradata
    for segment in segments:
        with open_for_copying(segment) as part:
            if part.streams.video[0].codec_context.extradata != extradata:
                msg = (
                    f"{segment}: was encoded with other settings than the first part; delete it and run again"
                )
                raise VerificationError(msg)
            for packet in part.demux(video=0):
                if not packet.size:
                    continue
                index = start + cast(int, packet.pts)
                is_last = position == num_frames - 1
                _stamp(
                    packet,
                    stream,
                    pts=int(timeline.pts[index]),
                    dts=int(timeline.dts[position]),
                    duration=timeline.last_duration if is_last else int(timeline.durations[index]),
                )
                position += 1
                yield packet
        start = position


def _copied_packets(
    original: InputContainer, copies: Mapping[int, Stream], plan: Plan
) -> Iterator["Packet[Any]"]:
    """Yield the packets of the copied streams in the source's order, on one clock and moved by the offset."""
    if not copies:
        return
    places = {
        index: Placement.of(
            original.streams[index],
            tick=cast(Fraction, stream.time_base),
            offset=plan.output.offset,
            muxer=plan.output.container,
        )
        for index, stream in copies.items()
    }
    streams = [original.streams[index] for index in copies]
    for packet in packets_of(original, streams, clock=clock_of(plan)):
        place = places[packet.stream_index].place(packet)
        if place is None:
            continue
        _stamp(packet, copies[packet.stream_index], pts=place.pts, dts=place.dts, duration=place.duration)
        yield packet


def _stamp(packet: "Packet[Any]", stream: Stream, *, pts: int, dts: int, duration: int) -> None:
    packet.stream = stream
    packet.time_base = cast(Fraction, stream.time_base)
    packet.pts, packet.dts, packet.duration = pts, dts, duration


def _decode_seconds(packet: "Packet[Any]") -> Fraction:
    return cast(int, packet.dts) * packet.time_base
