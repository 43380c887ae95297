"""Compares the converted streams of a source and an output: every cue, and every sample of sound."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

from av.audio.stream import AudioStream
from av.stream import Stream

from vidsr.media.compare import Difference, Kind, Pair, describe
from vidsr.media.copies import codec_of, is_blank, open_for_copying, ticks_of
from vidsr.media.packets import STEADY, SourceClock, packets_of
from vidsr.media.sound import LOSSLESS, heard, samples_of, sound_format
from vidsr.media.texts import encode_texts, read_texts

LOSSY_START = Fraction(1, 100)
"""Seconds by which a lossy codec's first sample may be off: Opus counts its priming in whole packets."""
LOSSY_LENGTH = Fraction(1, 10)


def compare_converted(
    pairs: list[Pair], source: Path, output: Path, *, clock: SourceClock, offset: Fraction
) -> Iterator[Difference]:
    """Yield the differences between what the source's streams become and what the output holds."""
    for pair in pairs:
        if not pair.target:
            continue
        found = cast(Stream, pair.output)
        if codec_of(found) != pair.target:
            yield _differs("stream", pair, f"became {codec_of(found)}, not {pair.target}")
        elif pair.source.type == "audio":
            yield from _compare_sound(pair, source, output, clock=clock, offset=offset)
        else:
            yield from _compare_texts(pair, source, output, clock=clock, offset=offset)


def _compare_texts(
    pair: Pair, source: Path, output: Path, *, clock: SourceClock, offset: Fraction
) -> Iterator[Difference]:
    texts = read_texts(source, pair.source.index, clock=clock)
    index, tick = cast(Stream, pair.output).index, cast(Fraction, cast(Stream, pair.output).time_base)
    wanted = [
        (ticks_of(cue.start + offset, tick), ticks_of(cue.stop + offset, tick), cue.payload)
        for cue in encode_texts(texts, pair.target)
    ]
    with open_for_copying(output) as file:
        got = [
            (packet.pts or 0, (packet.pts or 0) + (packet.duration or 0), bytes(packet))
            for packet in packets_of(file, [file.streams[index]])
            if not is_blank(bytes(packet), pair.target)
        ]
    if len(got) != len(wanted):
        yield _differs("payload", pair, f"{len(got)} cues, not {len(wanted)}")
        return
    for number, (before, after) in enumerate(zip(wanted, got, strict=True)):
        if before[2] != after[2]:
            yield _differs("payload", pair, f"cue {number} says something else")
            return
        # One tick: the container's rounding.
        if abs(before[0] - after[0]) > 1 or abs(before[1] - after[1]) > 1:
            yield _differs("time", pair, f"cue {number} is shown at another time")
            return


def _compare_sound(
    pair: Pair, source: Path, output: Path, *, clock: SourceClock, offset: Fraction
) -> Iterator[Difference]:
    wanted = sound_format(cast(AudioStream, pair.source), pair.target)
    index, tick = cast(Stream, pair.output).index, cast(Fraction, cast(Stream, pair.output).time_base)
    before = heard(samples_of(source, pair.source.index, clock=clock, wanted=wanted), wanted)
    after = heard(samples_of(output, index, clock=STEADY, wanted=wanted), wanted)
    is_lossless = pair.target in LOSSLESS
    late = after.start - before.start - offset
    if abs(late) > (tick if is_lossless else LOSSY_START):
        yield _differs("time", pair, f"it begins {float(late):+.6f} s from where it should")
    longer = Fraction(after.num_samples - before.num_samples, wanted.rate_hz)
    if is_lossless and (after.num_samples, after.crc) != (before.num_samples, before.crc):
        yield _differs("payload", pair, f"its samples are others ({float(longer):+.6f} s of them)")
    elif abs(longer) > LOSSY_LENGTH:
        yield _differs("duration", pair, f"it lasts {float(longer):+.3f} s longer than it should")


def _differs(kind: Kind, pair: Pair, what: str) -> Difference:
    return Difference(kind=kind, message=f"{describe(pair.source)}: {what}")
