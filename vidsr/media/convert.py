"""Streams that the output's container cannot hold as they are: which codec is nearest, and who writes it."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from vidsr.media.copies import codec_of, copied_metadata, ticks_of
from vidsr.media.packets import SourceClock
from vidsr.media.sound import Piece, encode_sound, samples_of, silence, sound_format
from vidsr.media.texts import Cue, Texts, encode_texts, header_of, is_text, read_texts

_TEXT_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_SOUND_CODECS = {"mp4": "alac", "mov": "alac", "matroska": "flac", "webm": "opus"}
"""Lossless where the container has such a codec."""
_ENCODERS = {"opus": "libopus"}
"""Where FFmpeg's own encoder is another one."""
_WORD = Cue(start=Fraction(0), stop=Fraction(1), event=b"0,0,Default,,0,0,0,,word")
_MILLISECOND = Fraction(1, 1000)


def nearest_codec(stream: Stream, *, muxer: str) -> str:
    """Return what `stream` can be turned into for `muxer`, FFmpeg's name; empty where nothing is near."""
    if is_text(stream):
        return _TEXT_CODECS.get(muxer, "")
    # PyAV's types promise a context that a stream without a decoder does not have.
    has_decoder = cast(object, stream.codec_context) is not None
    return _SOUND_CODECS.get(muxer, "") if stream.type == "audio" and has_decoder else ""


def add_converted(file: OutputContainer, source: Stream, *, codec: str) -> Stream:
    """Add to `file` a stream of `codec` that takes the place of `source`.

    Args:
        file: the output, its header not written yet.
        source: the stream of the input.
        codec: what `nearest_codec` said.

    Raises:
        ValueError, av.error.FFmpegError: the container does not take the codec, or the encoder this sound.
    """
    stream: Stream
    if source.type == "audio":
        wanted = sound_format(cast(AudioStream, source), codec)
        sound = cast(AudioStream, file.add_stream(_ENCODERS.get(codec, codec), rate=wanted.rate_hz))
        sound.codec_context.format, sound.codec_context.layout = wanted.samples, wanted.layout
        stream = sound
    else:
        subtitles = cast(SubtitleStream, file.add_stream(codec))
        subtitles.codec_context.subtitle_header = header_of(source)
        stream = subtitles
        # mp4 counts a cue's duration in 32 bits of this; its own choice would end after 71 minutes.
        stream.time_base = _MILLISECOND
    stream.metadata.update(copied_metadata(source))
    stream.disposition = source.disposition
    return stream


def converted_packets(
    path: Path, source: Stream, stream: Stream, *, clock: SourceClock, offset: Fraction
) -> Iterator["Packet[Any]"]:
    """Yield what takes the place of `source` of the file at `path`, in order, for `stream` of the output."""
    if isinstance(stream, AudioStream):
        wanted = sound_format(cast(AudioStream, source), codec_of(stream))
        yield from encode_sound(
            samples_of(path, source.index, clock=clock, wanted=wanted), stream, offset=offset
        )
    else:
        yield from text_packets(read_texts(path, source.index, clock=clock), stream, offset=offset)


def add_words(file: OutputContainer, *, muxer: str) -> Iterator["Packet[Any]"]:
    """Add a stream of subtitles to `file`, write its header, and yield the packets of one word."""
    stream = cast(SubtitleStream, file.add_stream(_TEXT_CODECS[muxer]))
    stream.codec_context.subtitle_header = b""
    file.start_encoding()
    yield from text_packets(Texts(header=b"", cues=(_WORD,)), stream, offset=Fraction(0))


def specimen(source: Stream, stream: Stream) -> Iterator["Packet[Any]"]:
    """Yield a second of silence, or a word, as packets of `stream`, which takes the place of `source`."""
    if isinstance(stream, AudioStream):
        wanted = sound_format(cast(AudioStream, source), codec_of(stream))
        piece = Piece(seconds=Fraction(0), frame=silence(wanted, wanted.rate_hz))
        yield from encode_sound(iter([piece]), stream, offset=Fraction(0))
    else:
        yield from text_packets(Texts(header=header_of(source), cues=(_WORD,)), stream, offset=Fraction(0))


def text_packets(texts: Texts, stream: Stream, *, offset: Fraction) -> Iterator["Packet[Any]"]:
    """Yield the cues as packets of `stream`, `offset` seconds later."""
    tick = cast(Fraction, stream.time_base)
    for cue in encode_texts(texts, codec_of(stream)):
        packet: Packet[Any] = Packet(cue.payload)
        packet.stream = stream
        packet.time_base = tick
        packet.pts = packet.dts = ticks_of(cue.start + offset, tick)
        packet.duration = ticks_of(cue.stop + offset, tick) - packet.pts
        packet.is_keyframe = True
        yield packet
