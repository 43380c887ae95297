import io
import json

import pytest

from vidsr import events
from vidsr.types import Prior

EVENTS = [
    events.Indexing(num_frames=64),
    events.Planned(
        input="in.mp4",
        output="out.mp4",
        num_frames=90,
        num_shots=1,
        num_parts=2,
        num_parts_finished=1,
        is_plan_reused=True,
    ),
    events.Warned(message="the sound ends early"),
    events.Captioned(shot_index=0, prior=Prior(low_level="strong noise", captioner="measured/1")),
    events.Restored(num_frames=65, num_frames_total=90),
    events.PartFinished(part_index=1, num_frames=26),
    events.Assembling(),
    events.Finished(output="out.mp4", seconds=2.5, steps_per_frame={2: 3, 1: 87}),
    events.Ended(),
]


def test_every_event_is_tried_here() -> None:
    # By name: a dataclass with slots leaves the class it was made from behind.
    assert {event.name for event in EVENTS} == {kind.name for kind in events.Event.__subclasses__()}


def test_json_is_one_object_a_line_with_every_field() -> None:
    stream = io.StringIO()
    listen = events.listener_for("json", stream=stream)
    for event in EVENTS:
        listen(event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [event.name for event in EVENTS]
    assert lines[1]["num_parts_finished"] == 1
    assert lines[3]["prior"]["low_level"] == "strong noise"
    assert lines[7]["steps_per_frame"] == {"2": 3, "1": 87}


def test_json_is_ascii_and_gives_any_path_back() -> None:
    path = "café \udcff.mp4"  # a byte that is no UTF-8, as Python has it
    text = events.to_json(events.Finished(output=path, seconds=1.0))
    assert text.isascii()
    assert json.loads(text)["output"] == path


def test_plain_lines_say_what_a_person_needs() -> None:
    stream = io.StringIO()
    listen = events.listener_for("plain", stream=stream)
    for event in EVENTS:
        listen(event)
    assert stream.getvalue().splitlines() == [
        "vidsr: 90 frames in 1 shot, 2 parts, 1 done before",
        "vidsr: warning: the sound ends early",
        "vidsr: shot 0: strong noise",
        "vidsr: writing and verifying the output",
        "vidsr: done in 2.5 s, steps per frame: 2 at 3 frames, 1 at 87",
    ], "progress comes every few seconds only"


def test_progress_is_shown_when_the_interval_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(events.PlainLines, "interval_seconds", 0)
    events.PlainLines(stream)(events.Restored(num_frames=65, num_frames_total=90))
    assert stream.getvalue() == "vidsr: restored 65 of 90 frames\n"


def test_none_still_shows_warnings() -> None:
    stream = io.StringIO()
    listen = events.listener_for("none", stream=stream)
    for event in EVENTS:
        listen(event)
    assert stream.getvalue() == "vidsr: warning: the sound ends early\n"


def test_auto_is_plain_where_there_is_no_terminal() -> None:
    assert isinstance(events.listener_for("auto", stream=io.StringIO()), events.PlainLines)


def test_the_bar_takes_every_event_and_stops(capsys: pytest.CaptureFixture[str]) -> None:
    bar = events.Bar()
    for event in EVENTS:
        bar(event)
    shown = capsys.readouterr().err
    assert "strong noise" in shown
    assert "steps per frame: 2 at 3 frames, 1 at 87" in shown


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ({}, "done in 1.0 s"),
        ({0: 90}, "done in 1.0 s"),
        ({4: 1, 0: 90}, "done in 1.0 s, steps per frame: 4 at 1 frame, 0 at 90"),
    ],
)
def test_steps_are_told_where_there_were_some(steps: dict[int, int], line: str) -> None:
    assert events.describe(events.Finished(output="o", seconds=1.0, steps_per_frame=steps)) == line
