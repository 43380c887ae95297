"""What a file says about itself: its header, and its first picture where the header is silent."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vidsr.errors import InputError, NotAVideoError
from vidsr.media.copies import codec_of, is_cover, language_of, title_of
from vidsr.media.frames import colour_of, format_facts, planar_format
from vidsr.media.hdr import hdr_of
from vidsr.media.iso import lacks_table
from vidsr.media.limits import bound_pixels
from vidsr.media.packets import packets_of
from vidsr.media.sequence import files_of, how_to_open, is_sequence
from vidsr.media.side_data import side_data_of
from vidsr.types import UNSPECIFIED, Colour, MediaInfo, StreamInfo, StreamKind, VideoInfo

MICROSECONDS = 1_000_000
CHROMA_LEFT, CHROMA_CENTRE = 1, 2
FIRST_PICTURE_PACKETS = 100
"""Packets that are tried for the first picture; a file that gives none by then is described by its header."""

_OPACITY_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_NOT_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
# These demuxers turn any text into pictures of that text.
_TEXT_DEMUXERS = frozenset({"tty", "bin", "xbin", "adf", "idf"})
# PyAV does not show a frame's chroma siting. JPEG and MPEG-1 have theirs between the luma samples, always.
_CENTRED_CODECS = frozenset({"mjpeg", "mpeg1video"})


def open_input(path: Path, *, frame_rate: Fraction | None = None) -> InputContainer:
    """Open a media file; to be closed, or used in a `with` statement.

    Args:
        path: a file, or a pattern of numbered pictures.
        frame_rate: numbered pictures that are shown a second; None for 25.

    Raises:
        NotAVideoError: it is missing, a folder, empty, or nothing that FFmpeg reads.
        InputError: it cannot be read.
        ConfigError: a rate is given, and `path` is a file.
    """
    for file in files_of(path):
        _check_file(file)
    name, demuxer, options = how_to_open(path, frame_rate=frame_rate)
    try:
        # A broken byte in a title is no reason to refuse a video.
        return av.open(name, format=demuxer, options=options, metadata_errors="replace")
    except PermissionError as error:
        msg = f"{path}: may not be read"
        raise InputError(msg) from error
    except av.error.ArgumentError as error:
        msg = (
            f"{path}: not opened; a list of other files or addresses is not followed: give the video itself "
            f"({_reason(error)})"
        )
        raise NotAVideoError(msg) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        msg = f"{path}: not a media file, or damaged at its beginning ({_reason(error)})"
        if path.is_file() and lacks_table(path):
            msg = f"{path}: the moov box is missing, the mp4's table: it was cut off, or never finished"
        raise NotAVideoError(msg) from error


def _check_file(path: Path) -> None:
    if not path.exists():
        msg = f"{path}: no such file"
        raise NotAVideoError(msg)
    if not path.is_file():
        msg = f"{path}: is {'a folder' if path.is_dir() else 'not a regular file'}, wanted a video file"
        raise NotAVideoError(msg)
    if not path.stat().st_size:
        msg = f"{path}: the file is empty"
        raise NotAVideoError(msg)


def probe(path: Path, *, video_stream: int | None = None, frame_rate: Fraction | None = None) -> MediaInfo:
    """Describe a file.

    `video.pix_fmt` is the format in which frames arrive: planar, native byte order (see media/frames.py).

    Args:
        path: a file.
        video_stream: index of the stream to restore. None: the default one, or the one with the most
            samples; never a cover.
        frame_rate: numbered pictures that are shown a second; None for 25.

    Raises:
        NotAVideoError: no such file, a folder, empty, not a media file, or no picture that moves in it.
        InputError: it cannot be read, or its picture has a codec that is not in this FFmpeg build.
        ConfigError: a rate is given, and `path` is a file.
    """
    with open_input(path, frame_rate=frame_rate) as container:
        stream = pick_video(container, path, index=video_stream)
        video = _video_info(container, stream, path)
        return MediaInfo(
            path=str(path),
            container=container.format.name,
            streams=tuple(_stream_info(each) for each in container.streams),
            video=video,
            duration_seconds_from_header=None
            if container.duration is None
            else container.duration / MICROSECONDS,
            num_chapters=len(container.chapters()),
            is_still=_is_still(container, path, stream_index=video.stream_index),
            frame_rate=1 / video.time_base if is_sequence(path) else None,
            metadata=tuple(sorted(container.metadata.items())),
        )


def pick_video(container: InputContainer, path: Path, *, index: int | None = None) -> VideoStream:
    """Return the video stream to restore: number `index` of the file, or the best one."""
    if container.format.name in _TEXT_DEMUXERS:
        msg = f"{path}: not a video (FFmpeg would draw its bytes as text)"
        raise NotAVideoError(msg)
    streams = [stream for stream in container.streams.video if not stream.disposition & _NOT_PICTURES]
    if index is not None:
        streams = [stream for stream in container.streams.video if stream.index == index]
        if not streams:
            numbers = ", ".join(str(stream.index) for stream in container.streams.video) or "none"
            msg = f"{path}: stream {index} is not a video stream; video streams: {numbers}"
            raise NotAVideoError(msg)
    if not streams:
        kinds = sorted({_kind(stream) for stream in container.streams})
        msg = f"{path}: there is no video in it, only {' and '.join(kinds) or 'nothing'}"
        raise NotAVideoError(msg)
    return max(streams, key=_rank)


def _is_still(container: InputContainer, path: Path, *, stream_index: int) -> bool:
    """Return whether the file is a picture with nothing behind it."""
    name = container.format.name
    if is_sequence(path) or not (name.endswith("_pipe") or name == "image2"):
        return False
    with open_input(path) as file:
        return sum(1 for _ in packets_of(file, [file.streams[stream_index]])) == 1


def _rank(stream: VideoStream) -> tuple[bool, bool, int, int]:
    has_decoder = _has_decoder(stream)
    size = stream.codec_context.width * stream.codec_context.height if has_decoder else 0
    return has_decoder, bool(stream.disposition & Disposition.default), size, -stream.index


def _has_decoder(stream: VideoStream) -> bool:
    # The stub promises a context, but a codec that this build does not know has none.
    return cast(object, stream.codec_context) is not None


def _video_info(container: InputContainer, stream: VideoStream, path: Path) -> VideoInfo:
    if not _has_decoder(stream):
        msg = f"{path}: stream {stream.index}: no decoder for its codec in this FFmpeg build"
        raise InputError(msg)
    assert stream.time_base is not None  # FFmpeg gives every stream of an opened file one
    context = stream.codec_context
    sample_aspect_ratio = stream.sample_aspect_ratio
    picture = _first_picture(container, stream)
    pix_fmt = context.pix_fmt if picture is None else picture.format.name
    if pix_fmt is None or not context.width:
        msg = f"{path}: stream {stream.index} ({context.name}): no picture in it can be decoded"
        raise NotAVideoError(msg)
    return VideoInfo(
        stream_index=stream.index,
        codec=codec_of(stream),
        width=context.width if picture is None else picture.width,
        height=context.height if picture is None else picture.height,
        pix_fmt=planar_format(pix_fmt),
        bit_depth=format_facts(pix_fmt).bits,
        colour=_colour(stream, picture),
        # A picture of unknown shape has the ratio 0/1 or None.
        sample_aspect_ratio=sample_aspect_ratio or Fraction(1),
        display_matrix=None if picture is None else display_matrix(picture, codec_of(stream)),
        time_base=stream.time_base,
        average_rate_from_header=stream.average_rate or stream.guessed_rate or None,
        hdr=None if picture is None else hdr_of(picture, codec_of(stream)),
    )


def _first_picture(container: InputContainer, stream: VideoStream) -> av.VideoFrame | None:
    """Return the first picture that can be decoded. The container is left somewhere behind it."""
    stream.thread_count = 1
    bound_pixels(stream.codec_context)
    decoder = opacity_decoder(stream)
    packets = container.demux(stream)
    for _ in range(FIRST_PICTURE_PACKETS):
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, IndexError):  # see media/packets.py
            return None
        if packet is None:
            return None
        try:
            pictures = decoded(packet, decoder)
        except av.error.FFmpegError:
            # Damage is counted by the index, which sees every packet; here one good picture is enough.
            continue
        if pictures:
            return pictures[0]
    return None


def opacity_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """Return a decoder that shows the opacity which WebM keeps beside the picture in each packet.

    FFmpeg's own decoders of VP8 and VP9 do not. None where there is no opacity, or no such decoder.
    """
    says_so = {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode") == "1"
    name = _OPACITY_DECODERS.get(codec_of(stream))
    if not says_so or name is None:
        return None
    try:
        decoder = cast(VideoCodecContext, av.CodecContext.create(name, "r"))
    except ValueError:  # PyAV's UnknownCodecError
        return None
    bound_pixels(decoder)
    return decoder


def decoded(packet: "Packet[VideoStream]", decoder: VideoCodecContext | None) -> Sequence[av.VideoFrame]:
    """Return what a packet shows, and an empty one what is left; None for `decoder` is the stream's own."""
    if decoder is None:
        return packet.decode()
    return decoder.decode(packet if packet.size else None)


