import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.fakes import FakeSink, FakeSource, SummingRestorer
from vidsr.errors import DiskFullError, PartError
from vidsr.job.parts import parts_of
from vidsr.job.schedule import PartWork, Tally, restore_parts
from vidsr.types import Done, LeadIn, Part, Prior, Shot, ShotSettings, Work

SHOTS = [Shot(index=0, start=0, stop=23), Shot(index=1, start=23, stop=24), Shot(index=2, start=24, stop=60)]
PARTS = parts_of(SHOTS, part_frames=8, lead_in=LeadIn(frames=2))
FADED = parts_of(SHOTS, part_frames=8, lead_in=LeadIn(frames=3, fade=2))


class Desk:
    """Runs the scheduler with fakes and keeps what came out."""

    def __init__(self, *, source_fails_at: int | None = None, sink_fails_at: int | None = None) -> None:
        self.sinks: dict[int, FakeSink] = {}
        self.finished: dict[int, Tally] = {}
        self.notes: list[str] = []
        self.settings: dict[int, ShotSettings] = {}
        self.reported: list[int] = []
        self.num_frames = 0
        self.restorer = SummingRestorer()
        self._source_fails_at = source_fails_at
        self._sink_fails_at = sink_fails_at

    def open_sink(self, part: Part) -> FakeSink:
        assert part.index not in self.sinks, "a part was done twice"
        return self.sinks.setdefault(part.index, FakeSink(part, fails_at=self._sink_fails_at))

    def count(self, num_frames: int) -> None:
        self.num_frames += num_frames

    def run(self, parts: list[Part], *, batch_parts: int) -> list[tuple[int, bytes]]:
        work = PartWork(
            open_source=lambda: FakeSource(fails_at=self._source_fails_at),
            open_sink=self.open_sink,
            finish=lambda part, tally: self.finished.__setitem__(part.index, tally),
            prior_of=lambda part: Prior(low_level="x" * part.shot_index),
            settings_of=lambda part: self.settings.get(part.shot_index, ShotSettings()),
            seed=5,
        )
        restore_parts(
            parts,
            work=work,
            restorer=self.restorer,
            batch_parts=batch_parts,
            on_frames=self.count,
            on_part=lambda part: self.reported.append(part.index),
            on_note=self.notes.append,
        )
        return self.frames()

    def frames(self) -> list[tuple[int, bytes]]:
        return sorted(
            (frame.index, frame.planes[0].tobytes()) for sink in self.sinks.values() for frame in sink.frames
        )


@pytest.fixture(autouse=True)
def _no_thread_is_left_behind() -> None:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_every_frame_is_delivered_once_and_in_order() -> None:
    desk = Desk()
    frames = desk.run(list(PARTS), batch_parts=1)
    assert [index for index, _ in frames] == list(range(60))
    for part in PARTS:
        assert [frame.index for frame in desk.sinks[part.index].frames] == list(range(part.start, part.stop))
    assert desk.num_frames == 60


@pytest.mark.parametrize("parts", [PARTS, FADED], ids=["dropped", "faded"])
@pytest.mark.parametrize("batch_parts", [2, 4, 100])
def test_the_result_does_not_depend_on_the_batch(batch_parts: int, parts: tuple[Part, ...]) -> None:
    assert Desk().run(list(parts), batch_parts=batch_parts) == Desk().run(list(parts), batch_parts=1)


@pytest.mark.parametrize("parts", [PARTS, FADED], ids=["dropped", "faded"])
def test_the_result_does_not_depend_on_the_order_or_on_the_company_of_parts(parts: tuple[Part, ...]) -> None:
    whole = Desk().run(list(parts), batch_parts=1)
    alone = [Desk().run([part], batch_parts=1) for part in reversed(parts)]
    assert sorted(itertools.chain(*alone)) == whole


def test_the_lead_in_of_the_next_part_is_faded_into_the_end_of_a_part() -> None:
    plain = parts_of(SHOTS, part_frames=8, lead_in=LeadIn(frames=3))
    before, after = (dict(Desk().run(list(parts), batch_parts=2)) for parts in (plain, FADED))
    changed = set()
    for part in plain:
        if part.lead_in == part.start:
            continue
        # What a part makes of its lead-in, were those its own frames.
        following = dict(Desk().run([replace(part, start=part.lead_in)], batch_parts=1))
        for index, share in ((part.start - 2, 1 / 3), (part.start - 1, 2 / 3)):
            assert after[index][0] == round((1 - share) * before[index][0] + share * following[index][0])
            changed.add(index)
    assert {index for index in before if before[index] != after[index]} == changed


