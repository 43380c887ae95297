"""Does one job, once, however often it is asked to."""

from pathlib import Path
from typing import Any

from vidsr import api, events
from vidsr.errors import OutputExistsError, VidsrError
from vidsr.files import sha256_of
from vidsr.ingest.job import Job
from vidsr.ingest.record import find_record, record_path, write_record
from vidsr.ingest.result import Result, outcome_of, outcome_of_report
from vidsr.job import job as job_values
from vidsr.job.claim import decide_names, identify_job
from vidsr.job.job import Report, Stages
from vidsr.job.run import run
from vidsr.job.watchdog import OnHang


def process(job: Job, *, on_event: events.Listener = events.ignore, on_hang: OnHang | None = None) -> Result:
    """Restore a video, unless that is done already.

    An output that an earlier call made from the same bytes by the same configuration, weights and versions
    is recognised by its record (vidsr.ingest.record) and its digest, and left as it is. A call that was
    killed is taken up where it was. Of two calls at once, the second comes back with the outcome TRANSIENT,
    and its message names the process that is at it.

    Args:
        job: what to do.
        on_event: is told of everything that happens.
        on_hang: see `vidsr.enhance`.

    Returns:
        What came of it; no failure of a job is raised. Within `vidsr.stopping.stop_on_signals`, a signal
        gives the outcome STOPPED.
    """
    try:
        stages = api.resolve(job.pipeline, job.overrides)
        report = _find(job, stages)
        if report is not None:
            return _result(job, report, was_done=True)
        try:
            return _result(job, _make(job, stages, on_event, on_hang), was_done=False)
        except OutputExistsError:
            # By another worker, since we looked?
            report = _find(job, stages)
            if report is None:
                raise
            return _result(job, report, was_done=True)
    except Exception as error:  # noqa: BLE001  # a worker goes on with the next job; the result has the error
        message = str(error) if isinstance(error, VidsrError) else f"{type(error).__name__}: {error}"
        return Result(job=job, outcome=outcome_of(error), message=message, error=error)


def _result(job: Job, report: Report, *, was_done: bool) -> Result:
    return Result(job=job, outcome=outcome_of_report(report), report=report, was_done=was_done)


def _make(job: Job, stages: Stages, on_event: events.Listener, on_hang: OnHang | None) -> Report:
    def record(job_key: str, report: Report) -> None:
        write_record(job.output, key=_record_key(job_key, stages.config), report=report)

    return run(_job_of(job), stages, on_event=on_event, on_hang=on_hang, on_published=record)


def _find(job: Job, stages: Stages) -> Report | None:
    """Return the report of an earlier call that did the same job."""
    if not record_path(job.output).is_file():
        return None
    _, output = decide_names(_job_of(job), stages)
    _, identity = identify_job(_job_of(job), stages, output)
    return find_record(job.output, key=_record_key(identity.key, stages.config))


def _record_key(job_key: str, config: dict[str, Any]) -> str:
    """Return the key of all that the output depends on; a job's own leaves out the words of a priors file."""
    file = config["caption"]["file"]
    return job_key if file is None else f"{job_key}-{sha256_of(Path(file))}"


def _job_of(job: Job) -> job_values.Job:
    return job_values.Job(
        input=job.input,
        output=job.output,
        work_dir=job.work_dir,
        overwrite=job.overwrite,
        resume=job.resume,
        strict=job.strict,
    )
