import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.fakes import FakeSink, FakeSource, SummingRestorer
from vidsr.errors import DiskFullError, MemoryExhaustedError, StalledError, VidsrError
from vidsr.job import crew
from vidsr.job.crew import PartWork, Tally
from vidsr.job.parts import parts_of
from vidsr.job.schedule import restore_parts
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
        self.failures: dict[Part, VidsrError] = {}
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
        self.failures = restore_parts(
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


def test_a_frame_that_cannot_be_decoded_is_named_with_its_part_and_the_others_go_on() -> None:
    desk = Desk(source_fails_at=28)
    desk.run(list(PARTS), batch_parts=1)
    assert {part.index: str(error) for part, error in desk.failures.items()} == {
        4: "part 4 (frames 24 to 31): decoding failed with ArithmeticError: frame 28 cannot be decoded"
    }
    assert set(desk.finished) == {part.index for part in PARTS} - {4}
    assert desk.sinks[4].state == "aborted"


@pytest.mark.parametrize("batch_parts", [1, 2])
def test_a_frame_that_cannot_be_encoded_leaves_no_segment_and_the_others_go_on(batch_parts: int) -> None:
    desk = Desk(sink_fails_at=30)
    whole = Desk().run(list(PARTS), batch_parts=1)
    desk.run(list(PARTS), batch_parts=batch_parts)
    assert [str(error) for error in desk.failures.values()] == [
        "part 4 (frames 24 to 31): encoding failed with ArithmeticError: frame 30 cannot be encoded"
    ]
    assert desk.sinks[4].state == "aborted"
    finished = [part for part in PARTS if part.index != 4]
    assert set(desk.finished) == {part.index for part in finished}
    assert [item for item in desk.frames() if not 24 <= item[0] < 32] == [
        item for item in whole if not 24 <= item[0] < 32
    ]


def test_errors_that_are_not_of_one_part_end_all_and_pass_as_they_are() -> None:
    class FullDesk(Desk):
        def open_sink(self, part: Part) -> FakeSink:
            if part.index == 2:
                msg = "full"
                raise DiskFullError(msg)
            return super().open_sink(part)

    desk = FullDesk()
    with pytest.raises(DiskFullError, match="full"):
        desk.run(list(PARTS), batch_parts=1)
    assert len(desk.finished) < len(PARTS) - 1


class Broken(SummingRestorer):
    """Fails at one frame."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def step(self, batch: Sequence[Work]) -> Sequence[Done]:
        if any(work.frame.index == 28 for work in batch):
            raise self._error
        return super().step(batch)


def test_a_failing_step_fails_the_parts_in_it_and_no_others() -> None:
    desk = Desk()
    desk.restorer = Broken(ZeroDivisionError("no"))
    desk.run(list(PARTS), batch_parts=2)
    assert 4 in {part.index for part in desk.failures}
    assert len(desk.failures) == 2
    assert all("restoring failed with ZeroDivisionError: no" in str(e) for e in desk.failures.values())
    failed = {part.index for part in desk.failures}
    assert set(desk.finished) == {part.index for part in PARTS} - failed
    again = Desk()
    again.run([part for part in PARTS if part.index in failed], batch_parts=1)
    assert sorted(again.frames() + desk_frames(desk, failed)) == Desk().run(list(PARTS), batch_parts=1)


def desk_frames(desk: Desk, without: set[int]) -> list[tuple[int, bytes]]:
    return [
        (frame.index, frame.planes[0].tobytes())
        for index, sink in desk.sinks.items()
        if index not in without
        for frame in sink.frames
    ]


def test_memory_that_ran_out_is_of_the_part_and_keeps_its_class() -> None:
    desk = Desk()
    desk.restorer = Broken(MemoryExhaustedError("no memory for one tile"))
    desk.run(list(PARTS), batch_parts=1)
    (error,) = desk.failures.values()
    assert isinstance(error, MemoryExhaustedError)
    assert str(error) == "part 4 (frames 24 to 31): no memory for one tile"


@pytest.mark.parametrize("held", ["source", "sink"])
def test_who_waits_for_a_thread_that_never_answers_can_be_called_off(
    held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    class HeldSource(FakeSource):
        def frames(self, start: int, stop: int):
            for frame in super().frames(start, stop):
                if held == "source" and frame.index == 30:
                    release.wait()
                yield frame

    class HeldSink(FakeSink):
        def write(self, frame) -> None:
            if held == "sink" and frame.index == 30:
                release.wait()
            super().write(frame)

    monkeypatch.setattr(crew, "DISMISS_SECONDS", 0.1)
    started = time.monotonic()

    def check() -> None:
        if time.monotonic() - started > 1:
            msg = "restoring: nothing has moved"
            raise StalledError(msg)

    work = PartWork(
        open_source=HeldSource,
        open_sink=HeldSink,
        finish=lambda part, tally: None,
        prior_of=lambda part: Prior(),
        settings_of=lambda part: ShotSettings(),
        seed=5,
        check=check,
    )
    before = threading.active_count()
    with pytest.raises(StalledError):
        restore_parts(
            list(PARTS),
            work=work,
            restorer=SummingRestorer(),
            batch_parts=1,
            on_frames=lambda count: None,
            on_part=lambda part: None,
            on_note=lambda note: None,
        )
    assert time.monotonic() - started < 20
    release.set()
    while threading.active_count() > before:
        time.sleep(0.01)
