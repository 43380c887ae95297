"""What a queue hands to a worker."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Job(BaseModel):
    """One video to restore, as JSON or from Python."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Path = Field(description="The video.")
    output: Path = Field(description="Where the result goes; its folder must be there.")
    pipeline: str = Field("ingest", description="Name of a shipped pipeline, or path of a YAML file.")
    overrides: dict[str, Any] = Field(
        default_factory=dict, description='Dotted keys to values, such as {"restore.scale": 2}.'
    )
    work_dir: Path | None = Field(
        None, description="Where finished parts are kept until the output is done; OUTPUT.vidsr by default."
    )
    overwrite: bool = Field(False, description="Replace an output that is there and is not this job's.")
    resume: bool = Field(True, description="False throws away what another job left for the same output.")
    strict: bool = Field(False, description="Refuse a damaged input instead of restoring the rest.")
