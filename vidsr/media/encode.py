"""The writer of one part's segment.

A segment is a Matroska file of its own: it begins with an IDR picture, its groups of pictures are closed, and
the time stamps in it are frame numbers. The real times are written when the segments are assembled, so a
segment depends on its frames and settings alone, and its bytes do as well.
"""

import functools
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vidsr.errors import ConfigError, RefusedByCodecError
from vidsr.files import move_durably, remove_leftover, write_error
from vidsr.media import colour
from vidsr.media.codecs import AUTO, PNG, CodecFacts, resolve_codec
from vidsr.media.hdr import hdr_options
from vidsr.media.swscale import range_code
from vidsr.nearest import nearest
from vidsr.types import Frame, OutputPlan

SEGMENT_TICK = Fraction(1, 1000)
"""Matroska's tick. Frame n of a segment is at tick n."""

MAX_REORDER = 32
"""More than any encoder here delays its output; dts of a segment start this much below zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeSettings:
    """How segments are encoded. The same for all segments of a video.

    Raises:
        ConfigError: an unknown codec or preset, or a crf out of the codec's range.
        MissingCodecError: the codec is not in this FFmpeg build.
    """

    codec: str = "h264"
    """One of `vidsr.media.codecs.CODECS`, by any of its names; or auto, and the output's plan says which."""
    preset: str = "medium"
    crf: float = 18
    """Lower is better and larger. FFV1, lossless, and ProRes, whose presets are its qualities, go without."""
    threads: int = 4
    """Fixed, because what x264 and x265 write depends on it."""

    def __post_init__(self) -> None:
        """Refuse now what the encoder would refuse after an hour."""
        facts = self.facts
        if self.preset not in facts.presets:
            near, names = nearest(self.preset, facts.presets), ", ".join(facts.presets)
            msg = f"encode.preset={self.preset}: {facts.name} has no such preset{near}; there are: {names}"
            raise ConfigError(msg)
        if facts.max_crf is not None and not 0 <= self.crf <= facts.max_crf:
            msg = f"encode.crf={self.crf:g}: {facts.name} takes 0 to {facts.max_crf:g}"
            raise ConfigError(msg)
        if self.threads < 1:
            msg = f"encode.threads={self.threads}: must be at least 1"
            raise ConfigError(msg)

    @property
    def facts(self) -> CodecFacts:
        """What is known of the codec; of H.264 where it is still to be decided on."""
        return resolve_codec("h264" if self.codec == AUTO else self.codec)

    def decided(self, output: OutputPlan) -> "EncodeSettings":
        """Return the settings with the codec that the output's plan decided on.

        A picture waits for its file without loss, whatever is said of video.
        """
        if output.container == PNG:
            return EncodeSettings(codec="ffv1", threads=self.threads)
        return replace(self, codec=output.codec) if self.codec == AUTO else self

    def options(self) -> dict[str, str]:
        """Return the encoder's options, all but colour and geometry."""
        facts = self.facts
        quality = {} if facts.max_crf is None else {"crf": f"{self.crf:g}"}
        return {**facts.options, **facts.presets[self.preset], **quality}


class VideoSink(Protocol):
    """Takes the frames of one part, in order."""

    def write(self, frame: Frame) -> None:
        """Take the next frame."""
        ...

    def close(self) -> int:
        """Finish the file, give it its name, and return the number of frames in it."""
        ...

    def abort(self) -> None:
        """Leave nothing behind. May be called after anything, also twice."""
        ...


class SegmentWriter:
    """Encodes the frames of one part into `path`, which appears, whole, when `close` returns.

    Raises:
        DiskFullError, UnwritableError: from every method, naming `path`.
    """

    def __init__(self, path: Path, *, settings: EncodeSettings, output: OutputPlan) -> None:
        self._path = path
        self._unfinished = path.with_name(path.name + ".part")
        self._output = output
        self._num_frames = 0
        self._num_packets = 0
        try:
            # A random segment id would make two encodes of the same frames differ.
            self._container = av.open(
                f"file:{self._unfinished}", "w", format="matroska", container_options={"fflags": "+bitexact"}
            )
        except OSError as error:
            raise write_error(path, error) from error
        self._is_open = True
        self._stream = open_encoder(self._container, settings, output)

    def write(self, frame: Frame) -> None:
        """Encode `frame`, converted to the output's pixel format if it has another."""
        if (frame.width, frame.height) != (self._output.width, self._output.height):
            msg = (
                f"frame {frame.index} is {frame.width}x{frame.height}, "
                f"the plan has {self._output.width}x{self._output.height}"
            )
            raise ValueError(msg)
        wanted = colour.convert(frame, pix_fmt=self._output.pix_fmt, colour=self._output.colour)
        picture = colour.to_packed(wanted, pix_fmt=self._output.pix_fmt)
        picture.pts = self._num_frames
        picture.time_base = self._stream.codec_context.time_base
        self._num_frames += 1
        self._encode(picture)

    def close(self) -> int:
        """Flush the encoder, write everything to the disk, rename, and return the number of frames."""
        self._encode(None)
        self._is_open = False
        try:
            self._container.close()
            move_durably(self._unfinished, self._path)
        except OSError as error:
            raise write_error(self._path, error) from error
        if self._num_packets != self._num_frames:
            self._path.unlink()
            msg = f"{self._path}: {self._num_frames} frames were encoded, {self._num_packets} came out"
            raise ValueError(msg)
        return self._num_frames

    def abort(self) -> None:
        """Drop what was written."""
        try:
            if self._is_open:
                self._is_open = False
                self._container.close()
        except OSError:
            # The file is thrown away: that its end could not be written no longer matters.
            pass
        finally:
            remove_leftover(self._unfinished)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(picture):
                # Frame n sits at tick n; Matroska keeps no dts, they only have to rise.
                packet.time_base = SEGMENT_TICK
                packet.dts = self._num_packets - MAX_REORDER
                packet.duration = 1
                self._num_packets += 1
                self._container.mux_one(packet)
        except OSError as error:
            raise write_error(self._path, error) from error


