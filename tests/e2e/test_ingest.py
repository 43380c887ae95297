"""The worker does a job once, however often it is asked to, and says what came of it."""

import json
import os
import shutil
import signal
from pathlib import Path

import pydantic
import pytest

from tests import corpus
from tests.overrides import QUICK_PARTS
from vidsr import config, events
from vidsr.api import resolve
from vidsr.caption.file import write_priors
from vidsr.errors import OutputBusyError
from vidsr.ingest import Job, Outcome, process
from vidsr.stopping import stop_on_signals
from vidsr.types import Prior, Shot


@pytest.fixture
def job(clip: Path, tmp_path: Path) -> Job:
    return Job(input=clip, output=tmp_path / "out.mp4", overrides=QUICK_PARTS)


def with_overrides(job: Job, **changes: object) -> Job:
    return job.model_copy(update={"overrides": job.overrides | changes})


def test_a_job_is_done_once(job: Job, tmp_path: Path) -> None:
    first = process(job)
    assert (first.outcome, first.was_done, first.exit_code) == (Outcome.DONE, False, 0)
    before = job.output.stat()
    seen: list[events.Event] = []
    second = process(job, on_event=seen.append)
    assert (second.outcome, second.was_done, second.exit_code) == (Outcome.DONE, True, 0)
    assert second.report == first.report
    assert seen == []
    assert (job.output.stat().st_ino, job.output.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.mp4.vidsr.json"]


def test_a_job_comes_from_json_and_goes_to_json(job: Job) -> None:
    assert Job.model_validate_json(job.model_dump_json()) == job
    assert Job.model_validate({"input": "a.mp4", "output": "b.mp4"}).pipeline == "ingest"
    with pytest.raises(pydantic.ValidationError, match="sauce"):
        Job.model_validate({"input": "a.mp4", "output": "b.mp4", "sauce": "c.mp4"})


def test_the_manual_says_what_to_do_with_every_outcome() -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs" / "worker.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in manual.splitlines() if line.startswith("| ")]
    assert rows[1:] == [outcome.value for outcome in Outcome]


def test_the_pipeline_of_workers_gives_up_what_does_not_move() -> None:
    resolved = config.load(Job.model_fields["pipeline"].default, environment={})
    assert 0 < resolved.run.stall_seconds < config.load(environment={}).run.stall_seconds
    assert resolve("ingest").stall_seconds == resolved.run.stall_seconds


def test_an_output_that_was_changed_is_not_taken_for_done(job: Job) -> None:
    process(job)
    job.output.write_bytes(job.output.read_bytes()[:-1] + b"?")
    again = process(job)
    assert (again.outcome, again.outcome.may_retry, again.exit_code) == (Outcome.REFUSED, False, 2)
    assert "exists already" in again.message
    forced = process(job.model_copy(update={"overwrite": True}))
    assert (forced.outcome, forced.was_done) == (Outcome.DONE, False)
    assert process(job).was_done


def test_an_output_that_is_gone_is_made_again(job: Job) -> None:
    process(job)
    job.output.unlink()
    again = process(job)
    assert (again.outcome, again.was_done) == (Outcome.DONE, False)


@pytest.mark.parametrize("text", ["", "[]", '{"key": 1}'])
def test_a_torn_record_is_no_record(text: str, job: Job) -> None:
    process(job)
    job.output.with_name("out.mp4.vidsr.json").write_text(text)
    assert process(job).outcome is Outcome.REFUSED


def test_another_input_or_setting_is_another_job(job: Job, tmp_path: Path, corpus_folder: Path) -> None:
    source = tmp_path / "in.mp4"
    shutil.copy(job.input, source)
    copied = job.model_copy(update={"input": source})
    process(copied)
    assert process(job).was_done, "the same bytes under another name are the same job"
    assert process(with_overrides(job, **{"run.stall_seconds": 5})).was_done
    assert process(with_overrides(job, **{"encode.crf": 30})).outcome is Outcome.REFUSED
    shutil.copy(corpus.make("cfr", corpus_folder), source)
    assert process(copied).outcome is Outcome.REFUSED


