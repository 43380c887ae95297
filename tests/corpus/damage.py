"""Inputs that are broken, cut off, or no video."""

import functools
from fractions import Fraction
from pathlib import Path

import av

from tests.corpus.facts import MILLISECOND, NUM_FRAMES, RATE, CorpusClass, Outcome, Track, grid
from tests.corpus.timing import MUXING_DELAY

KEPT = 30
"""Frames before the place where the truncated inputs are cut off, in the middle of a packet."""


def _cut_off(path: Path) -> None:
    """Cut the file in the middle of video packet number `KEPT`."""
    with av.open(str(path)) as file:
        packet = [packet for packet in file.demux(video=0) if packet.size][KEPT]
    assert packet.pos is not None
    path.write_bytes(path.read_bytes()[: packet.pos + packet.size // 2])


def _keep(num_bytes: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:num_bytes])


def _fill(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _break_sound(path: Path) -> None:
    """Take away the beginning of one packet of AAC, which only transport streams have."""
    header = bytes.fromhex("fff14c40")
    parts = path.read_bytes().split(header)
    path.write_bytes(header.join(parts[:60]) + bytes(2) + header[2:] + header.join(parts[60:]))


def _refused(*words: str) -> Outcome:
    return Outcome(exit_code=3, says=words)


DAMAGE: dict[str, CorpusClass] = {
    "zero": CorpusClass(
        suffix=".mp4",
        commands=(),
        after=functools.partial(_fill, b""),
        is_plain=False,
        times=(),
        outcome=_refused("the file is empty"),
    ),
    "zeros": CorpusClass(
        suffix=".mp4",
        commands=(),
        after=functools.partial(_fill, bytes(4096)),
        is_plain=False,
        times=(),
        outcome=_refused("not a media file"),
    ),
    "audio_only": CorpusClass(
        suffix=".m4a",
        commands=("{sound} {aac} {out}",),
        is_plain=False,
        times=(),
        outcome=_refused("there is no video in it, only audio"),
    ),
    "moov_lost": CorpusClass(
        # The table of an mp4 is at its end.
        suffix=".mp4",
        commands=("-i {cfr} -map 0 -c copy {out}",),
        needs=("cfr",),
        after=functools.partial(_keep, 10_000),
        is_plain=False,
        times=(),
        outcome=_refused("the moov box is missing"),
    ),
    "truncated": CorpusClass(
        suffix=".mp4",
        commands=("-i {cfr} -map 0 -c copy -movflags +faststart {out}",),
        needs=("cfr",),
        after=_cut_off,
        is_plain=False,
        times=grid(KEPT),
        outcome=Outcome(
            exit_code=4,
            says=(
                "promises video until 2.000 s in 50 frames",
                "promises sound until 2.000 s",
                "could not be read or decoded",
            ),
        ),
    ),
    "truncated_mkv": CorpusClass(
        suffix=".mkv",
        commands=("-i {cfr} -map 0 -c copy {out}",),
        needs=("cfr",),
        after=_cut_off,
        is_plain=False,
        times=grid(KEPT),
        tick=MILLISECOND / 2,
        outcome=Outcome(exit_code=4, says=("promises video until 2.000 s", "promises sound until 2.0")),
    ),
    "truncated_ts": CorpusClass(
        # The half packet is the last picture.
        suffix=".ts",
        commands=("-i {cfr} -map 0 -c copy {out}",),
        needs=("cfr",),
        after=_cut_off,
        is_plain=False,
        # Sound begins first, by the encoder's priming.
        times=grid(KEPT + 1, start=MUXING_DELAY + Fraction(1024, 48_000)),
        tracks=(Track(kind="audio", codec="aac"),),
        outcome=Outcome(exit_code=4, says=("damaged in part",)),
    ),
    "corrupt": CorpusClass(
        # Bits of eleven packets are turned over; FFmpeg cannot decode three of them at all.
        suffix=".mkv",
        commands=(r"-i {b_frames} -map 0 -c copy -bsf:v 'noise=amount=if(between(n\,20\,30)\,20\,0)' {out}",),
        needs=("b_frames",),
        is_plain=False,
        times=tuple(time for number, time in enumerate(grid(NUM_FRAMES)) if number not in {21, 25, 28}),
        tick=MILLISECOND / 2,
        outcome=Outcome(exit_code=4, says=("damaged in part", "could not be read or decoded")),
    ),
    "broken_sound": CorpusClass(
        suffix=".ts",
        commands=("-i {b_frames} -map 0 -c copy -muxdelay 0 -muxpreload 0 {out}",),
        needs=("b_frames",),
        after=_break_sound,
        is_plain=False,
        times=grid(NUM_FRAMES, start=Fraction(2, RATE)),
        tracks=(Track(kind="audio", codec="aac"),),
        outcome=Outcome(exit_code=4, says=("stream 1: 1 packets of sound are broken and are left out",)),
    ),
    "dropped_packets": CorpusClass(
        # Of 25 frames five are not in the file, and FFmpeg shows none of the five that are built on them. The
        # hole is kept, and H.264's own numbers say that it is not a recording that paused.
        suffix=".mkv",
        commands=(r"-i {cfr} -map 0 -c copy -bsf:v 'noise=drop=between(n\,15\,19)' {out}",),
        needs=("cfr",),
        is_plain=False,
        times=grid(15) + grid(NUM_FRAMES)[RATE:],
        tick=MILLISECOND / 2,
        outcome=Outcome(exit_code=4, says=("packets are missing in one place",)),
    ),
    "no_first_key": CorpusClass(
        # The first of 25 frames is not in the file, and without it the next 24 cannot be decoded.
        suffix=".mkv",
        commands=(r"-i {cfr} -map 0 -c copy -bsf:v 'noise=drop=lt(n\,1)' {out}",),
        needs=("cfr",),
        is_plain=False,
        times=grid(NUM_FRAMES)[RATE:],
        tick=MILLISECOND / 2,
        outcome=Outcome(
            exit_code=4, says=("the first key frame is missing: the 24 frames before the next one are lost",)
        ),
    ),
}
"""Nothing or not everything can be saved."""
