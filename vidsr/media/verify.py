"""Checks an output against its source: every frame, every time, every stream."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidsr.errors import InputError
from vidsr.media.codecs import CODECS, PNG, CodecFacts, resolve_codec
from vidsr.media.colour import is_hdr, resolved_colour
from vidsr.media.compare import (
    Difference,
    Pair,
    compare_attachment,
    compare_chapters,
    compare_file_tags,
    compare_packets,
    compare_tags,
    compare_timecode,
    describe,
    pair_streams,
)
from vidsr.media.compare_converted import compare_converted
from vidsr.media.container import container_family
from vidsr.media.copies import MP4_FAMILY, heads_of, is_cover, open_for_copying
from vidsr.media.frames import format_facts
from vidsr.media.hdr import hdr_differences
from vidsr.media.index import build_index
from vidsr.media.intermediate import film_frames, film_video, tone_mapped_video
from vidsr.media.mux import output_times
from vidsr.media.orientation import kept_aspect, kept_matrix
from vidsr.media.output_picture import kept_hdr, output_colour
from vidsr.media.packets import SourceClock, clock_of
from vidsr.media.playback import play
from vidsr.media.probe import probe
from vidsr.media.still import beside_of
from vidsr.media.streams import OnIncompatible, plan_streams
from vidsr.media.trial import Held, try_conversion, try_stream
from vidsr.types import Colour, FrameTable, HdrMetadata, MediaInfo, Plan, StreamPlan, VideoInfo

MAX_SCALE = 4
NOWHERE = -(2**62)
"""Time of a packet that has none: off by more than any tolerance."""
IDENTITY = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)

__all__ = ["Difference", "VerifyReport", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was found."""

    num_frames: int
    """Frames that the output should hold."""
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """True where the output is all it should be."""
        return not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expectation:
    """What the output should be: from the plan, or from the source alone."""

    info: MediaInfo
    frames: FrameTable
    clock: SourceClock
    streams: tuple[StreamPlan, ...]
    muxer: str
    offset: Fraction
    size: tuple[int, int] | None
    """(width, height); None for any integer multiple of the source's."""
    colour: Colour | None
    """None: as an output of this codec and pixel format should state it; and so are the HDR metadata."""
    hdr: HdrMetadata | None
    sample_aspect_ratio: Fraction
    display_matrix: tuple[int, ...]


def verify(
    source: Path,
    output: Path,
    *,
    plan: Plan | None = None,
    video_stream: int | None = None,
    frame_rate: Fraction | None = None,
    on_incompatible: OnIncompatible = "convert",
) -> VerifyReport:
    """Compare `output` with `source` and, where there is one, with the plan that it was made by.

    Frames, times, geometry and colour of the restored video; number, bytes and times of every copied packet;
    language, title and flags of every stream; chapters, attachments, covers. All of the restored video is
    decoded. Without a plan, the source is decoded once for its frame times.

    Args:
        source: the input.
        output: what was made of it.
        plan: that it was made by; the other arguments stand in for it.
        video_stream: index of the source's stream that was restored; None for the one that would be picked.
        frame_rate: pictures of a numbered source that are shown a second; None for 25.
        on_incompatible: what was done with streams that the output's container cannot hold.

    Raises:
        InputError: one of the files cannot be opened.
        ConfigError: a rate is given, and the source is a file.
    """
    try:
        found = probe(output)
    except InputError as error:
        if plan is None:
            raise
        return VerifyReport(
            num_frames=len(plan.frames), differences=(Difference(kind="decode", message=str(error)),)
        )
    expected = (
        _planned(plan)
        if plan is not None
        else _derived(
            probe(source, video_stream=video_stream, frame_rate=frame_rate), output, found, on_incompatible
        )
    )
    differences = tuple(_differences(expected, source, output))
    return VerifyReport(num_frames=len(expected.frames), differences=differences)


def _planned(plan: Plan) -> _Expectation:
    output = plan.output
    return _Expectation(
        info=plan.info,
        frames=plan.frames,
        clock=clock_of(plan),
        streams=tuple(plan.streams),
        muxer=output.container,
        offset=output.offset,
        size=(output.width, output.height),
        colour=output.colour,
        hdr=output.hdr,
        sample_aspect_ratio=output.sample_aspect_ratio,
        display_matrix=output.display_matrix or IDENTITY,
    )