def test_other_words_in_a_priors_file_are_another_job(job: Job, tmp_path: Path) -> None:
    file = tmp_path / "priors.yaml"
    told = with_overrides(job, **{"caption.captioner": "file", "caption.file": str(file)})
    told = with_overrides(told, **{"plan.cut_detector": "none"})
    shots = [Shot(index=0, start=0, stop=50)]
    write_priors(file, shots, [Prior(low_level="light noise")])
    assert process(told).outcome is Outcome.DONE
    assert process(told).was_done
    write_priors(file, shots, [Prior(low_level="strong noise")])
    assert process(told).outcome is Outcome.REFUSED


def test_of_two_calls_at_once_the_second_is_told_who_is_at_it(job: Job) -> None:
    results = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.PartFinished) and not results:
            results.append(process(job))

    assert process(job, on_event=listen).outcome is Outcome.DONE
    (second,) = results
    assert (second.outcome, second.outcome.may_retry, second.exit_code) == (Outcome.TRANSIENT, True, 75)
    assert isinstance(second.error, OutputBusyError)
    assert f"process {os.getpid()}" in second.message
    assert process(job).was_done


def test_a_stopped_job_goes_on(job: Job) -> None:
    def listen(event: events.Event) -> None:
        if isinstance(event, events.Assembling):
            os.kill(os.getpid(), signal.SIGTERM)

    with stop_on_signals():
        stopped = process(job, on_event=listen)
    assert (stopped.outcome, stopped.outcome.may_retry, stopped.exit_code) == (Outcome.STOPPED, True, 143)
    again = process(job)
    assert again.outcome is Outcome.DONE
    assert again.report is not None
    assert again.report.num_parts_reused == again.report.num_parts


def test_a_job_that_was_killed_before_its_record_was_written_is_done(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidsr.ingest import worker as module

    def stop(*arguments: object, **others: object) -> None:
        msg = "killed"
        raise KeyboardInterrupt(msg)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_record", stop)
        with pytest.raises(KeyboardInterrupt):
            process(job)
    made = job.output.stat()
    again = process(job)
    assert again.outcome is Outcome.DONE
    assert job.output.stat().st_mtime_ns == made.st_mtime_ns
    assert process(job).was_done
    record = json.loads(job.output.with_name("out.mp4.vidsr.json").read_text())
    assert record["size_bytes"] == made.st_size
    assert not job.output.with_name("out.mp4.vidsr").exists()


def test_bad_jobs_are_told_apart(job: Job, tmp_path: Path, corpus_folder: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    nowhere = tmp_path / "nowhere" / "out.mp4"
    cases = {
        Outcome.BAD_INPUT: job.model_copy(update={"input": tmp_path / "empty.mp4"}),
        Outcome.REFUSED: with_overrides(job, **{"restore.scael": 2}),
        Outcome.ENVIRONMENT: job.model_copy(update={"output": nowhere}),
    }
    for outcome, bad in cases.items():
        result = process(bad)
        assert (result.outcome, result.report) == (outcome, None)
        assert result.message
        assert not outcome.may_retry
    damaged = corpus.make("truncated", corpus_folder)
    partial = process(job.model_copy(update={"input": damaged}))
    assert (partial.outcome, partial.exit_code) == (Outcome.PARTIAL, 4)
    strict = process(
        job.model_copy(update={"input": damaged, "output": tmp_path / "strict.mp4", "strict": True})
    )
    assert (strict.outcome, strict.exit_code) == (Outcome.BAD_INPUT, 3)


def test_an_error_of_ours_is_a_failure_and_not_raised(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidsr.ingest import worker as module

    def break_down(*arguments: object, **others: object) -> None:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr(module, "run", break_down)
    result = process(job)
    assert (result.outcome, result.message, result.exit_code) == (
        Outcome.FAILED,
        "ZeroDivisionError: a bug",
        1,
    )
    assert isinstance(result.error, ZeroDivisionError)
