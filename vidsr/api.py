"""The Python interface: what the command line does, as functions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidsr import build, config, events
from vidsr.job.job import Job, Report, Stages
from vidsr.job.run import caption_only, plan_only, run
from vidsr.job.watchdog import OnHang
from vidsr.types import Plan, Prior, Shot, ShotSettings


def enhance(  # noqa: PLR0913  # keyword-only options of the one public entry point
    input: str | Path,  # the word users know
    output: str | Path | None = None,
    *,
    pipeline: str = "enhance",
    overrides: Mapping[str, Any] | None = None,
    work_dir: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = True,
    strict: bool = False,
    on_event: events.Listener | None = None,
    on_hang: OnHang | None = None,
) -> Report:
    """Restore a video: every frame at its own time, every other stream copied, verified before it appears.

    Args:
        input: the video.
        output: where the result goes; beside the input as INPUT_restored by default.
        pipeline: name of a shipped pipeline, or path of a YAML file.
        overrides: dotted keys to values, such as {"restore.scale": 2, "encode.crf": 20}.
        work_dir: where finished parts are kept until the output is done; OUTPUT.vidsr by default.
        overwrite: replace an output that is there.
        resume: go on with what an earlier run left unfinished; False throws it away.
        strict: refuse a damaged input, before any restoring, instead of restoring what is left of it.
        on_event: called with each event of vidsr.events, in this thread.
        on_hang: called, in a thread of its own, with why the job is over while this thread is held by a
            native call that no exception can end (`run.stall_seconds`). The command line ends the process.

    Raises:
        VidsrError: its `exit_code` says whether trying again can help; see vidsr.errors.
    """
    stages = resolve(pipeline, overrides)
    job = _job(input, output, work_dir, overwrite=overwrite, resume=resume, strict=strict)
    return run(job, stages, on_event=on_event or events.ignore, on_hang=on_hang)


def resolve(pipeline: str, overrides: Mapping[str, Any] | None = None) -> Stages:
    """Return everything that a pipeline names, with all that overrides it; no model is loaded yet.

    Raises:
        ConfigError: an unknown name or key, or values that do not go together.
        MachineError: a device, codec or weights that are not there.
    """
    return build.build_stages(config.load(pipeline, overrides=overrides))


def plan(
    input: str | Path,  # the word users know
    output: str | Path | None = None,
    *,
    pipeline: str = "enhance",
    overrides: Mapping[str, Any] | None = None,
    strict: bool = False,
    on_event: events.Listener | None = None,
) -> Plan:
    """Decide everything about a job, and restore and write nothing. Arguments as in `enhance`."""
    stages = resolve(pipeline, overrides)
    job = _job(input, output, None, overwrite=True, strict=strict)
    return plan_only(job, stages, on_event=on_event or events.ignore)


def describe(
    input: str | Path,  # the word users know
    *,
    pipeline: str = "enhance",
    overrides: Mapping[str, Any] | None = None,
    on_event: events.Listener | None = None,
) -> tuple[Sequence[Shot], Sequence[Prior], Mapping[int, ShotSettings]]:
    """Return the shots of a video, the prior of each, and what is asked for some of them, by their index.

    No file is written.
    """
    stages = resolve(pipeline, overrides)
    job = _job(input, None, None, overwrite=True)
    return *caption_only(job, stages, on_event=on_event or events.ignore), stages.asked


def _job(
    source: str | Path,
    output: str | Path | None,
    work_dir: str | Path | None,
    *,
    overwrite: bool,
    resume: bool = True,
    strict: bool = False,
) -> Job:
    return Job(
        input=Path(source),
        output=None if output is None else Path(output),
        work_dir=None if work_dir is None else Path(work_dir),
        overwrite=overwrite,
        resume=resume,
        strict=strict,
    )
