"""The work folder: a plan, priors, and finished parts with a record beside each.

    WORK_DIR/<key>/
        filtered.mkv        the pictures, where they were filtered before the plan was made
        plan.json
        priors.yaml
        parts/00012.mkv     an encoded part
        parts/00012.json    written last: the part is finished if its record is there and agrees

The key stands for everything the frames depend on: input bytes, configuration, weights, seed, versions.
Another input or setting has another key, so nothing of it can be mistaken for ours.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidsr.files import sha256_of, write_error, write_whole
from vidsr.types import Part, Prior

SCHEDULE_ONLY = {"restore": frozenset({"batch_parts"}), "caption": frozenset({"batch_shots", "cache"})}
"""Keys of each section that decide how the work is done, not what comes out."""


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


def job_key(*, input_sha256: str, config: dict[str, Any], weights: str, versions: dict[str, str]) -> str:
    """Return the key of a job, 16 hexadecimal digits."""
    decisive = {section: _decisive(section, config.get(section, {})) for section in SCHEDULE_ONLY}
    # The limits say whether there is a job, not what comes of it.
    relevant = {section: value for section, value in {**config, **decisive}.items() if section != "limits"}
    return _digest([input_sha256, relevant, weights, versions])


def content_key(part: Part, prior: Prior, *, restore: Mapping[str, Any], weights: str) -> str:
    """Return the key of what a part is made from, beside the job's own.

    Args:
        part: its bounds and its lead-in.
        prior: of its shot.
        restore: the restore section of the configuration as it is for its shot.
        weights: digest of those that its shot is restored by.
    """
    made_from = [prior.high_level, prior.low_level, _decisive("restore", restore), weights]
    return _digest([asdict(part), *made_from])


def _decisive(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in SCHEDULE_ONLY[section]}


def _digest(value: Any) -> str:  # noqa: ANN401  # any JSON-able value
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    # A path in the configuration may hold bytes that are no text.
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


class WorkFolder:
    """Paths and records of one job."""

    def __init__(self, work_dir: Path, key: str) -> None:
        self._work_dir = work_dir
        self.root = work_dir / key

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

    def create(self) -> None:
        """Make the folders.

        Raises:
            UnwritableError, DiskFullError: naming the folder.
        """
        try:
            (self.root / "parts").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.root, error) from error

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
        """
        path = self.segment_path(part)
        record = PartRecord(
            part_index=part.index,
            num_frames=num_frames,
            size_bytes=path.stat().st_size,
            sha256=sha256_of(path),
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

    def remove(self) -> None:
        """Delete the job's folder, and the work directory if nothing else is in it."""
        shutil.rmtree(self.root)
        if not any(self._work_dir.iterdir()):
            self._work_dir.rmdir()

    def _record_path(self, part: Part) -> Path:
        return self.segment_path(part).with_suffix(".json")
