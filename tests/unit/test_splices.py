"""Recordings one behind the other, whose clock starts anew: all streams move together."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests import corpus
from tests.assembled import assembled
from vidsr.job import plan_file
from vidsr.media.packets import SourceClock, packets_of
from vidsr.media.verify import verify
from vidsr.types import Plan, Splice

CLOCKS = {
    "back": (1000, 10),
    "forward": (10, 1000),
    "the same again": (0, 0),
    "a little back": (3, 2),
    "three recordings": (500, 500, 20),
}
"""Seconds at which the recordings begin, each a second long."""


def recording(path: Path, number: int, start: int) -> Path:
    picture = f"-f lavfi -i testsrc2=s=64x48:r=25:d=1 -f lavfi -i sine=f={220 + 220 * number}:d=1"
    encode = "-c:v libx264 -preset veryfast -bf 2 -g 25 -c:a mp2 -f mpegts"
    corpus.run([*f"{picture} {encode} -output_ts_offset {start}".split(), str(path)])
    return path


def times(path: Path) -> dict[str, list[Fraction]]:
    """Return the times of the packets of each kind of stream, in the order of the file."""
    found: dict[str, list[Fraction]] = defaultdict(list)
    with av.open(str(path)) as file:
        for packet in file.demux():
            if packet.size:
                found[packet.stream.type].append(packet.pts * packet.time_base)
    return found


@pytest.fixture(scope="module", params=list(CLOCKS))
def spliced(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Path], Path, Plan, Path]:
    """The recordings, the file of them all, its plan and its output."""
    folder = tmp_path_factory.mktemp("spliced")
    starts = CLOCKS[request.param]
    recordings = [recording(folder / f"{n}.ts", n, start) for n, start in enumerate(starts)]
    source = folder / "in.ts"
    source.write_bytes(b"".join(path.read_bytes() for path in recordings))
    return recordings, source, *assembled(source, folder, suffix=".mp4")


def test_sound_and_picture_keep_their_distance_in_every_recording(spliced) -> None:
    recordings, _, _, output = spliced
    after = times(output)
    # What the edit list of mp4 holds makes decode order another one than that of the transport stream.
    picture, sound = sorted(after["video"]), after["audio"]
    for path in recordings:
        before = times(path)
        count, num_sounds = len(before["video"]), len(before["audio"])
        shift = picture[0] - min(before["video"])
        assert picture[:count] == [time + shift for time in sorted(before["video"])]
        # Where one recording's sound reaches into the next, packets make way by a tick at a time.
        errors = [abs(got - time - shift) for got, time in zip(sound, before["audio"], strict=False)]
        assert max(errors) <= Fraction(1, 48000)
        picture, sound = picture[count:], sound[num_sounds:]
    assert not picture
    assert not sound


def test_the_plan_says_where_the_clock_starts_anew(spliced) -> None:
    recordings, _, plan, _ = spliced
    assert [splice.frame for splice in plan.splices] == [25 * (n + 1) for n in range(len(recordings) - 1)]
    assert len(plan.repairs) == len(plan.splices)
    for splice in plan.splices:
        source = int(plan.frames.source_pts[splice.frame])
        assert source * plan.info.video.time_base + splice.shift == (
            int(plan.frames.pts[splice.frame]) * plan.info.video.time_base
        )
    assert plan_file.from_json(plan_file.to_json(plan), where="here").splices == plan.splices


def test_the_output_agrees_with_its_source(spliced) -> None:
    _, source, plan, output = spliced
    assert verify(source, output, plan=plan).differences == ()
    assert verify(source, output).differences == ()


def test_sound_that_stayed_on_its_own_clock_is_noticed(spliced) -> None:
    _, source, plan, output = spliced
    shifts = tuple(replace(splice, shift=splice.shift + Fraction(1, 100)) for splice in plan.splices)
    differences = verify(source, output, plan=replace(plan, splices=shifts)).differences
    assert [difference.kind for difference in differences] == ["time"]
    assert "stream 1 (audio mp2)" in differences[0].message


@dataclass
class FakePacket:
    """What is asked of a packet."""

    stream_index: int
    pts: int
    duration: int = 40
    size: int = 1
    time_base: Fraction = Fraction(1, 1000)
    dts: int | None = None


@dataclass
class FakeStream:
    index: int
    discard: object = None


class FakeFile:
    """A file whose packets come in a given order."""

    def __init__(self, packets: list[FakePacket]) -> None:
        self.streams = [FakeStream(index) for index in range(3)]
        self._packets = packets

    def demux(self, streams: list[FakeStream]) -> Iterator[FakePacket]:
        yield from self._packets


VIDEO, SOUND, TEXT = range(3)


@pytest.mark.parametrize("lag", [-400, -40, 0, 40, 400])
@pytest.mark.parametrize("start", [0, 1000, 5_000, 10**6])
def test_a_packet_that_crosses_the_splice_late_or_early_stays_in_its_recording(lag: int, start: int) -> None:
    """Sound may lie in the file `lag` ms from the picture of its time; texts are few."""
    shift = 2000 - start
    video = [FakePacket(VIDEO, time) for time in (*range(0, 2000, 40), *range(start, start + 2000, 40))]
    sound = [FakePacket(SOUND, time) for time in (*range(0, 2000, 40), *range(start, start + 2000, 40))]
    texts = [FakePacket(TEXT, 1960), FakePacket(TEXT, start + 1960)]
    places = {id(packet): 40 * n for n, packet in enumerate(video)}
    places |= {id(packet): 40 * n + lag for n, packet in enumerate(sound)}
    places |= {id(texts[0]): 1961, id(texts[1]): 3961}
    file = FakeFile(sorted((*video, *sound, *texts), key=lambda packet: places[id(packet)]))
    clock = SourceClock(splices=(Splice(frame=50, shift=Fraction(shift, 1000)),), video_index=VIDEO)
    moved = list(packets_of(file, [file.streams[SOUND], file.streams[TEXT]], clock=clock))
    assert [packet.pts for packet in moved if packet.stream_index == SOUND] == list(range(0, 4000, 40))
    assert [packet.pts for packet in moved if packet.stream_index == TEXT] == [1960, 3960]
