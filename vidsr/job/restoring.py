"""Restores the parts of a job that are not in its journal yet."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidsr import events
from vidsr.errors import VidsrError
from vidsr.job.crew import PartWork, Tally
from vidsr.job.failures import failed_twice
from vidsr.job.identity import content_key
from vidsr.job.job import Stages
from vidsr.job.schedule import restore_parts
from vidsr.job.work_folder import PartRecord, WorkFolder
from vidsr.media.encode import SegmentWriter
from vidsr.media.intermediate import open_picture
from vidsr.types import Part, Plan, Prior


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """What is to be restored, by what, and where it is kept."""

    source: Path
    plan: Plan
    folder: WorkFolder
    parts: Sequence[Part]
    priors: Sequence[Prior]
    stages: Stages
    on_event: events.Listener
    check: Callable[[], None]
    """See PartWork."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The journal of a job whose parts are all finished."""

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


class _Journal:
    """What is finished, in the work folder and in memory."""

    def __init__(self, what: Restoring) -> None:
        self._folder = what.folder
        self._keys = {part.index: _key(part, what) for part in what.parts}
        found = {part.index: self._folder.finished(part, self._keys[part.index]) for part in what.parts}
        self.records = {index: record for index, record in found.items() if record is not None}

    def finish(self, part: Part, tally: Tally) -> None:
        """Enter a part whose segment is written."""
        self.records[part.index] = self._folder.record(
            part,
            num_frames=tally.num_frames,
            key=self._keys[part.index],
            steps_per_frame=tally.steps_per_frame,
            notes=tally.notes,
        )


def restore(what: Restoring, *, on_journal: Callable[[int], None]) -> Restored:
    """Restore all parts that are not finished. One that fails is tried once more, after all others.

    Args:
        what: to restore.
        on_journal: called with the number of parts that are finished already, before any other is begun.

    Raises:
        PartError, MemoryExhaustedError: parts failed twice; all others are finished.
        VidsrError: what no other part would escape; finished parts are kept.
    """
    journal = _Journal(what)
    num_reused = len(journal.records)
    on_journal(num_reused)
    for note in Restored(records=list(journal.records.values()), num_reused=num_reused).notes:
        what.on_event(events.Warned(message=note))
    missing = [part for part in what.parts if part.index not in journal.records]
    failures = _restore_missing(missing, what, journal, batch_parts=what.stages.batch_parts)
    for failure in failures.values():
        what.on_event(events.Warned(message=f"{failure}; it is tried once more"))
    # Each alone, so that one that fails takes no other with it.
    again = [part for part in missing if part in failures]
    failures = _restore_missing(again, what, journal, batch_parts=1)
    if failures:
        raise failed_twice(failures, num_parts=len(what.parts))
    return Restored(records=[journal.records[part.index] for part in what.parts], num_reused=num_reused)


def _key(part: Part, what: Restoring) -> str:
    return content_key(
        part,
        what.priors[part.shot_index],
        restore=what.stages.restore_config_of(part.shot_index),
        weights=what.stages.weights_of(part.shot_index),
    )


def _restore_missing(
    missing: Sequence[Part], what: Restoring, journal: _Journal, *, batch_parts: int
) -> Mapping[Part, VidsrError]:
    """Restore `missing` and return the parts that failed."""
    if not missing:
        return {}
    plan, stages = what.plan, what.stages
    num_done = len(plan.frames) - sum(part.stop - part.start for part in missing)

    def on_frames(count: int) -> None:
        nonlocal num_done
        num_done += count
        what.on_event(events.Restored(num_frames=num_done, num_frames_total=len(plan.frames)))

    def on_part(part: Part) -> None:
        what.on_event(events.PartFinished(part_index=part.index, num_frames=part.stop - part.start))

    work = PartWork(
        open_source=lambda: open_picture(plan, what.source, filtered=what.folder.filtered_path),
        open_sink=lambda part: SegmentWriter(
            what.folder.segment_path(part), settings=stages.encode, output=plan.output
        ),
        finish=journal.finish,
        prior_of=lambda part: what.priors[part.shot_index],
        settings_of=lambda part: stages.settings_of(part.shot_index),
        seed=plan.seed,
        check=what.check,
    )
    return restore_parts(
        missing,
        work=work,
        restorer=stages.restorer.make(),
        batch_parts=batch_parts,
        on_frames=on_frames,
        on_part=on_part,
        on_note=lambda note: what.on_event(events.Warned(message=note)),
    )
