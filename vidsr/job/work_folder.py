"""The work folder: a plan, priors, and finished parts with a record beside each.

    WORK_DIR/<key>/
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
    """Stands for the part's bounds and its shot's prior."""


def job_key(*, input_sha256: str, config: dict[str, Any], weights: str, versions: dict[str, str]) -> str:
    """Return the key of a job, 16 hexadecimal digits."""
    decisive = {
        section: {name: value for name, value in config.get(section, {}).items() if name not in names}
        for section, names in SCHEDULE_ONLY.items()
    }
    return _digest([input_sha256, {**config, **decisive}, weights, versions])


def content_key(part: Part, prior: Prior) -> str:
    """Return the key of what a part is made from, beside the job's own."""
    return _digest([asdict(part), prior.high_level, prior.low_level])


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

    def record(self, part: Part, *, num_frames: int, prior: Prior) -> PartRecord:
        """Enter a finished segment into the journal; after this it is never made again."""
        path = self.segment_path(part)
        record = PartRecord(
            part_index=part.index,
            num_frames=num_frames,
            size_bytes=path.stat().st_size,
            sha256=sha256_of(path),
            content_key=content_key(part, prior),
        )
        write_whole(self._record_path(part), json.dumps(asdict(record)))
        return record

    def is_finished(self, part: Part, prior: Prior) -> bool:
        """Say whether the part is in the journal, made from this prior, with the bytes that were recorded."""
        try:
            record = PartRecord(**json.loads(self._record_path(part).read_text(encoding="utf-8")))
            return (
                record.content_key == content_key(part, prior)
                and record.num_frames == part.stop - part.start
                and record.sha256 == sha256_of(self.segment_path(part))
            )
        except (FileNotFoundError, ValueError, TypeError):
            # No record, a torn one or no segment all mean the same: the part is still to be done.
            return False

    def remove(self) -> None:
        """Delete the job's folder, and the work directory if nothing else is in it."""
        shutil.rmtree(self.root)
        if not any(self._work_dir.iterdir()):
            self._work_dir.rmdir()

    def _record_path(self, part: Part) -> Path:
        return self.segment_path(part).with_suffix(".json")
