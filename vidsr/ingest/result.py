"""What came of a job, in the few classes that a queue has to tell apart."""

from dataclasses import dataclass
from enum import StrEnum

from vidsr.errors import (
    EXIT_DONE,
    EXIT_PARTIAL,
    InputError,
    MachineError,
    Stopped,
    TransientError,
    UsageError,
    VidsrError,
)
from vidsr.ingest.job import Job
from vidsr.job.job import Report


class Outcome(StrEnum):
    """What to do with a job from here."""

    DONE = "done"
    """The output is verified and in its place."""
    PARTIAL = "partial"
    """So it is, but the source was damaged; the report says what is missing."""
    REFUSED = "refused"
    """The job itself is wrong: an unknown name, an output that is there. Never retry."""
    BAD_INPUT = "bad input"
    """Never retry."""
    ENVIRONMENT = "environment"
    """This machine lacks something; another one may have it."""
    TRANSIENT = "transient"
    """Retry later: no memory, no disk, or another worker is at it."""
    STOPPED = "stopped"
    """By a signal. Retry: finished parts are kept."""
    FAILED = "failed"
    """Parts failed twice, the result was not what it should be, or there is an error in vidsr. What is
    finished is kept; a retry does the rest."""

    @property
    def may_retry(self) -> bool:
        """Whether the same job may succeed on the same machine."""
        return self in {Outcome.TRANSIENT, Outcome.STOPPED, Outcome.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What came of a job."""

    job: Job
    outcome: Outcome
    message: str = ""
    """Why, where it is neither done nor partial."""
    report: Report | None = None
    """Of an output that is there."""
    was_done: bool = False
    """An earlier call had made the output; this one found it as it was left, and did nothing."""
    error: Exception | None = None

    @property
    def exit_code(self) -> int:
        """What a process would exit with; see vidsr.errors."""
        if self.report is not None:
            return self.report.exit_code
        return self.error.exit_code if isinstance(self.error, VidsrError) else VidsrError.exit_code


def outcome_of(error: Exception) -> Outcome:
    """Return the class of a job that `error` ended."""
    classes = {
        UsageError: Outcome.REFUSED,
        InputError: Outcome.BAD_INPUT,
        MachineError: Outcome.ENVIRONMENT,
        TransientError: Outcome.TRANSIENT,
        Stopped: Outcome.STOPPED,
    }
    return next((outcome for kind, outcome in classes.items() if isinstance(error, kind)), Outcome.FAILED)


def outcome_of_report(report: Report) -> Outcome:
    """Return the class of a job whose output is there."""
    return {EXIT_DONE: Outcome.DONE, EXIT_PARTIAL: Outcome.PARTIAL}[report.exit_code]
