"""The work folder: a plan, priors, and finished parts with a record beside each.

    WORK_DIR/<key>/
        job.json            what the job depends on, and which output it is for; written first
        filtered.mkv        the pictures, where they were filtered before the plan was made
        filtered.json       the digest of that file
        plan.json
        priors.yaml
        parts/00012.mkv     an encoded part
        parts/00012.json    written last: the part is finished if its record is there and agrees
        published.json      which file is the finished output; written right before that gets its name

The key stands for everything the frames depend on: input bytes, configuration, weights, seed, versions.
Another input or setting has another key, so nothing of it can be mistaken for ours.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from vidsr.caption.file import format_priors, read_priors
from vidsr.errors import ConfigError, InputError, Stopped, VidsrError, WorkFolderLostError
from vidsr.files import sha256_of, write_error, write_whole
from vidsr.job import plan_file
from vidsr.job.identity import JobIdentity
from vidsr.job.job import Report
from vidsr.job.lock import remove_if_empty
from vidsr.types import Part, Plan, Prior, Shot, ShotSettings

PRIORS_END = "# end\n"
"""Last line of the priors file: without it the file was cut off."""

_OWN_FILES = re.compile(
    r"((job|plan|published|filtered)\.json|filtered\.mkv|priors\.yaml|parts/\d{5,}\.(mkv|json))(\.part|\.[0-9a-f]{8}\.tmp)?"
)
"""What is ours in a work folder; nothing else is ever removed."""
_REPORT = TypeAdapter(Report)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    """What the journal says of a finished part."""

    part_index: int
    num_frames: int
    size_bytes: int
    sha256: str
    """Of the segment file."""
    content_key: str
    """Stands for the part's bounds, its shot's prior, and how and by which weights its shot is restored."""
    steps_per_frame: dict[str, int]
    """How many frames took how many denoising steps; JSON has no other keys than text."""
    notes: list[str]
    """What the restorer had to say."""


class WorkFolder:
    """Paths and records of one job."""

    def __init__(self, work_dir: Path, key: str) -> None:
        self.root = work_dir / key

    @property
    def lock_path(self) -> Path:
        """Is locked by the one run that works in the folder."""
        return self.root / "lock"

    @property
    def plan_path(self) -> Path:
        """The plan; there as soon as planning is done."""
        return self.root / "plan.json"

    @property
    def filtered_path(self) -> Path:
        """The pictures to restore, where those of the input had to be filtered; there before the plan is."""
        return self.root / "filtered.mkv"

    @property
    def priors_path(self) -> Path:
        """The priors of all shots; there as soon as captioning is done."""
        return self.root / "priors.yaml"

    def segment_path(self, part: Part) -> Path:
        """Where the encoded part goes."""
        return self.root / "parts" / f"{part.index:05d}.mkv"

    def create(self, identity: JobIdentity, *, output: Path) -> None:
        """Make the folders, and enter whose they are.

        Raises:
            UnwritableError, DiskFullError: naming the folder.
        """
        try:
            (self.root / "parts").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.root, error) from error
        write_whole(self._job_path, json.dumps({"output": str(output.absolute()), **asdict(identity)}))

    def owner(self) -> tuple[JobIdentity, str] | None:
        """Return the job and the absolute path of its output; None if no job of ours has this folder."""
        try:
            tree = json.loads(self._job_path.read_text(encoding="utf-8"))
            output = str(tree.pop("output"))
            identity = JobIdentity(**tree)
            is_ours = identity.key == self.root.name
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Killed before it was written, or something else altogether.
            return None
        return (identity, output) if is_ours else None

    def read_plan(self) -> Plan | None:
        """Return the plan of an earlier run; None if it, or what it speaks of, is not there whole."""
        try:
            plan = plan_file.read(self.plan_path)
            is_whole = plan.filtered is None or (
                json.loads(self._filtered_record_path.read_text("utf-8")) == sha256_of(self.filtered_path)
            )
        except (FileNotFoundError, ValueError, InputError):
            return None
        return plan if is_whole else None

    def write_plan(self, plan: Plan) -> None:
        """Keep the plan for the next run.

        Raises:
            UnwritableError, DiskFullError: naming the file.
        """
        if plan.filtered is not None:
            write_whole(self._filtered_record_path, json.dumps(sha256_of(self.filtered_path)))
        plan_file.write(self.plan_path, plan)

    def read_priors(self, shots: Sequence[Shot]) -> tuple[Prior, ...] | None:
        """Return what an earlier run was told of `shots`; None if it was not, or the file is torn."""
        try:
            is_whole = self.priors_path.read_bytes().endswith(PRIORS_END.encode())
            return read_priors(self.priors_path, shots) if is_whole else None
        except (FileNotFoundError, ConfigError):
            return None

    def write_priors(
        self, shots: Sequence[Shot], priors: Sequence[Prior], settings: Mapping[int, ShotSettings]
    ) -> None:
        """Keep the priors for the next run.

        Raises:
            UnwritableError, DiskFullError: naming the file.
        """
        write_whole(self.priors_path, format_priors(shots, priors, settings) + PRIORS_END)

    def record(
        self,
        part: Part,
        *,
        num_frames: int,
        key: str,
        steps_per_frame: Mapping[int, int],
        notes: Sequence[str],
    ) -> PartRecord:
        """Enter a finished segment into the journal; after this it is never made again.

        Args:
            part: whose segment is written.
            num_frames: in the segment.
            key: of what it was made from, see `content_key`.
            steps_per_frame: how many frames took how many denoising steps.
            notes: what the restorer had to say.

        Raises:
            UnwritableError, DiskFullError: naming the segment or its record.
        """
        path = self.segment_path(part)
        try:
            size_bytes, sha256 = path.stat().st_size, sha256_of(path)
        except OSError as error:
            raise write_error(path, error) from error
        record = PartRecord(
            part_index=part.index,
            num_frames=num_frames,
            size_bytes=size_bytes,
            sha256=sha256,
            content_key=key,
            steps_per_frame={str(steps): count for steps, count in steps_per_frame.items()},
            notes=list(notes),
        )
        write_whole(self._record_path(part), json.dumps(asdict(record)))
        return record

    def finished(self, part: Part, key: str) -> PartRecord | None:
        """Return the part's record; None if it is not finished, or made from something else than now.

        Args:
            part: which one.
            key: of what it is to be made from, see `content_key`.
        """
        try:
            record = PartRecord(**json.loads(self._record_path(part).read_text(encoding="utf-8")))
            is_sound = (
                record.content_key == key
                and record.num_frames == part.stop - part.start
                and record.sha256 == sha256_of(self.segment_path(part))
            )
        except (FileNotFoundError, ValueError, TypeError):
            # No record, a torn one or no segment all mean the same: the part is still to be done.
            return None
        return record if is_sound else None

    def segments(self, parts: Sequence[Part]) -> list[Path]:
        """Return the segments of finished parts.

        Raises:
            WorkFolderLostError: one has vanished since.
        """
        paths = [self.segment_path(part) for part in parts]
        for path in paths:
            if not path.is_file():
                msg = f"{path}: vanished while the job ran; keep others from that folder and run again"
                raise WorkFolderLostError(msg)
        return paths

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Say what is behind the errors of a body that works in the folder while somebody removes it.

        Raises:
            WorkFolderLostError: in place of another error, where the folder is not there.
        """
        try:
            yield
        except (VidsrError, OSError) as error:
            if isinstance(error, Stopped) or self._job_path.is_file():
                raise
            msg = (
                f"{self.root}: the work folder vanished while the job ran; keep others from it and run again"
            )
            raise WorkFolderLostError(msg) from error

    def note_published(self, file: Path, report: Report) -> None:
        """Remember that `file`, which is about to be renamed, is the finished output, and what came of it."""
        tree = {"file": _file_identity(file), "report": _REPORT.dump_python(report, mode="json")}
        write_whole(self._published_path, json.dumps(tree))

    def published(self, output: Path) -> Report | None:
        """Return what came of the job if `output` is the very file that an earlier run published.

        That run was stopped after the rename, before this folder was gone.
        """
        try:
            tree = json.loads(self._published_path.read_text("utf-8"))
            return _REPORT.validate_python(tree["report"]) if tree["file"] == _file_identity(output) else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def remove(self) -> list[Path]:
        """Delete all that is ours in the job's folder; the folder itself goes with its lock.

        Returns:
            What is not ours, and is left.

        Raises:
            UnwritableError: something cannot be deleted.
        """
        # Those that say whose the folder is, and that its output is done, go last: after a stop in between,
        # the next run removes the rest.
        last = (self._job_path, self._published_path)
        others = {*last, self.lock_path}
        found = [path for path in sorted(self.root.rglob("*"), reverse=True) if path not in others]
        try:
            for path in (*found, *last):
                if path.is_dir() and not path.is_symlink():
                    remove_if_empty(path)
                elif _OWN_FILES.fullmatch(path.relative_to(self.root).as_posix()):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(self.root, error) from error
        return [path for path in reversed(found) if path.exists() and not path.is_dir()]

    @property
    def is_bare(self) -> bool:
        """Whether nothing is in it, but for its lock."""
        return all(path == self.lock_path for path in self.root.iterdir())

    @property
    def num_records(self) -> int:
        """How many parts are in the journal, whatever they are made from."""
        return len(list(self.root.glob("parts/*.json")))

    @property
    def _filtered_record_path(self) -> Path:
        return self.root / "filtered.json"

    @property
    def _job_path(self) -> Path:
        return self.root / "job.json"

    @property
    def _published_path(self) -> Path:
        return self.root / "published.json"

    def _record_path(self, part: Part) -> Path:
        return self.segment_path(part).with_suffix(".json")


def _file_identity(path: Path) -> dict[str, int]:
    """Return what a rename keeps and any other file of that name has otherwise."""
    status = path.stat()
    return {"inode": status.st_ino, "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
