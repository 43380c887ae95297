"""Subtitles in words, from one codec into another: read as cues, written as packets."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from vidsr.media.copies import open_for_copying
from vidsr.media.packets import SourceClock, packets_of

ONE_AT_A_TIME = frozenset({"mov_text"})
"""Codecs whose cues may not overlap: each lasts until the next one."""
LAST_SECONDS = 5
"""Of the last cue, where it does not say how long it is shown."""
_FIELDS_BEFORE_TEXT = 8
"""Of an event, as FFmpeg has it: ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What is shown at once."""

    start: Fraction
    stop: Fraction
    """Seconds."""
    event: bytes
    """As a line of an ASS script, in which FFmpeg passes subtitles from a decoder to an encoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """A subtitle stream, decoded."""

    header: bytes
    """Of the ASS script: its styles."""
    cues: tuple[Cue, ...]
    """In the order of their starts."""
    num_lost: int = 0
    """Packets that could not be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPacket:
    """A cue as the output's codec has it."""

    start: Fraction
    stop: Fraction
    payload: bytes


def is_text(stream: Stream) -> bool:
    """Return whether `stream` holds subtitles in words, and this FFmpeg build reads them."""
    # PyAV's types promise a context that a stream without a decoder does not have.
    context = cast(SubtitleCodecContext | None, stream.codec_context)
    return stream.type == "subtitle" and context is not None and bool(context.codec.text_sub)


def header_of(stream: Stream) -> bytes:
    """Return the styles of a subtitle stream as the head of an ASS script."""
    decoder = cast(SubtitleCodecContext, stream.codec_context)
    if not decoder.is_open:
        # A decoder knows its styles when it is open.
        decoder.open()
    return decoder.subtitle_header or b""


def read_texts(path: Path, index: int, *, clock: SourceClock) -> Texts:
    """Decode subtitle stream `index` of a file. A packet that cannot be decoded is left out and counted."""
    with open_for_copying(path) as file:
        stream = file.streams[index]
        decoder = cast(SubtitleCodecContext, stream.codec_context)
        header = header_of(stream)
        cues, num_lost = [], 0
        for packet in packets_of(file, [stream], clock=clock):
            try:
                event = _event(decoder.decode2(packet))
            except av.error.FFmpegError:
                num_lost += 1
                continue
            if event and packet.pts is not None:
                start = packet.pts * packet.time_base
                stop = start + (packet.duration or 0) * packet.time_base
                cues.append(Cue(start=start, stop=stop, event=event))
    cues.sort(key=lambda cue: cue.start)
    return Texts(header=header, cues=tuple(_with_ends(cues)), num_lost=num_lost)


def encode_texts(texts: Texts, codec: str) -> Iterator[TextPacket]:
    """Yield the cues in `codec`, FFmpeg's name, by their starts; what is too long for it is left out."""
    encoder = cast(SubtitleCodecContext, av.CodecContext.create(codec, "w"))
    encoder.subtitle_header = texts.header
    for cue in _cues_for(texts, codec):
        milliseconds = round((cue.stop - cue.start) * 1000)
        try:
            packet = encoder.encode_subtitle(SubtitleSet.create(text=cue.event, start=0, end=milliseconds))
        except av.error.FFmpegError:
            continue
        yield TextPacket(start=cue.start, stop=cue.stop, payload=bytes(packet))


def num_lost(texts: Texts, codec: str) -> int:
    """Return how many cues cannot be decoded, or are too long for `codec`."""
    num_encoded = sum(1 for _ in encode_texts(texts, codec))
    return texts.num_lost + len(list(_cues_for(texts, codec))) - num_encoded


def _cues_for(texts: Texts, codec: str) -> Iterator[Cue]:
    yield from _apart(texts.cues) if codec in ONE_AT_A_TIME else texts.cues


def _with_ends(cues: Sequence[Cue]) -> Iterator[Cue]:
    """Yield the cues; one that does not say how long it is shown ends where a later one begins."""
    starts = sorted({cue.start for cue in cues})
    later = dict(itertools.pairwise(starts))
    for cue in cues:
        stop = cue.stop if cue.stop > cue.start else later.get(cue.start, cue.start + LAST_SECONDS)
        yield replace(cue, stop=stop)


def _event(shown: SubtitleSet | None) -> bytes:
    """Return all lines of a decoded packet as one event, empty where nothing is shown."""
    lines = [] if shown is None else [cast(AssSubtitle, rect).ass for rect in shown.rects]
    return _joined([line for line in lines if _words_of(line)])


def _words_of(event: bytes) -> bytes:
    """Return what an event shows, without its time and style; empty where it shows nothing."""
    return event.split(b",", _FIELDS_BEFORE_TEXT)[-1]


def _joined(events: Sequence[bytes]) -> bytes:
    """Return one event with the texts of all, a line each, in the style of the first."""
    if not events:
        return b""
    *style, first = events[0].split(b",", _FIELDS_BEFORE_TEXT)
    others = [_words_of(event) for event in events[1:]]
    return b",".join([*style, b"\\N".join([first, *others])])


def _apart(cues: Sequence[Cue]) -> Iterator[Cue]:
    """Yield cues of which no two overlap: where several were shown, one that shows them all."""
    bounds = sorted({time for cue in cues for time in (cue.start, cue.stop)})
    waiting = list(reversed(cues))
    shown: list[Cue] = []
    for start, stop in itertools.pairwise(bounds):
        shown = [cue for cue in shown if cue.stop > start]
        while waiting and waiting[-1].start <= start:
            shown.append(waiting.pop())
        if event := _joined([cue.event for cue in shown if cue.stop > start]):
            yield Cue(start=start, stop=stop, event=event)