def _derived(
    info: MediaInfo, output: Path, found: MediaInfo, on_incompatible: OnIncompatible
) -> _Expectation:
    """Decide what an output in the container of `found` should be, as a plan would."""
    index = build_index(Path(info.path), info, on_frame=lambda _number, _thumbnail: None)
    info, frames = index.info, index.frames
    if index.scan.is_telecined and _num_shown(output, found) != len(frames):
        # Telecine was undone: the film has fewer frames, and their times follow from those of the source.
        info, frames = replace(info, video=film_video(info.video)), film_frames(frames)
    muxer = container_family(found)
    beside = plan_streams(
        info, frames=frames, splices=index.splices, muxer=muxer, on_incompatible=on_incompatible
    )
    video = info.video
    return _Expectation(
        info=info,
        frames=frames,
        clock=SourceClock(splices=index.splices, video_index=video.stream_index),
        streams=beside.streams,
        muxer=muxer,
        offset=beside.offset,
        size=None,
        colour=None,
        hdr=None,
        sample_aspect_ratio=kept_aspect(video),
        display_matrix=kept_matrix(video, muxer=muxer) or IDENTITY,
    )


def _facts_of(video: VideoInfo) -> CodecFacts:
    """Return the facts of the codec; of FFV1, which holds anything, for codecs that are not written here."""
    return next((facts for facts in CODECS if facts.codec == video.codec), resolve_codec("ffv1"))


def _differences(expected: _Expectation, source: Path, output: Path) -> Iterator[Difference]:
    with open_for_copying(source) as before, open_for_copying(output) as after:
        pairs, surplus = pair_streams(expected.streams, before, after)
        for stream in surplus:
            message = f"the output has a stream that the source has not: {describe(stream)}"
            yield Difference(kind="stream", message=message)
        for pair in pairs:
            if pair.output is None:
                yield Difference(kind="stream", message=f"{describe(pair.source)} is not in the output")
        present = [pair for pair in pairs if pair.output is not None]
        yield from _compare_streams(present, source, muxer=expected.muxer)
        yield from compare_chapters(before, after, offset=expected.offset)
        if expected.muxer != PNG:
            yield from compare_file_tags(before, after, muxer=expected.muxer)
        yield from compare_packets(
            present, before, after, clock=expected.clock, offset=expected.offset, muxer=expected.muxer
        )
        yield from compare_converted(present, source, output, clock=expected.clock, offset=expected.offset)
        restored = [cast(Stream, pair.output).index for pair in present if pair.is_restored]
    if expected.muxer == PNG and beside_of(output) != beside_of(source):
        message = "the picture's EXIF, colour profile or texts are not those of the source"
        yield Difference(kind="payload", message=message)
    for index in restored:
        yield from _compare_picture(expected, probe(output, video_stream=index).video)
        yield from _compare_frames(expected, output, index)


def _compare_streams(pairs: list[Pair], source: Path, *, muxer: str) -> Iterator[Difference]:
    heads = heads_of(source, muxer=muxer)
    for pair in pairs:
        if pair.is_restored:
            yield from compare_timecode(pair)
        if pair.source.type == "attachment":
            yield from compare_attachment(pair)
        elif not is_cover(pair.source):
            head = heads.get(pair.source.index)
            held = (
                try_conversion(pair.source, pair.target, muxer=muxer)
                if pair.target
                else try_stream(pair.source, None if head is None else head.packet, muxer=muxer)
            )
            # Where the source's own codec does not fit, nothing is known of the flags beside it.
            yield from compare_tags(
                pair, replace(Held(), dispositions=0) if held.refusal else held, muxer=muxer
            )


def _compare_picture(expected: _Expectation, found: VideoInfo) -> Iterator[Difference]:
    """Yield the differences of size, shape, orientation and colour."""
    source = expected.info.video
    size = (found.width, found.height)
    sizes = [(source.width * scale, source.height * scale) for scale in range(1, MAX_SCALE + 1)]
    if size not in ([expected.size] if expected.size else sizes):
        wanted = (
            "x".join(map(str, expected.size)) if expected.size else f"1 to {MAX_SCALE} times the source's"
        )
        yield _picture("geometry", f"is {found.width}x{found.height}, not {wanted}")
    # Matroska states a display size in whole pixels.
    if abs(found.sample_aspect_ratio - expected.sample_aspect_ratio) * found.width > 1:
        ratios = f"{found.sample_aspect_ratio}, not {expected.sample_aspect_ratio}"
        yield _picture("geometry", f"has pixels of {ratios}")
    # The last row moves the picture; Matroska keeps only turns and flips, and players place it anyway.
    turn, wanted_turn = (found.display_matrix or IDENTITY)[:6], expected.display_matrix[:6]
    if turn != wanted_turn:
        yield _picture("geometry", f"is turned by the matrix {turn}, not {wanted_turn}")
    colour, metadata = _stated(expected, found)
    for line in hdr_differences(found.hdr, metadata):
        yield _picture("colour", line)
    for name, value, wanted_value in _colours(colour, found):
        if value != wanted_value:
            yield _picture("colour", f"is tagged with {name} {value}, not {wanted_value}")


