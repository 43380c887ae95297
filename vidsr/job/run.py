"""One job from input to verified output: plan, describe, restore, publish."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidsr import events
from vidsr.caption.protocol import InformedCaptioner, ModelCaptioner
from vidsr.job.claim import Claim, claim_output
from vidsr.job.describe import Described, describe_shots, keep_priors, recall_shots
from vidsr.job.job import Job, Report, Stages
from vidsr.job.parts import parts_of
from vidsr.job.plan import identify, make_plan, refuse_damaged
from vidsr.job.publish import publish
from vidsr.job.restoring import Restored, Restoring, restore
from vidsr.job.unfinished import unfinished_path
from vidsr.job.watchdog import OnHang, Watchdog
from vidsr.media.admit import admit
from vidsr.media.encode import try_encoder
from vidsr.media.intermediate import picture_file
from vidsr.media.probe import probe
from vidsr.media.sample import open_sampler
from vidsr.types import InputIdentity, MediaInfo, Part, Plan, Prior, Shot


def run(
    job: Job,
    stages: Stages,
    *,
    on_event: events.Listener = events.ignore,
    on_hang: OnHang | None = None,
    on_published: Callable[[str, Report], None] = lambda _key, _report: None,
) -> Report:
    """Restore a video.

    Args:
        job: what to restore.
        stages: with what.
        on_event: is told of everything that happens, in this thread.
        on_hang: called, in another thread, where the job is stalled in a native call that does not return.
        on_published: called with the job's key and what came of it when the output is in its place; after a
            kill in between, by the next run.

    Raises:
        VidsrError: see vidsr.errors; the destination is as it was, finished parts are kept for the next run.
    """
    started = time.monotonic()
    with contextlib.ExitStack() as ending:
        ending.callback(on_event, events.Ended())
        watchdog = ending.enter_context(Watchdog(stages.stall_seconds, on_event=on_event, on_hang=on_hang))
        watchdog.enter("looking at the input")
        claim = claim_output(job, stages, ending)
        made = claim.published or _make(claim, stages, watchdog)
        report = replace(made, seconds=time.monotonic() - started)
        on_event(
            events.Finished(
                output=str(report.output), seconds=report.seconds, steps_per_frame=report.steps_per_frame
            )
        )
        on_published(claim.identity.key, report)
        claim.folder.remove()
        return report


def _make(claim: Claim, stages: Stages, watchdog: Watchdog) -> Report:
    """Make the output and put it in its place."""
    listen = watchdog.listen
    watchdog.enter("planning")
    prepared = _prepare(claim, stages, listen)
    with claim.folder.kept():
        watchdog.enter("describing the shots")
        priors, warnings = _describe(prepared, stages, listen)
        watchdog.enter("restoring")
        what = Restoring(
            source=claim.job.input,
            plan=prepared.plan,
            folder=claim.folder,
            parts=prepared.parts,
            priors=priors,
            stages=stages,
            on_event=listen,
            check=watchdog.check,
        )
        restored = restore(what, on_journal=lambda num_reused: listen(_planned(prepared, num_reused)))
        watchdog.enter("writing the output")
        listen(events.Assembling())
        report = _report(prepared, restored, warnings)
        publish(
            plan=prepared.plan,
            source=claim.job.input,
            segments=claim.folder.segments(prepared.parts),
            unfinished=unfinished_path(claim.output),
            output=claim.output,
            before_verifying=lambda: watchdog.enter("verifying the output"),
            before_rename=lambda: claim.folder.note_published(unfinished_path(claim.output), report),
        )
    return report


def plan_only(job: Job, stages: Stages, *, on_event: events.Listener = events.ignore) -> Plan:
    """Return the plan of a job without writing anything that stays."""
    with _planned_aside(job, stages, on_event) as (plan, _):
        return plan


def caption_only(
    job: Job, stages: Stages, *, on_event: events.Listener = events.ignore
) -> tuple[Sequence[Shot], Sequence[Prior]]:
    """Return the shots of a video and the prior of each without writing anything."""
    try:
        with _planned_aside(job, stages, on_event) as (plan, filtered):
            path, info = picture_file(plan, job.input, filtered=filtered)
            described = _caption_all(plan, path, info, stages, on_event)
            return plan.shots, tuple(item.prior for item in described)
    finally:
        on_event(events.Ended())


@contextlib.contextmanager
def _planned_aside(job: Job, stages: Stages, on_event: events.Listener) -> Iterator[tuple[Plan, Path]]:
    """Plan a job that is not run: what the pictures may have to be filtered into is gone at the end."""
    admit(job.input, stages.limits)
    with tempfile.TemporaryDirectory(prefix="vidsr-") as folder:
        filtered = Path(folder) / "filtered.mkv"
        info = probe(job.input, video_stream=stages.video_stream, frame_rate=stages.frame_rate)
        yield _make_plan(job, stages, info, identify(job.input), filtered, on_event), filtered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    claim: Claim
    plan: Plan
    parts: Sequence[Part]
    is_plan_reused: bool


def _prepare(claim: Claim, stages: Stages, on_event: events.Listener) -> _Prepared:
    """Make the plan, or take that of an earlier run."""
    plan = claim.folder.read_plan()
    is_plan_reused = plan is not None
    if plan is None:
        plan = _plan_anew(claim, stages, on_event)
    else:
        if claim.job.strict:
            refuse_damaged(plan.input.path, plan.losses)
        claim.folder.create(claim.identity, output=claim.output)
    for warning in (*plan.losses, *plan.warnings, *plan.repairs):
        on_event(events.Warned(message=warning))
    parts = parts_of(
        plan.shots,
        part_frames=stages.part_frames,
        lead_in=stages.restorer.lead_in,
        lead_ins={index: stage.lead_in for index, stage in stages.shots.items()},
    )
    return _Prepared(claim=claim, plan=plan, parts=parts, is_plan_reused=is_plan_reused)


def _plan_anew(claim: Claim, stages: Stages, on_event: events.Listener) -> Plan:
    folder = claim.folder
    if folder.plan_path.exists():
        on_event(events.Warned(message=f"{folder.plan_path}: is damaged, and is made anew"))
    folder.create(claim.identity, output=claim.output)
    try:
        plan = _make_plan(claim.job, stages, claim.info, claim.input, folder.filtered_path, on_event)
        try_encoder(stages.encode, plan.output)
        folder.write_plan(plan)
    except BaseException:
        # Without a plan what is there already is of no use to the next run.
        if not folder.num_records:
            folder.remove()
        raise
    return plan


def _make_plan(
    job: Job,
    stages: Stages,
    info: MediaInfo,
    identity: InputIdentity,
    filtered_path: Path,
    on_event: events.Listener,
) -> Plan:
    return make_plan(
        identity=identity,
        info=info,
        output_suffix=job.output.suffix if job.output else None,
        stages=stages,
        filtered_path=filtered_path,
        strict=job.strict,
        on_progress=lambda num_frames: on_event(events.Indexing(num_frames=num_frames)),
    )


def _describe(
    prepared: _Prepared, stages: Stages, on_event: events.Listener
) -> tuple[tuple[Prior, ...], tuple[str, ...]]:
    """Return the priors of all shots, from the work folder where an earlier run left them, and warnings."""
    plan, claim = prepared.plan, prepared.claim
    priors = claim.folder.read_priors(plan.shots) if stages.captioner.is_cacheable else None
    if priors is not None:
        described = recall_shots(plan.shots, priors, captioner=stages.captioner)
    else:
        where = picture_file(plan, claim.job.input, filtered=claim.folder.filtered_path)
        described = list(_caption_all(plan, *where, stages, on_event))
        priors = tuple(item.prior for item in described)
        claim.folder.write_priors(plan.shots, priors, stages.asked)
    found = [item.warning for item in described]
    if isinstance(stages.captioner, ModelCaptioner):
        found.append(keep_priors(claim.output, plan.shots, priors))
    warnings = tuple(warning for warning in found if warning)
    for warning in warnings:
        on_event(events.Warned(message=warning))
    return priors, warnings


def _caption_all(
    plan: Plan, path: Path, info: MediaInfo, stages: Stages, on_event: events.Listener
) -> Iterator[Described]:
    captioner = stages.captioner
    if isinstance(captioner, InformedCaptioner):
        captioner.check(plan.shots)
    try:
        with open_sampler(path, info, plan.frames) as sampler:
            for item in describe_shots(
                plan.shots, captioner=captioner, sample=sampler.pictures, stand_in=stages.stand_in
            ):
                on_event(events.Captioned(shot_index=item.shot.index, prior=item.prior))
                yield item
    finally:
        # Before a restorer is made: one GPU seldom holds both.
        if isinstance(captioner, ModelCaptioner):
            captioner.close()


def _planned(prepared: _Prepared, num_reused: int) -> events.Planned:
    return events.Planned(
        input=str(prepared.claim.job.input),
        output=str(prepared.claim.output),
        num_frames=len(prepared.plan.frames),
        num_shots=len(prepared.plan.shots),
        num_parts=len(prepared.parts),
        num_parts_finished=num_reused,
        is_plan_reused=prepared.is_plan_reused,
    )


def _report(prepared: _Prepared, restored: Restored, warnings: Sequence[str]) -> Report:
    plan = prepared.plan
    return Report(
        output=prepared.claim.output,
        num_frames=len(plan.frames),
        num_shots=len(plan.shots),
        num_parts=len(prepared.parts),
        num_parts_reused=restored.num_reused,
        seconds=0.0,
        is_partial=plan.is_damaged,
        warnings=(*plan.losses, *plan.warnings, *plan.repairs, *warnings, *restored.notes),
        steps_per_frame=restored.steps_per_frame,
    )
