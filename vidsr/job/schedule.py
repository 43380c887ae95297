r"""Restores parts: decode, restore and encode run beside each other and hand frames over bounded queues.

    lane 0:  decode (thread) -> channel -\                     /-> channel -> encode (thread, one a part)
    lane 1:  decode (thread) -> channel --> Restorer.step(batch) --> channel -> encode
                                             (this thread)

A lane takes the next part from the list whenever it has decoded its last one, so decoding of the next part
begins while the current one is still being restored, and encoding of the last one ends while the next
is already being restored. Which lane takes which part changes nothing in the result.

A part that fails is given up, and the others go on. An error that is not of one part alone, such as a full
disk, ends them all.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vidsr.errors import Stopped, VidsrError
from vidsr.job.channel import Cancelled, Channel
from vidsr.job.crew import Crew, Decoded, PartWork
from vidsr.job.failures import of_one_part
from vidsr.job.parts import seed_of
from vidsr.restore.blend import blend
from vidsr.restore.protocol import Restorer
from vidsr.types import Carry, Done, Frame, Part, Work


def restore_parts(
    parts: Sequence[Part],
    *,
    work: PartWork,
    restorer: Restorer,
    batch_parts: int,
    on_frames: Callable[[int], None],
    on_part: Callable[[Part], None],
    on_note: Callable[[str], None],
) -> dict[Part, VidsrError]:
    """Restore all `parts`, up to `batch_parts` of them side by side.

    Args:
        parts: to be restored, in the order in which lanes take them.
        work: where frames come from and go to.
        restorer: is stepped in the calling thread only.
        batch_parts: lanes, at least 1.
        on_frames: called with the number of delivered frames after each step.
        on_part: called, in the calling thread, when a part is in the journal.
        on_note: called with what the restorer has to say, as soon as it says it; with what it says of several
            frames of a step, once.

    Returns:
        The parts that failed, and why.

    Raises:
        Stopped: by a signal; the threads wait until the process ends.
        VidsrError: what no other part would escape; all threads are stopped, finished parts stay.
    """
    crew = Crew(work, num_lanes=min(batch_parts, len(parts)))
    is_stopped = False
    try:
        lanes = [_Lane(frames, crew) for frames in crew.start_decoders(parts)]
        while lanes:
            lanes = _step(lanes, restorer=restorer, work=work, on_frames=on_frames, on_note=on_note)
            crew.report(on_part)
        crew.wait_for_encoders()
        crew.report(on_part)
    except Stopped:
        is_stopped = True
        raise
    finally:
        # The process of who is stopped ends. Its threads are left where they are: an encoder that is closed
        # first finishes the frames that it has, for seconds in which PyAV lets nothing else in Python move.
        if not is_stopped:
            crew.dismiss()
    return crew.failures


class _Lane:
    """One open part at a time: its incoming frames, its carry and its encoder."""

    def __init__(self, frames: Channel[Decoded], crew: Crew) -> None:
        self._incoming = iter(frames)
        self._crew = crew
        self._sink: Channel[Done] | None = None
        self._early_notes: tuple[str, ...] = ()
        self._carry: Carry | None = None
        self._carry_of_next: Carry | None = None

    def next(self) -> tuple[Part, Frame] | None:
        """Return the next frame of a part that has not failed."""
        for part, item in self._incoming:
            if isinstance(item, VidsrError):
                self.give_up(part, item)
            elif part not in self._crew.failures:
                return part, item
        return None

    def works(self, part: Part, frame: Frame, surroundings: PartWork) -> list[Work]:
        """Return what is to be done for a frame: at a part's end also what the next part will make of it.

        The next part does that again. So each part is a function of itself, whoever makes it and when.
        """
        own = Work(
            part_index=part.index,
            frame=frame,
            prior=surroundings.prior_of(part),
            carry=self._carry,
            seed=seed_of(part.lead_in, job_seed=surroundings.seed),
            settings=surroundings.settings_of(part),
        )
        if part.fade is None or frame.index < part.fade.lead_in:
            return [own]
        seed = seed_of(part.fade.lead_in, job_seed=surroundings.seed)
        return [own, replace(own, part_index=part.index + 1, carry=self._carry_of_next, seed=seed)]

    def deliver(self, part: Part, results: Sequence[Done]) -> bool:
        """Keep the carries and pass the rest on; return whether the frame belongs to the output."""
        is_last = results[0].frame.index == part.stop - 1
        self._carry = None if is_last else results[0].carry
        self._carry_of_next = None if is_last or len(results) == 1 else results[1].carry
        done = _faded(part, results)
        notes = self._early_notes + done.notes
        is_lead_in = done.frame.index < part.start
        self._early_notes = notes if is_lead_in else ()
        if is_lead_in:
            return False
        if self._sink is None:
            self._sink = self._crew.start_encoder(part)
        try:
            self._sink.put(replace(done, carry=None, notes=notes))
        except Cancelled:
            # By the encoder, which has failed and said why.
            self._crew.collect_failures()
            self._close()
            return False
        if is_last:
            self._sink.close()
            self._sink = None
        return True

    def give_up(self, part: Part, error: VidsrError) -> None:
        """Drop what there is of `part`."""
        self._crew.failures[part] = error
        self._close()

    def _close(self) -> None:
        if self._sink is not None:
            self._sink.cancel()
        self._sink, self._early_notes = None, ()
        self._carry = self._carry_of_next = None


def _step(
    lanes: Sequence[_Lane],
    *,
    restorer: Restorer,
    work: PartWork,
    on_frames: Callable[[int], None],
    on_note: Callable[[str], None],
) -> list[_Lane]:
    """Advance every lane that still has frames by one; return those lanes."""
    entries = [(lane, item) for lane in lanes if (item := lane.next()) is not None]
    if not entries:
        return []
    works = [lane.works(part, frame, work) for lane, (part, frame) in entries]
    try:
        results = iter(restorer.step([one for of_lane in works for one in of_lane]))
    except Exception as error:  # noqa: BLE001  # judged by of_one_part
        # Whose frame it was, nobody knows.
        for lane, (part, _) in entries:
            lane.give_up(part, of_one_part(error, part, doing="restoring"))
        return [lane for lane, _ in entries]
    by_lane = [[next(results) for _ in of_lane] for of_lane in works]
    for note in dict.fromkeys(note for of_lane in by_lane for done in of_lane for note in done.notes):
        on_note(note)
    delivered = [
        lane.deliver(part, of_lane) for (lane, (part, _)), of_lane in zip(entries, by_lane, strict=True)
    ]
    on_frames(sum(delivered))
    return [lane for lane, _ in entries]


def _faded(part: Part, results: Sequence[Done]) -> Done:
    """Return a frame of `part` with its share of what the next part makes of it."""
    own = results[0]
    if part.fade is None or len(results) == 1:
        return own
    return replace(
        own,
        frame=blend(own.frame, results[1].frame, share=part.fade.share(own.frame.index)),
        steps=own.steps + results[1].steps,
        notes=tuple(dict.fromkeys(own.notes + results[1].notes)),
    )
