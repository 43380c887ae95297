"""What is written beside each input: how it is made, what is true of it, and what a run makes of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

WIDTH, HEIGHT, RATE, NUM_FRAMES = 160, 120, 25, 50
MILLISECOND = Fraction(1, 1000)
SCALE = 2
"""Of the runs that an `Outcome` speaks of."""
SEQUENCE_PATTERN = "f_%04d.png"
"""File names of an input that is a folder of pictures."""

TURNED_BY_90 = (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)
TURNED_AND_FLIPPED = (65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is true of a stream beside the picture."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    kind: str
    codec: str
    language: str = ""
    title: str = ""
    dispositions: tuple[str, ...] = ()


SOUND = (Track(kind="audio", codec="aac", dispositions=("default",)),)
"""What most inputs hold beside the picture."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run with the bicubic restorer at scale 2 comes to. None: not looked at."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    exit_code: int = 0
    says: tuple[str, ...] = ()
    """Words of its warnings and repairs: each of these is in one of them, and each of them has one of these.
    Of the error, where it fails."""
    num_frames: int | None = None
    times: tuple[Fraction, ...] | None = None
    """When each frame is shown, in seconds, before the plan's common offset."""
    tick: Fraction = Fraction(0)
    """Largest error of those times."""
    width: int | None = None
    height: int | None = None
    sample_aspect_ratio: Fraction | None = None
    display_matrix: tuple[int, ...] | None = None
    is_turned: bool | None = None
    """Whether there is a display matrix at all."""
    bit_depth: int | None = None
    """At least so many."""
    has_alpha: bool | None = None
    matrix: int | None = None
    primaries: int | None = None
    transfer: int | None = None
    full_range: bool | None = None
    hdr: tuple[str, ...] | None = None
    """Names of the picture's side data that must be the source's, byte by byte."""
    tracks: tuple[Track, ...] | None = None
    """All streams but the picture and those that muxers write themselves."""
    num_chapters: int | None = None


@dataclass(frozen=True, kw_only=True)
class CorpusClass:
    """How an input is made, what is true of it, and what comes of it."""

    suffix: str
    commands: tuple[str, ...]
    """Arguments of ffmpeg as in a shell, one text a run.

    {out} is the file, {folder} a place for files on the way.
    """
    needs: tuple[str, ...] = ()
    """Other inputs; {name} in the commands is the path of each."""
    files: tuple[tuple[str, str | bytes], ...] = ()
    """(name, content) of what else the commands read."""
    after: Callable[[Path], None] | None = None
    """Done to the file in the end."""
    file_name: str | None = None
    """None: the name of the class and its suffix."""
    is_sequence: bool = False
    """{out} is a folder of pictures, and the input is their pattern."""
    is_plain: bool = True
    """Nothing of it has to be mended, left out or refused: every test of a reader takes it."""
    is_slow: bool = False
    """Takes more than some seconds."""
    times: tuple[Fraction, ...] = tuple(Fraction(n, RATE) for n in range(NUM_FRAMES))
    """When each frame is shown, in seconds."""
    tick: Fraction = Fraction(0)
    """Largest error of those times: half a tick of a container that cannot say them exactly."""
    codec: str = "h264"
    width: int = WIDTH
    height: int = HEIGHT
    pix_fmt: str = "yuv420p"
    bit_depth: int = 8
    matrix: int | None = None
    """None, here and below: not looked at."""
    primaries: int | None = None
    transfer: int | None = None
    full_range: bool | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    display_matrix: tuple[int, ...] | None = None
    tracks: tuple[Track, ...] = SOUND
    """All streams but the picture."""
    num_chapters: int = 0
    cuts: tuple[int, ...] = ()
    """First frames of all shots but the first."""
    video_index: int = 0
    """Index of the stream that holds the picture."""
    output_suffix: str | None = None
    """Ending that the run is asked for. None: the source's own where it is written here, .mkv elsewhere."""
    outcome: Outcome = Outcome()
    """What is said here of the output; the rest follows from the facts above."""

    @property
    def num_frames(self) -> int:
        """Frames that are shown."""
        return len(self.times)

    @property
    def expected(self) -> Outcome:
        """Everything that is known of the output."""
        if self.outcome.exit_code not in {0, 4}:
            return self.outcome
        is_yuv = self.pix_fmt.startswith("yuv")  # gray and RGB become YCbCr, in the encoder's usual range
        times = self.times if self.outcome.times is None else self.outcome.times
        from_facts = {
            "num_frames": len(times),
            "times": times,
            "width": SCALE * self.width,
            "height": SCALE * self.height,
            "sample_aspect_ratio": self.sample_aspect_ratio,
            "display_matrix": self.display_matrix,
            "is_turned": self.display_matrix is not None,
            "bit_depth": self.bit_depth,
            "matrix": self.matrix if is_yuv else None,
            "primaries": self.primaries,
            "transfer": self.transfer,
            "full_range": self.full_range if is_yuv else None,
            "tracks": tuple(track for track in self.tracks if track.kind != "data"),
            "num_chapters": self.num_chapters,
        }
        open_ones = {name: value for name, value in from_facts.items() if getattr(self.outcome, name) is None}
        return replace(self.outcome, **open_ones, tick=self.outcome.tick or self.tick)


def grid(num_frames: int, *, rate: Fraction | int = RATE, start: Fraction | int = 0) -> tuple[Fraction, ...]:
    """Return the times of `num_frames` frames, `rate` a second, from `start` on."""
    return tuple(start + n / Fraction(rate) for n in range(num_frames))
