"""One job from input to verified output: plan, describe, restore, publish."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidsr import events
from vidsr.caption.file import read_priors, write_priors
from vidsr.caption.protocol import InformedCaptioner, ModelCaptioner
from vidsr.job import plan_file
from vidsr.job.describe import Described, describe_shots, keep_priors, recall_shots
from vidsr.job.job import Job, Report, Stages
from vidsr.job.parts import parts_of
from vidsr.job.plan import identify, make_plan, versions
from vidsr.job.publish import check_output, default_output, publish
from vidsr.job.schedule import PartWork, restore_parts
from vidsr.job.work_folder import WorkFolder, job_key
from vidsr.media.container import suffix_for
from vidsr.media.decode import open_source
from vidsr.media.encode import SegmentWriter
from vidsr.media.probe import probe
from vidsr.media.sample import open_sampler
from vidsr.types import InputIdentity, MediaInfo, Part, Plan, Prior, Shot


def run(job: Job, stages: Stages, *, on_event: events.Listener = events.ignore) -> Report:
    """Restore a video.

    Raises:
        VidsrError: see vidsr.errors; the destination is as it was, finished parts are kept for the next run.
    """
    started = time.monotonic()
    try:
        prepared = _prepare(job, stages, on_event)
        priors, warnings = _describe(prepared, stages, on_event)
        num_reused = _restore(prepared, priors, stages, on_event)
        on_event(events.Assembling())
        publish(
            plan=prepared.plan,
            source=job.input,
            segments=[prepared.folder.segment_path(part) for part in prepared.parts],
            output=prepared.output,
        )
        prepared.folder.remove()
        report = _report(prepared, num_reused, warnings, seconds=time.monotonic() - started)
        on_event(events.Finished(output=str(report.output), seconds=report.seconds))
        return report
    finally:
        on_event(events.Ended())


def plan_only(job: Job, stages: Stages, *, on_event: events.Listener = events.ignore) -> Plan:
    """Return the plan of a job without writing anything."""
    info = probe(job.input)
    return _make_plan(job, stages, info, identify(job.input), on_event)


def caption_only(
    job: Job, stages: Stages, *, on_event: events.Listener = events.ignore
) -> tuple[Sequence[Shot], Sequence[Prior]]:
    """Return the shots of a video and the prior of each without writing anything."""
    try:
        plan = plan_only(job, stages, on_event=on_event)
        return plan.shots, tuple(item.prior for item in _caption_all(plan, job.input, stages, on_event))
    finally:
        on_event(events.Ended())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    source: Path
    output: Path
    plan: Plan
    folder: WorkFolder
    parts: Sequence[Part]
    is_plan_reused: bool


def _prepare(job: Job, stages: Stages, on_event: events.Listener) -> _Prepared:
    info = probe(job.input)
    output = job.output or default_output(job.input, suffix_for(info, codec=stages.encode.codec))
    check_output(job.input, output, overwrite=job.overwrite)
    identity = identify(job.input)
    folder = WorkFolder(
        job.work_dir or output.with_name(output.name + ".vidsr"),
        job_key(
            input_sha256=identity.sha256,
            config={**stages.config, "container": output.suffix},
            weights=stages.restorer.weights,
            versions=versions(),
        ),
    )
    is_plan_reused = folder.plan_path.is_file()
    if is_plan_reused:
        plan = plan_file.read(folder.plan_path)
    else:
        plan = _make_plan(job, stages, info, identity, on_event)
        folder.create()
        plan_file.write(folder.plan_path, plan)
    for warning in (*plan.warnings, *plan.repairs):
        on_event(events.Warned(message=warning))
    parts = parts_of(plan.shots, part_frames=stages.part_frames, lead_in=stages.restorer.lead_in)
    return _Prepared(
        source=job.input, output=output, plan=plan, folder=folder, parts=parts, is_plan_reused=is_plan_reused
    )


def _make_plan(
    job: Job, stages: Stages, info: MediaInfo, identity: InputIdentity, on_event: events.Listener
) -> Plan:
    return make_plan(
        identity=identity,
        info=info,
        output_suffix=job.output.suffix if job.output else None,
        stages=stages,
        on_progress=lambda num_frames: on_event(events.Indexing(num_frames=num_frames)),
    )


def _describe(
    prepared: _Prepared, stages: Stages, on_event: events.Listener
) -> tuple[tuple[Prior, ...], tuple[str, ...]]:
    """Return the priors of all shots, from the work folder where an earlier run left them, and warnings."""
    plan = prepared.plan
    path = prepared.folder.priors_path
    if stages.captioner.is_cacheable and path.is_file():
        priors = read_priors(path, plan.shots)
        described = recall_shots(plan.shots, priors, captioner=stages.captioner)
    else:
        described = list(_caption_all(plan, prepared.source, stages, on_event))
        priors = tuple(item.prior for item in described)
        write_priors(path, plan.shots, priors)
    found = [item.warning for item in described]
    if isinstance(stages.captioner, ModelCaptioner):
        found.append(keep_priors(prepared.output, plan.shots, priors))
    warnings = tuple(warning for warning in found if warning)
    for warning in warnings:
        on_event(events.Warned(message=warning))
    return priors, warnings


def _caption_all(plan: Plan, source: Path, stages: Stages, on_event: events.Listener) -> Iterator[Described]:
    captioner = stages.captioner
    if isinstance(captioner, InformedCaptioner):
        captioner.check(plan.shots)
    try:
        with open_sampler(source, plan.info, plan.frames) as sampler:
            for item in describe_shots(
                plan.shots, captioner=captioner, sample=sampler.pictures, stand_in=stages.stand_in
            ):
                on_event(events.Captioned(shot_index=item.shot.index, prior=item.prior))
                yield item
    finally:
        # Before a restorer is made: one GPU seldom holds both.
        if isinstance(captioner, ModelCaptioner):
            captioner.close()


def _restore(prepared: _Prepared, priors: Sequence[Prior], stages: Stages, on_event: events.Listener) -> int:
    """Restore the parts that are not in the journal yet; return how many were there."""
    plan, folder = prepared.plan, prepared.folder

    def prior_of(part: Part) -> Prior:
        return priors[part.shot_index]

    missing = [part for part in prepared.parts if not folder.is_finished(part, prior_of(part))]
    num_reused = len(prepared.parts) - len(missing)
    on_event(_planned(prepared, num_reused))
    if not missing:
        return num_reused
    num_done = len(plan.frames) - sum(part.stop - part.start for part in missing)

    def on_frames(count: int) -> None:
        nonlocal num_done
        num_done += count
        on_event(events.Restored(num_frames=num_done, num_frames_total=len(plan.frames)))

    def on_part(part: Part) -> None:
        on_event(events.PartFinished(part_index=part.index, num_frames=part.stop - part.start))

    work = PartWork(
        open_source=lambda: open_source(prepared.source, plan.info, plan.frames, linear=plan.is_damaged),
        open_sink=lambda part: SegmentWriter(
            folder.segment_path(part), settings=stages.encode, output=plan.output
        ),
        finish=lambda part, num_frames: folder.record(part, num_frames=num_frames, prior=prior_of(part)),
        prior_of=prior_of,
        seed=plan.seed,
    )
    restore_parts(
        missing,
        work=work,
        restorer=stages.restorer.make(),
        batch_parts=stages.batch_parts,
        on_frames=on_frames,
        on_part=on_part,
    )
    return num_reused


def _planned(prepared: _Prepared, num_reused: int) -> events.Planned:
    return events.Planned(
        input=str(prepared.source),
        output=str(prepared.output),
        num_frames=len(prepared.plan.frames),
        num_shots=len(prepared.plan.shots),
        num_parts=len(prepared.parts),
        num_parts_finished=num_reused,
        is_plan_reused=prepared.is_plan_reused,
    )


def _report(prepared: _Prepared, num_reused: int, warnings: Sequence[str], *, seconds: float) -> Report:
    plan = prepared.plan
    return Report(
        output=prepared.output,
        num_frames=len(plan.frames),
        num_shots=len(plan.shots),
        num_parts=len(prepared.parts),
        num_parts_reused=num_reused,
        seconds=seconds,
        is_partial=plan.is_damaged,
        warnings=(*plan.warnings, *plan.repairs, *warnings),
    )
