"""Further inputs: a folder of files with what is expected of each in a YAML or JSON beside it."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from tests.corpus.facts import Outcome

SUFFIXES = (".yaml", ".yml", ".json")


class ExpectationError(ValueError):
    """A file has no expectation beside it, or one that cannot be read."""


def expectations_in(folder: Path) -> dict[Path, Outcome]:
    """Return what is expected of each file in `folder`: of clip.mkv in clip.mkv.yaml or clip.mkv.json.

    Raises:
        ExpectationError: naming the file.
    """
    inputs = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix not in SUFFIXES)
    if not inputs:
        msg = f"{folder}: holds no file to restore"
        raise ExpectationError(msg)
    return {path: _expectation_of(path) for path in inputs}


def _expectation_of(path: Path) -> Outcome:
    beside = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
    written = next((other for other in beside if other.is_file()), None)
    if written is None:
        msg = f"{path}: nothing says what is expected of it; wanted {beside[0].name} beside it"
        raise ExpectationError(msg)
    # JSON is YAML.
    return parse(yaml.safe_load(written.read_text(encoding="utf-8")), where=str(written))


def parse(tree: object, *, where: str) -> Outcome:
    """Read an expectation: keys are the fields of `Outcome`, times are seconds as numbers or as "1/25".

    Raises:
        ExpectationError: an unknown key, a value of another kind, or no exit code.
    """
    keys = ", ".join(field.name for field in fields(Outcome))
    if not isinstance(tree, Mapping) or "exit_code" not in tree:
        msg = f"{where}: wanted at least exit_code; keys are {keys}"
        raise ExpectationError(msg)
    try:
        return _OUTCOME.validate_python(dict(tree))
    except ValidationError as error:
        msg = f"{where}: {error}; keys are {keys}"
        raise ExpectationError(msg) from error


_OUTCOME = TypeAdapter(Outcome)
