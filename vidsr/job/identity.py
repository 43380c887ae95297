"""What a job depends on: the key that stands for it, and what another job has otherwise."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vidsr.types import Part, Prior

SCHEDULE_ONLY = {"restore": frozenset({"batch_parts"}), "caption": frozenset({"batch_shots", "cache"})}
"""Keys of each section that decide how the work is done, not what comes out."""
SCHEDULE_SECTIONS = frozenset({"run", "limits"})
"""Sections of the configuration of which nothing decides what comes out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """Everything that the frames of a job depend on."""

    input_path: str
    """For people: the same bytes under another name are the same job."""
    input_sha256: str
    config: dict[str, Any]
    """The resolved configuration, and the output's ending under "container"."""
    weights: str
    versions: dict[str, str]

    @property
    def key(self) -> str:
        """16 hexadecimal digits that stand for the job."""
        return job_key(
            input_sha256=self.input_sha256,
            config=self.config,
            weights=self.weights,
            versions=self.versions,
        )


def job_key(*, input_sha256: str, config: dict[str, Any], weights: str, versions: dict[str, str]) -> str:
    """Return the key of a job, 16 hexadecimal digits."""
    return _digest([input_sha256, _decisive_config(config), weights, versions])


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


def differences(before: JobIdentity, now: JobIdentity) -> list[str]:
    """Say in what `now` is another job than `before`, each as "restore.scale was 2 and is 4"."""
    found = []
    if before.input_sha256 != now.input_sha256:
        found.append(f"the input was other bytes ({before.input_path})")
    old, new = (dict(_flat(_decisive_config(job.config))) for job in (before, now))
    found += [_change(name, old.get(name), new.get(name)) for name in sorted({*old, *new})]
    if before.weights != now.weights:
        found.append("the weights were others")
    names = sorted({*before.versions, *now.versions})
    found += [
        _change(f"version of {name}", before.versions.get(name), now.versions.get(name)) for name in names
    ]
    return [line for line in found if line]


def _change(name: str, before: object, now: object) -> str:
    return "" if before == now else f"{name} was {json.dumps(before)} and is {json.dumps(now)}"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _decisive_config(config: Mapping[str, Any]) -> dict[str, Any]:
    sections = {section: _decisive(section, config.get(section, {})) for section in SCHEDULE_ONLY}
    return {name: value for name, value in config.items() if name not in SCHEDULE_SECTIONS} | sections


def _decisive(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in SCHEDULE_ONLY[section]}


def _digest(value: Any) -> str:  # noqa: ANN401  # any JSON-able value
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    # A path in the configuration may hold bytes that are no text.
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