def _colour(stream: VideoStream, picture: av.VideoFrame | None) -> Colour:
    """Join what the first picture states with what the container states; the picture wins."""
    context = stream.codec_context
    header = Colour(
        matrix=context.colorspace,
        primaries=context.color_primaries,
        transfer=context.color_trc,
        full_range={1: False, 2: True}.get(context.color_range),
    )
    stated = header if picture is None else colour_of(picture)
    is_centred = codec_of(stream) in _CENTRED_CODECS
    return replace(
        stated,
        matrix=header.matrix if stated.matrix == UNSPECIFIED else stated.matrix,
        primaries=header.primaries if stated.primaries == UNSPECIFIED else stated.primaries,
        transfer=header.transfer if stated.transfer == UNSPECIFIED else stated.transfer,
        full_range=header.full_range if stated.full_range is None else stated.full_range,
        chroma_location=CHROMA_CENTRE if is_centred else 0,
    )


def display_matrix(picture: av.VideoFrame, codec: str) -> tuple[int, ...] | None:
    """Return how to turn and flip the picture for display: 9 fixed-point numbers, None where not stated.

    `picture.rotation` is not enough: it says 0 for a picture that is turned by 180 degrees and mirrored.
    """
    found = side_data_of(picture, codec)
    if found is None:
        return turned_by(picture.rotation)
    for side_data in found:
        if side_data.type == SideDataType.DISPLAYMATRIX:
            return tuple(int(number) for number in np.frombuffer(bytes(side_data), dtype=np.int32)[:9])
    return None


