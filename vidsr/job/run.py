"""One job from input to verified output: plan, describe, restore, publish."""

import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidsr import events
from vidsr.caption.file import read_priors, write_priors
from vidsr.caption.protocol import InformedCaptioner, ModelCaptioner
from vidsr.job import plan_file
from vidsr.job.describe import Described, describe_shots, keep_priors, recall_shots
from vidsr.job.job import Job, Report, Stages
from vidsr.job.parts import parts_of
from vidsr.job.plan import identify, make_plan, refuse_damaged, versions
from vidsr.job.publish import check_output, default_output, publish
from vidsr.job.schedule import PartWork, Tally, restore_parts
from vidsr.job.work_folder import PartRecord, WorkFolder, content_key, job_key
from vidsr.media.admit import admit
from vidsr.media.container import suffix_for
from vidsr.media.encode import SegmentWriter
from vidsr.media.intermediate import open_picture, picture_file
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
        restored = _restore(prepared, priors, stages, on_event)
        on_event(events.Assembling())
        publish(
            plan=prepared.plan,
            source=job.input,
            segments=[prepared.folder.segment_path(part) for part in prepared.parts],
            output=prepared.output,
        )
        prepared.folder.remove()
        report = _report(prepared, restored, warnings, seconds=time.monotonic() - started)
        on_event(
            events.Finished(
                output=str(report.output), seconds=report.seconds, steps_per_frame=report.steps_per_frame
            )
        )
        return report
    finally:
        on_event(events.Ended())


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
        info = probe(job.input, video_stream=stages.video_stream)
        yield _make_plan(job, stages, info, identify(job.input), filtered, on_event), filtered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    source: Path
    output: Path
    plan: Plan
    folder: WorkFolder
    parts: Sequence[Part]
    is_plan_reused: bool


def _prepare(job: Job, stages: Stages, on_event: events.Listener) -> _Prepared:
    admit(job.input, stages.limits)
    info = probe(job.input, video_stream=stages.video_stream)
    output = _output_of(job, stages, info)
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
    plan = _kept_plan(folder)
    is_plan_reused = plan is not None
    if plan is not None and job.strict:
        refuse_damaged(plan.input.path, plan.losses)
    if plan is None:
        try:
            plan = _make_plan(job, stages, info, identity, folder.filtered_path, on_event)
        except BaseException:
            # Without a plan what is there already is of no use to the next run.
            if folder.root.exists():
                folder.remove()
            raise
        folder.create()
        plan_file.write(folder.plan_path, plan)
    for warning in (*plan.losses, *plan.warnings, *plan.repairs):
        on_event(events.Warned(message=warning))
    parts = parts_of(
        plan.shots,
        part_frames=stages.part_frames,
        lead_in=stages.restorer.lead_in,
        lead_ins={index: stage.lead_in for index, stage in stages.shots.items()},
    )
    return _Prepared(
        source=job.input, output=output, plan=plan, folder=folder, parts=parts, is_plan_reused=is_plan_reused
    )


def _output_of(job: Job, stages: Stages, info: MediaInfo) -> Path:
    """Return where the result goes: as asked for, but for an ending that the container does not go with."""
    suffix = suffix_for(
        info,
        codec=stages.encode.codec,
        suffix=None if job.output is None else job.output.suffix,
        on_incompatible=stages.on_incompatible,
    )
    return default_output(job.input, suffix) if job.output is None else job.output.with_suffix(suffix)


