"""What is asked for, what it is done with, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidsr.caption.protocol import Captioner
from vidsr.errors import EXIT_DONE, EXIT_PARTIAL
from vidsr.media.encode import EncodeSettings
from vidsr.media.filters import Deinterlace, Hdr
from vidsr.media.limits import Limits
from vidsr.media.streams import OnIncompatible
from vidsr.restore.protocol import RestorerFacts
from vidsr.shots import ShotDetector
from vidsr.types import LeadIn, ShotSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One video to restore."""

    input: Path
    output: Path | None = None
    """None: beside the input, named INPUT_restored with the ending of the container that is decided on."""
    work_dir: Path | None = None
    """Where finished parts are kept; None: OUTPUT.vidsr beside the output."""
    overwrite: bool = False
    resume: bool = True
    """False: throw away what an earlier run left unfinished for this output."""
    strict: bool = False
    """Refuse a damaged input instead of restoring what is left of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotStage:
    """How a shot is restored that the user asks something of its own for."""

    asked: ShotSettings
    """As it was asked for."""
    settings: ShotSettings
    """What the restorer is told: with everything decided."""
    lead_in: LeadIn
    weights: str
    """Both of its restorer; see RestorerFacts."""
    config: dict[str, Any]
    """The restore section as it is for this shot, as plain data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The resolved configuration and the objects that were built from it."""

    config: dict[str, Any]
    """As plain data, with everything that depends on the machine decided."""
    seed: int
    video_stream: int | None
    """Index of the source's stream that is restored; None for the one that is picked."""
    frame_rate: Fraction | None
    """Numbered pictures that are shown a second; None for 25, and for a file, which has its own times."""
    on_incompatible: OnIncompatible
    part_frames: int
    batch_parts: int
    make_detector: Callable[[], ShotDetector]
    captioner: Captioner
    stand_in: Captioner | None
    """Describes the shots that the captioner fails at; None: such a shot fails the job."""
    restorer: RestorerFacts
    encode: EncodeSettings
    limits: Limits = field(default_factory=Limits)
    """What the input may ask of this machine."""
    stall_seconds: float = 0.0
    """After which a stage that does not move is given up; 0 never."""
    deinterlace: Deinterlace = "auto"
    hdr: Hdr = "keep"
    shots: Mapping[int, ShotStage] = field(default_factory=dict)
    """By the index of the shot; without those that are restored as the configuration says."""

    @property
    def asked(self) -> dict[int, ShotSettings]:
        """What the user asks for single shots, by their index."""
        return {index: stage.asked for index, stage in self.shots.items()}

    def settings_of(self, shot_index: int) -> ShotSettings:
        """Return what the restorer is told of a shot."""
        stage = self.shots.get(shot_index)
        return ShotSettings() if stage is None else stage.settings

    def restore_config_of(self, shot_index: int) -> dict[str, Any]:
        """Return the restore section of the configuration as it is for a shot."""
        stage = self.shots.get(shot_index)
        section: dict[str, Any] = self.config["restore"] if stage is None else stage.config
        return section

    def weights_of(self, shot_index: int) -> str:
        """Return the digest of the weights that a shot is restored by."""
        stage = self.shots.get(shot_index)
        return self.restorer.weights if stage is None else stage.weights


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
    warnings: tuple[str, ...]
    """What was dropped, mended or missing in the source, who stood in for the captioner, and what the
    restorer had to say."""
    steps_per_frame: Mapping[int, int]
    """How many frames took how many denoising steps: {2: 3, 1: 45}; without diffusion all took 0."""

    @property
    def exit_code(self) -> int:
        """0, or 4 where the source was damaged."""
        return EXIT_PARTIAL if self.is_partial else EXIT_DONE
