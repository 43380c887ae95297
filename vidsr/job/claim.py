"""How a run lays claim to its output: no other run makes it, no other job's work waits for it."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from vidsr.errors import OutputExistsError
from vidsr.job.identity import JobIdentity
from vidsr.job.job import Job, Report, Stages
from vidsr.job.lock import locked, remove_if_empty
from vidsr.job.plan import identify, versions
from vidsr.job.publish import check_place, default_output
from vidsr.job.unfinished import (
    discard,
    folders_of,
    lock_path,
    refuse_other_work,
    remove_bare,
    state_folder,
    throw_away,
)
from vidsr.job.work_folder import WorkFolder
from vidsr.media.admit import admit
from vidsr.media.container import suffix_for
from vidsr.media.probe import probe
from vidsr.types import InputIdentity, MediaInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job whose output this run alone makes."""

    job: Job
    output: Path
    info: MediaInfo
    input: InputIdentity
    identity: JobIdentity
    folder: WorkFolder
    published: Report | None
    """Where an earlier run had come to its end, but for removing its work folder."""


def claim_output(job: Job, stages: Stages, ending: ExitStack) -> Claim:
    """Lock the output, and the folder of what is finished of it, until `ending`.

    Raises:
        InputError: the input cannot be opened.
        OutputExistsError, UnwritableError: the output must not or cannot be written.
        OutputBusyError: another run makes it.
        OtherWorkError: another job's unfinished work waits for it.
    """
    info, output = decide_names(job, stages)
    check_place(job.input, output)
    ending.enter_context(locked(lock_path(output), what=str(output)))
    work_dir = job.work_dir or state_folder(output)
    remove_bare(output, work_dir)
    finished = [folder for folder in folders_of(output, work_dir) if folder.published(output)]
    if not finished or not job.resume:
        _refuse_existing(output, overwrite=job.overwrite)
    if not job.resume:
        discard(output, work_dir)
        finished = []
    source, identity = identify_job(job, stages, output)
    folder = WorkFolder(work_dir, identity.key)
    if not work_dir.exists():
        ending.callback(remove_if_empty, work_dir)
    ending.enter_context(locked(folder.lock_path, what=str(folder.root)))
    report = folder.published(output)
    if report is None:
        for other in finished:
            throw_away(other)
        _refuse_existing(output, overwrite=job.overwrite)
        refuse_other_work(output, work_dir, identity)
    return Claim(
        job=job,
        output=output,
        info=info,
        input=source,
        identity=identity,
        folder=folder,
        published=None if report is None else replace(report, output=output),
    )


def decide_names(job: Job, stages: Stages) -> tuple[MediaInfo, Path]:
    """Read the input's header, and return where the result goes.

    That is where it was asked for, but for an ending that the container does not go with.

    Raises:
        InputError: the input cannot be opened, or asks for more than the limits allow.
    """
    admit(job.input, stages.limits)
    info = probe(job.input, video_stream=stages.video_stream, frame_rate=stages.frame_rate)
    suffix = suffix_for(
        info,
        codec=stages.encode.codec,
        scale=stages.restorer.scale,
        suffix=None if job.output is None else job.output.suffix,
        on_incompatible=stages.on_incompatible,
    )
    return info, default_output(job.input, suffix) if job.output is None else job.output.with_suffix(suffix)


def identify_job(job: Job, stages: Stages, output: Path) -> tuple[InputIdentity, JobIdentity]:
    """Read the whole input, and return which bytes it holds and what the frames of `output` depend on."""
    source = identify(job.input)
    identity = JobIdentity(
        input_path=str(job.input),
        input_sha256=source.sha256,
        config={**stages.config, "container": output.suffix},
        weights=stages.restorer.weights,
        versions=versions(),
    )
    return source, identity


def _refuse_existing(output: Path, *, overwrite: bool) -> None:
    if output.exists() and not overwrite:
        msg = f"{output}: exists already; pass --overwrite to replace it, or name another with -o"
        raise OutputExistsError(msg)
