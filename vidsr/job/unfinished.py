"""The unfinished work of an output: where it is, whether it is of the job at hand, and how it is removed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidsr.errors import OtherWorkError
from vidsr.events import count
from vidsr.files import write_error
from vidsr.job.identity import JobIdentity, differences
from vidsr.job.lock import locked
from vidsr.job.work_folder import WorkFolder

MAX_DIFFERENCES = 6
"""That are named in one message."""

_KEY = re.compile(r"[0-9a-f]{16}")


def state_folder(output: Path) -> Path:
    """Return OUTPUT.vidsr: the lock, the output until it is verified, and by default the work folder."""
    return output.with_name(output.name + ".vidsr")


def lock_path(output: Path) -> Path:
    """Return the file that is locked by the one run that makes `output`."""
    return state_folder(output) / "lock"


def unfinished_path(output: Path) -> Path:
    """Return where `output` is written and verified before it gets its name: in the same file system."""
    return state_folder(output) / "output.part"


def refuse_other_work(output: Path, work_dir: Path, identity: JobIdentity) -> None:
    """Make sure that no unfinished work of another job waits for `output`.

    Raises:
        OtherWorkError: there is some; the message says what is different.
    """
    for folder in folders_of(output, work_dir):
        if folder.root.name == identity.key:
            continue
        owner = folder.owner()
        if owner is None or not folder.plan_path.exists():
            # Killed before anything of use was made.
            throw_away(folder)
            continue
        found = differences(owner[0], identity)
        more = f" and {len(found) - MAX_DIFFERENCES} more" if len(found) > MAX_DIFFERENCES else ""
        msg = (
            f"{output}: {folder.root} holds unfinished work of another job: "
            f"{', '.join(found[:MAX_DIFFERENCES])}{more}; run that job again to finish it, or throw its work "
            f"away with --no-resume or with `vidsr clean {output}`"
        )
        raise OtherWorkError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What `clean` did."""

    removed: Sequence[str]
    """A line for each thing that is gone."""
    left: Sequence[Path]
    """What is in the folders of ours and is not ours."""


def clean(output: Path, work_dir: Path | None = None) -> Cleaned:
    """Remove the unfinished work of `output`, and nothing else.

    Args:
        output: which may be there or not; it is not touched.
        work_dir: as it was given to the run; OUTPUT.vidsr by default.

    Raises:
        OutputBusyError: a run is making it.
        UnwritableError: something cannot be removed.
    """
    place = state_folder(output) if work_dir is None else work_dir
    if not (place.is_dir() or state_folder(output).is_dir()):
        return Cleaned(removed=(), left=())
    with locked(lock_path(output), what=str(output)):
        return discard(output, place)


def discard(output: Path, work_dir: Path) -> Cleaned:
    """Remove the unfinished work of `output`, whose lock is held."""
    removed: list[str] = []
    left: list[Path] = []
    for folder in folders_of(output, work_dir):
        num_parts = folder.num_records
        left += throw_away(folder)
        removed.append(f"{folder.root}: unfinished work, {count(num_parts, 'part')}")
    unfinished = unfinished_path(output)
    if unfinished.exists():
        try:
            unfinished.unlink()
        except OSError as error:
            raise write_error(unfinished, error) from error
        removed.append(f"{unfinished}: an output that was not verified")
    return Cleaned(removed=removed, left=left)


def remove_bare(output: Path, work_dir: Path) -> None:
    """Remove the work folders of `output`, whose lock is held, that hold nothing but their own lock.

    A run was killed right after it had made one, or when it had removed everything else at its end.
    """
    for folder in folders_of(output, work_dir):
        if folder.is_bare:
            throw_away(folder)


def throw_away(folder: WorkFolder) -> list[Path]:
    """Remove a work folder that no run is at work in; return what is left because it is not ours."""
    with locked(folder.lock_path, what=str(folder.root)):
        return folder.remove()


def folders_of(output: Path, work_dir: Path) -> list[WorkFolder]:
    """Return the folders in `work_dir` with work for `output`.

    All in OUTPUT.vidsr are, so that a folder can be moved with all that is in it; others say which output
    they are for.
    """
    if not work_dir.is_dir():
        return []
    names = sorted(path.name for path in work_dir.iterdir() if _KEY.fullmatch(path.name) and path.is_dir())
    folders = [WorkFolder(work_dir, name) for name in names]
    if work_dir.absolute() == state_folder(output).absolute():
        return folders
    wanted = str(output.absolute())
    return [folder for folder in folders if (owner := folder.owner()) and owner[1] == wanted]