def _kept_plan(folder: WorkFolder) -> Plan | None:
    """Return the plan of an earlier run, if the pictures that it may speak of are still there."""
    if not folder.plan_path.is_file():
        return None
    plan = plan_file.read(folder.plan_path)
    return plan if plan.filtered is None or folder.filtered_path.is_file() else None


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
    plan = prepared.plan
    path = prepared.folder.priors_path
    if stages.captioner.is_cacheable and path.is_file():
        priors = read_priors(path, plan.shots)
        described = recall_shots(plan.shots, priors, captioner=stages.captioner)
    else:
        where = picture_file(plan, prepared.source, filtered=prepared.folder.filtered_path)
        described = list(_caption_all(plan, *where, stages, on_event))
        priors = tuple(item.prior for item in described)
        write_priors(path, plan.shots, priors, stages.asked)
    found = [item.warning for item in described]
    if isinstance(stages.captioner, ModelCaptioner):
        found.append(keep_priors(prepared.output, plan.shots, priors))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Restored:
    records: Sequence[PartRecord]
    """Of all parts, in order."""
    num_reused: int

    @property
    def steps_per_frame(self) -> dict[int, int]:
        """How many frames of all parts took how many denoising steps, most steps first."""
        total: Counter[int] = Counter()
        for record in self.records:
            total.update({int(steps): count for steps, count in record.steps_per_frame.items()})
        return dict(sorted(total.items(), reverse=True))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the restorer had to say; parts side by side were told the same."""
        return tuple(dict.fromkeys(note for record in self.records for note in record.notes))


def _restore(
    prepared: _Prepared, priors: Sequence[Prior], stages: Stages, on_event: events.Listener
) -> _Restored:
    """Restore the parts that are not in the journal yet."""
    keys = {
        part.index: content_key(
            part,
            priors[part.shot_index],
            restore=stages.restore_config_of(part.shot_index),
            weights=stages.weights_of(part.shot_index),
        )
        for part in prepared.parts
    }
    found = {part.index: prepared.folder.finished(part, keys[part.index]) for part in prepared.parts}
    records = {index: record for index, record in found.items() if record is not None}
    num_reused = len(records)
    on_event(_planned(prepared, num_reused))
    for note in _Restored(records=list(records.values()), num_reused=num_reused).notes:
        on_event(events.Warned(message=note))

    def finish(part: Part, tally: Tally) -> None:
        records[part.index] = prepared.folder.record(
            part,
            num_frames=tally.num_frames,
            key=keys[part.index],
            steps_per_frame=tally.steps_per_frame,
            notes=tally.notes,
        )

    if missing := [part for part in prepared.parts if part.index not in records]:
        _restore_missing(missing, prepared, priors, stages, finish=finish, on_event=on_event)
    return _Restored(records=[records[part.index] for part in prepared.parts], num_reused=num_reused)


def _restore_missing(
    missing: Sequence[Part],
    prepared: _Prepared,
    priors: Sequence[Prior],
    stages: Stages,
    *,
    finish: Callable[[Part, Tally], None],
    on_event: events.Listener,
) -> None:
    plan, folder = prepared.plan, prepared.folder
    num_done = len(plan.frames) - sum(part.stop - part.start for part in missing)

    def on_frames(count: int) -> None:
        nonlocal num_done
        num_done += count
        on_event(events.Restored(num_frames=num_done, num_frames_total=len(plan.frames)))

    def on_part(part: Part) -> None:
        on_event(events.PartFinished(part_index=part.index, num_frames=part.stop - part.start))

    work = PartWork(
        open_source=lambda: open_picture(plan, prepared.source, filtered=folder.filtered_path),
        open_sink=lambda part: SegmentWriter(
            folder.segment_path(part), settings=stages.encode, output=plan.output
        ),
        finish=finish,
        prior_of=lambda part: priors[part.shot_index],
        settings_of=lambda part: stages.settings_of(part.shot_index),
        seed=plan.seed,
    )
    restore_parts(
        missing,
        work=work,
        restorer=stages.restorer.make(),
        batch_parts=stages.batch_parts,
        on_frames=on_frames,
        on_part=on_part,
        on_note=lambda note: on_event(events.Warned(message=note)),
    )


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


def _report(prepared: _Prepared, restored: _Restored, warnings: Sequence[str], *, seconds: float) -> Report:
    plan = prepared.plan
    return Report(
        output=prepared.output,
        num_frames=len(plan.frames),
        num_shots=len(plan.shots),
        num_parts=len(prepared.parts),
        num_parts_reused=restored.num_reused,
        seconds=seconds,
        is_partial=plan.is_damaged,
        warnings=(*plan.losses, *plan.warnings, *plan.repairs, *warnings, *restored.notes),
        steps_per_frame=restored.steps_per_frame,
    )