def try_encoder(settings: EncodeSettings, output: OutputPlan) -> None:
    """Open the encoder once, before any work, and write nothing.

    Raises:
        RefusedByCodecError: it does not take pictures of that size or format.
    """
    settings = settings.decided(output)
    try:
        with av.open(io.BytesIO(), "w", format="matroska") as container:
            open_encoder(container, settings, output)
            container.start_encoding()
    except av.error.FFmpegError as error:
        picture, decided = f"{output.width}x{output.height} {output.pix_fmt}", settings.decided(output)
        msg = (
            f"encode.codec={settings.codec}: {decided.facts.encoder} refuses pictures of {picture} "
            f"({error.strerror}); name another with --set encode.codec, or another restore.scale"
        )
        raise RefusedByCodecError(msg) from error


def open_encoder(container: OutputContainer, settings: EncodeSettings, output: OutputPlan) -> VideoStream:
    """Add the stream of restored video to `container`; the encoder opens with the first frame."""
    settings = settings.decided(output)
    facts = settings.facts
    siting = {"chroma_sample_location": str(output.colour.chroma_location)}
    options = settings.options() | siting
    for more in (instruction_options(facts, cpu_features()), hdr_options(facts, output.hdr)):
        # The options of x264 and x265 are lists: what is added goes behind what is there.
        options |= {name: ":".join(filter(None, (options.get(name), value))) for name, value in more.items()}
    stream = add_encoder(container, facts, rate=output.frame_rate, options=options)
    stream.width, stream.height, stream.pix_fmt = output.width, output.height, output.pix_fmt
    context = stream.codec_context
    context.time_base = 1 / output.frame_rate
    context.sample_aspect_ratio = output.sample_aspect_ratio
    tag(context, output)
    # PyAV starts x264 with slice threads, which cost size and speed.
    stream.thread_type = "FRAME"
    context.thread_count = settings.threads
    return stream


def add_encoder(
    container: OutputContainer, facts: CodecFacts, *, rate: Fraction, options: Mapping[str, str]
) -> VideoStream:
    """Add a stream with an encoder that prints nothing.

    Raises:
        ValueError: the container cannot hold the codec.
    """
    if facts.encoder == "libsvtav1":
        # It reads its log level from the environment, once: errors only.
        os.environ.setdefault("SVT_LOG", "1")
    return cast(VideoStream, container.add_stream(facts.encoder, rate=rate, options=dict(options)))


def instruction_options(facts: CodecFacts, features: frozenset[str]) -> dict[str, str]:
    """Return the encoder options that keep a codec from CPU instructions whose result is not repeatable.

    x264's macroblock tree in AVX-512 (mbtree_propagate_list, core 165, 8 bits) takes eight macroblocks at a
    time and goes on behind the end of a row. Where a picture is not a multiple of eight macroblocks wide it
    adds up memory that was never written, and two encodes of the same frames differ, in size by up to 14 %
    where that memory was filled on purpose. With AVX2 it ends where the row ends, and takes no longer.

    Args:
        facts: the codec.
        features: of this CPU, as numpy names them. None is named that the CPU lacks: x264 would crash.
    """
    has_avx512 = any(name == "X86_V4" or name.startswith("AVX512") for name in features)
    return {"x264-params": "asm=AVX2"} if facts.encoder == "libx264" and has_avx512 else {}


@functools.cache
def cpu_features() -> frozenset[str]:
    """Return what this CPU can do beyond the least that numpy needs, in numpy's names."""
    return frozenset(np.show_config(mode="dicts")["SIMD Extensions"]["found"])


def tag(context: VideoCodecContext, output: OutputPlan) -> None:
    """State the output's colour in a stream's parameters."""
    context.colorspace = output.colour.matrix
    context.color_primaries = output.colour.primaries
    context.color_trc = output.colour.transfer
    context.color_range = range_code(output.colour)