def _stated(expected: _Expectation, found: VideoInfo) -> tuple[Colour, HdrMetadata | None]:
    """Return what the restored video should state of its colours."""
    if expected.colour is not None:
        return expected.colour, expected.hdr
    source, facts = expected.info.video, _facts_of(found)
    if is_hdr(source.colour) and not is_hdr(found.colour):
        source = tone_mapped_video(source)
    return output_colour(source, facts, pix_fmt=found.pix_fmt), kept_hdr(source, facts)


def _colours(expected: Colour, found: VideoInfo) -> Iterator[tuple[str, object, object]]:
    colour = resolved_colour(found.colour, pix_fmt=found.pix_fmt, height=found.height)
    # What is not stated in the end is compared as it is read; the matrix must be stated.
    if format_facts(found.pix_fmt).family != "gray":
        yield "matrix", found.colour.matrix, expected.matrix
    yield "primaries", colour.primaries, expected.primaries
    yield "transfer", colour.transfer, expected.transfer
    yield "range", "full" if colour.full_range else "limited", "full" if expected.full_range else "limited"


def _compare_frames(expected: _Expectation, output: Path, stream_index: int) -> Iterator[Difference]:
    """Yield the differences in number and time of the restored video's frames, and play it."""
    with open_for_copying(output) as file:
        stream = cast(VideoStream, file.streams[stream_index])
        tick = cast(Fraction, stream.time_base)
        got = _shown(file, stream)
        duration = _stated_duration(stream)
    wanted, end = output_times(
        expected.frames, time_base=expected.info.video.time_base, offset=expected.offset, tick=tick
    )
    if len(got) != len(wanted):
        yield Difference(kind="frames", message=f"the output shows {len(got)} frames, not {len(wanted)}")
    elif len(moved := np.flatnonzero(np.abs(got - wanted) > 1)):
        first = int(moved[0])
        shift = float(int(got[first] - wanted[first]) * tick)
        message = f"{len(moved)} frames are at another time, frame {first} by {shift:+.6f} s"
        yield Difference(kind="time", message=message)
    # Matroska counts a stream's duration from 0, mp4 from its first frame.
    lasting = end - (int(wanted[0]) if expected.muxer in MP4_FAMILY else 0)
    longest = int(np.diff(wanted, append=end).max())
    if duration is not None and abs(duration / tick - lasting) > longest:
        message = f"the video lasts {float(duration):.3f} s, not {float(lasting * tick):.3f} s"
        yield Difference(kind="duration", message=message)
    yield from play(output, stream_index, got)


def _num_shown(output: Path, found: MediaInfo) -> int:
    with open_for_copying(output) as file:
        return len(_shown(file, cast(VideoStream, file.streams[found.video.stream_index])))


def _shown(file: InputContainer, stream: VideoStream) -> NDArray[np.int64]:
    """Return the pts of every packet whose picture is shown, sorted."""
    shown = (packet.pts for packet in file.demux(stream) if packet.size and not packet.is_discard)
    return np.sort(np.fromiter((NOWHERE if pts is None else pts for pts in shown), dtype=np.int64))


def _stated_duration(stream: VideoStream) -> Fraction | None:
    """Return the seconds that the container says the stream lasts; Matroska says it in a tag.

    The tag comes first: without a number of its own, FFmpeg may give a stream the length of the whole file.
    """
    stated = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))
    if stated is not None:
        hours, minutes, seconds = stated.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    return None if stream.duration is None else stream.duration * cast(Fraction, stream.time_base)


def _picture(kind: str, what: str) -> Difference:
    return Difference(kind="colour" if kind == "colour" else "geometry", message=f"the restored video {what}")