def test_the_steps_of_a_fade_are_counted_where_they_are_taken() -> None:
    desk = Desk()
    desk.run(list(FADED), batch_parts=1)
    # Of the last three frames the first is where the next part begins: two steps for that, one for its own.
    assert dict(desk.finished[0].steps_per_frame) == {2: 1 + 2, 1: 4, 3: 1}
    assert dict(desk.finished[2].steps_per_frame) == {1: 7}


def test_side_by_side_parts_share_a_step() -> None:
    desk = Desk()
    desk.run(list(PARTS), batch_parts=3)
    assert max(desk.restorer.batch_sizes) == 3


def test_every_part_is_entered_and_reported_once() -> None:
    desk = Desk()
    desk.run(list(PARTS), batch_parts=2)
    num_frames = {index: tally.num_frames for index, tally in desk.finished.items()}
    assert num_frames == {part.index: part.stop - part.start for part in PARTS}
    assert sorted(desk.reported) == [part.index for part in PARTS]


@pytest.mark.parametrize("batch_parts", [1, 3])
def test_the_steps_of_delivered_frames_are_counted_and_those_of_the_lead_in_are_not(batch_parts: int) -> None:
    desk = Desk()
    desk.run(list(PARTS), batch_parts=batch_parts)
    # Parts 0, 3 and 4 begin their shots and have no lead-in; elsewhere it takes the part's two steps.
    wanted = {
        part.index: {2: 1, 1: part.stop - part.start - 1} for part in PARTS if part.lead_in == part.start
    }
    wanted[3] = {2: 1}
    wanted = {part.index: {1: part.stop - part.start} for part in PARTS} | wanted
    assert {index: dict(tally.steps_per_frame) for index, tally in desk.finished.items()} == wanted


def test_the_restorer_is_told_what_is_asked_for_the_shot_and_for_no_other() -> None:
    plain, asked = Desk(), Desk()
    asked.settings[2] = ShotSettings(strength=0.5)
    before, after = (dict(desk.run(list(PARTS), batch_parts=2)) for desk in (plain, asked))
    changed = {index for index in before if before[index] != after[index]}
    assert changed == set(range(SHOTS[2].start, SHOTS[2].stop))


def test_what_the_restorer_has_to_say_is_passed_on_and_entered_with_its_part() -> None:
    desk = Desk()
    # Part 1 has the frames 8 to 15, after a lead-in of 6 and 7.
    desk.restorer = SummingRestorer(notes_at=frozenset({7, 12}))
    desk.run([PARTS[1]], batch_parts=1)
    wanted = ["frame 7: less memory", "frame 12: less memory"]
    assert (desk.notes, desk.finished[1].notes) == (wanted, wanted)


def test_what_is_said_of_all_frames_of_a_step_is_passed_on_once() -> None:
    class Frugal(SummingRestorer):
        has_spoken = False

        def step(self, batch: Sequence[Work]) -> Sequence[Done]:
            is_time = len(batch) == 3 and not self.has_spoken
            self.has_spoken |= is_time
            notes = ("less memory from here on",) if is_time else ()
            return [replace(done, notes=notes) for done in super().step(batch)]

    desk = Desk()
    desk.restorer = Frugal()
    desk.run(list(PARTS), batch_parts=3)
    assert desk.notes == ["less memory from here on"]
    assert [tally.notes for tally in desk.finished.values() if tally.notes] == [desk.notes] * 3


def test_a_frame_that_cannot_be_decoded_is_named_with_its_part() -> None:
    desk = Desk(source_fails_at=30)
    with pytest.raises(
        PartError, match=r"part 4 \(frames 24 to 31\): decoding failed with ArithmeticError: frame 30"
    ):
        desk.run(list(PARTS), batch_parts=1)
    assert set(desk.finished) <= {0, 1, 2, 3}


def test_a_frame_that_cannot_be_encoded_stops_the_rest_and_leaves_no_segment() -> None:
    desk = Desk(sink_fails_at=30)
    with pytest.raises(PartError, match=r"part 4 .*encoding failed"):
        desk.run(list(PARTS), batch_parts=2)
    assert desk.sinks[4].state == "aborted"
    assert 4 not in desk.finished


def test_errors_of_ours_pass_as_they_are() -> None:
    class FullDesk(Desk):
        def open_sink(self, part: Part) -> FakeSink:
            msg = "full"
            raise DiskFullError(msg)

    with pytest.raises(DiskFullError, match="full"):
        FullDesk().run(list(PARTS), batch_parts=1)


def test_a_failing_restorer_stops_everything() -> None:
    class Broken(SummingRestorer):
        def step(self, batch):
            msg = "no"
            raise ZeroDivisionError(msg)

    desk = Desk()
    desk.restorer = Broken()
    with pytest.raises(ZeroDivisionError):
        desk.run(list(PARTS), batch_parts=2)
    assert not desk.finished
