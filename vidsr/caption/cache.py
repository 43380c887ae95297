"""Priors that were said before, kept by what they were made from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidsr.errors import UnwritableError
from vidsr.files import write_whole
from vidsr.types import Prior


def default_folder(environment: Mapping[str, str]) -> Path:
    """Return where priors are kept: $VIDSR_CACHE/priors, else vidsr/priors in the user's cache folder."""
    if ours := environment.get("VIDSR_CACHE"):
        return Path(ours).expanduser() / "priors"
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vidsr" / "priors"


def key_of(made_from: Mapping[str, Any]) -> str:
    """Return the key of whatever a prior is made from, given as JSON-able values: a SHA-256."""
    return _digest(dict(made_from))


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorCache:
    """One small JSON file for each prior, named by its key. Several runs may share the folder."""

    folder: Path

    def get(self, key: str) -> Prior | None:
        """Return the prior that was kept under `key`; None where there is none, or its file is damaged."""
        try:
            entry = json.loads(self._path(key).read_text(encoding="utf-8"))
            prior = Prior(**entry["prior"])
            is_sound = entry["key"] == key and entry["sha256"] == _digest(asdict(prior))
        except (OSError, ValueError, TypeError, KeyError):
            # Not there, not readable, torn, something else under our name: the model is asked again, and a
            # folder that cannot be used is named by `check`.
            return None
        return prior if is_sound else None

    def check(self) -> None:
        """Make the folder, so that a model is not asked for words that cannot be kept.

        Raises:
            UnwritableError: naming the folder.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = (
                f"{self.folder}: cannot be made ({error.strerror or error}); name another folder in the "
                "variable VIDSR_CACHE, or keep no captions with --set caption.cache=false"
            )
            raise UnwritableError(msg) from error

    def put(self, key: str, prior: Prior) -> None:
        """Keep `prior` under `key`, whole or not at all.

        Raises:
            UnwritableError, DiskFullError: naming the file.
        """
        entry = {"key": key, "prior": asdict(prior), "sha256": _digest(asdict(prior))}
        write_whole(self._path(key), json.dumps(entry))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
