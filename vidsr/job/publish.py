"""The output appears whole or not at all: written beside its place, verified, renamed."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from vidsr.errors import OutputExistsError, UnwritableError, VerificationError
from vidsr.files import move_durably, remove_leftover, write_error
from vidsr.media.mux import assemble
from vidsr.media.sequence import files_of, is_sequence, stem_of
from vidsr.media.verify import verify
from vidsr.types import Plan


def default_output(source: Path, suffix: str) -> Path:
    """Return the output's name beside the input: in.mp4 becomes in_restored.mp4."""
    stem = stem_of(source) if is_sequence(source) else source.stem
    return source.with_name(f"{stem}_restored{suffix}")


def check_place(source: Path, output: Path) -> None:
    """Refuse, before any work, an output that cannot be written.

    Raises:
        OutputExistsError: it is the input.
        UnwritableError: its folder is missing or cannot be written to.
    """
    if output.exists() and any(output.samefile(file) for file in files_of(source)):
        msg = f"{output}: the output is the input itself; name another with -o"
        raise OutputExistsError(msg)
    if output.is_dir():
        msg = f"{output}: is a folder; name a file with -o"
        raise UnwritableError(msg)
    if not output.parent.is_dir():
        msg = f"{output}: there is no folder {output.parent}; create it first"
        raise UnwritableError(msg)
    if not os.access(output.parent, os.W_OK | os.X_OK):
        msg = f"{output}: the folder {output.parent} cannot be written to"
        raise UnwritableError(msg)


def publish(
    *,
    plan: Plan,
    source: Path,
    segments: Sequence[Path],
    unfinished: Path,
    output: Path,
    before_verifying: Callable[[], None],
    before_rename: Callable[[], None],
) -> None:
    """Assemble the segments and the source's other streams, verify the file, and put it in its place.

    Args:
        plan: which the file must agree with.
        source: the input.
        segments: one for each part, in order.
        unfinished: where it is written; in the file system of `output`.
        output: its name when it is verified.
        before_verifying: called when it is written.
        before_rename: called when it is verified.

    Raises:
        VerificationError: the file does not agree with the plan; the destination is as it was.
    """
    try:
        assemble(plan=plan, source=source, segments=segments, output=unfinished)
        before_verifying()
        report = verify(source, unfinished, plan=plan)
        if not report.ok:
            first = "; ".join(difference.message for difference in report.differences[:3])
            msg = f"{output}: {len(report.differences)} differences from the plan, first: {first}"
            raise VerificationError(msg)
        before_rename()
        move_durably(unfinished, output)
    except OSError as error:
        raise write_error(output, error) from error
    finally:
        remove_leftover(unfinished)