def turned_by(degrees: int) -> tuple[int, ...] | None:
    """Return the display matrix of a picture that is turned to the left by `degrees`, a multiple of 90."""
    quarter = degrees // 90 % 4
    if not quarter:
        return None
    one = 1 << 16
    turns = {1: (0, -one, 0, one, 0, 0), 2: (-one, 0, 0, 0, -one, 0), 3: (0, one, 0, -one, 0, 0)}
    return (*turns[quarter], 0, 0, 1 << 30)


def _stream_info(stream: Stream) -> StreamInfo:
    assert stream.time_base is not None
    return StreamInfo(
        index=stream.index,
        kind=_kind(stream),
        codec=codec_of(stream),
        time_base=stream.time_base,
        language=language_of(stream.metadata),
        title=title_of(stream.metadata),
        dispositions=tuple(sorted(str(flag.name) for flag in Disposition if stream.disposition & flag)),
        is_cover=is_cover(stream),
        start_pts_from_header=stream.start_time,
        duration_from_header=stream.duration,
        num_frames_from_header=stream.frames,
        metadata=tuple(sorted(stream.metadata.items())),
    )


def _kind(stream: Stream) -> StreamKind:
    kinds: tuple[StreamKind, ...] = ("video", "audio", "subtitle", "attachment")
    return next((kind for kind in kinds if kind == stream.type), "data")


def _reason(error: Exception) -> str:
    """Return FFmpeg's words without the file name, which is in the message already."""
    return str(getattr(error, "strerror", None) or error)
