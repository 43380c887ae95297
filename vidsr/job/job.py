"""What is asked for, what it is done with, and what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidsr.caption.protocol import Captioner
from vidsr.errors import EXIT_DONE, EXIT_PARTIAL
from vidsr.media.encode import EncodeSettings
from vidsr.restore.protocol import RestorerFacts
from vidsr.shots import ShotDetector


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One video to restore."""

    input: Path
    output: Path | None = None
    """None: beside the input, named INPUT_restored with the ending of the container that is decided on."""
    work_dir: Path | None = None
    """Where finished parts are kept; None: OUTPUT.vidsr beside the output."""
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The resolved configuration and the objects that were built from it."""

    config: dict[str, Any]
    """As plain data, with everything that depends on the machine decided."""
    seed: int
    part_frames: int
    batch_parts: int
    make_detector: Callable[[], ShotDetector]
    captioner: Captioner
    stand_in: Captioner | None
    """Describes the shots that the captioner fails at; None: such a shot fails the job."""
    restorer: RestorerFacts
    encode: EncodeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a job whose output is verified and in its place."""

    output: Path
    num_frames: int
    num_shots: int
    num_parts: int
    num_parts_reused: int
    seconds: float
    is_partial: bool
    """The source was damaged: the output holds what could be decoded, and `warnings` say what is missing."""
    warnings: Sequence[str]
    """What was dropped, mended or missing in the source, and who stood in for the captioner."""

    @property
    def exit_code(self) -> int:
        """0, or 4 where the source was damaged."""
        return EXIT_PARTIAL if self.is_partial else EXIT_DONE
