"""Whose error it is, one part's or the whole job's, and what is said of parts that failed."""

from collections.abc import Mapping

from vidsr.errors import MemoryExhaustedError, PartError, VidsrError
from vidsr.types import Part

MAX_NAMED = 3
"""Parts that one message names with their causes."""


def of_one_part(error: Exception, part: Part, *, doing: str) -> VidsrError:
    """Return why `part` failed.

    Args:
        error: what was raised.
        part: that was being worked on.
        doing: "decoding", "restoring" or "encoding".

    Raises:
        VidsrError: `error` itself, where it is of the machine, the input or the settings and not of one part.
    """
    if isinstance(error, MemoryExhaustedError):
        named: VidsrError = MemoryExhaustedError(f"{_name_of(part)}: {error}")
    elif isinstance(error, VidsrError):
        raise error
    else:
        named = PartError(f"{_name_of(part)}: {doing} failed with {type(error).__name__}: {error}")
    named.__cause__ = error
    return named


def failed_twice(failures: Mapping[Part, VidsrError], *, num_parts: int) -> VidsrError:
    """Return the error of a job that did all that it could.

    Args:
        failures: of parts that were tried twice.
        num_parts: of the whole job.
    """
    causes = list(failures.values())
    named = "; ".join(str(cause) for cause in causes[:MAX_NAMED])
    more = "; and others" if len(causes) > MAX_NAMED else ""
    msg = (
        f"{len(causes)} of {num_parts} parts failed, also when they were tried again: {named}{more}. "
        "All others are kept: run the same command again to do only these"
    )
    only_memory = all(isinstance(cause, MemoryExhaustedError) for cause in causes)
    error = MemoryExhaustedError(msg) if only_memory else PartError(msg)
    error.__cause__ = causes[0]
    return error


def _name_of(part: Part) -> str:
    return f"part {part.index} (frames {part.start} to {part.stop - 1})"
