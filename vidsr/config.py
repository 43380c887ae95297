"""Configuration: how a pipeline, its presets and what overrides them become one resolved value.

A pipeline (pipelines/*.yaml) names the stages in order and the preset each takes; a preset
(configs/<stage>/*.yaml) holds one stage's numbers; environment variables and `--set` come last:

    pipeline presets  <  pipeline `set`  <  VIDSR_RESTORE__STEPS=2  <  --set restore.steps=2

Unknown keys are errors with the nearest name. Only build.py, api.py and the command line import this module.
"""

import json
import os
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic
import yaml
from pydantic import BaseModel

from vidsr.config_sections import JobConfig, PipelineFile, RestoreConfig
from vidsr.errors import ConfigError
from vidsr.nearest import nearest

STAGES = ("caption", "restore", "encode")
"""In the order in which they run."""

ENVIRONMENT_PREFIX = "VIDSR_"

Model = TypeVar("Model", bound=BaseModel)


def load(
    pipeline: str = "enhance",
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> JobConfig:
    """Resolve `pipeline`, a name or a path of a YAML file, with everything that overrides it.

    Args:
        pipeline: name of a shipped pipeline, or a path that ends in .yaml or .yml.
        overrides: dotted keys to values, such as {"restore.scale": 2}.
        environment: variables to read `VIDSR_SECTION__KEY` from; the process's own by default.

    Raises:
        ConfigError: an unknown name or key, or a value out of range; the message names both.
    """
    file, origin = _read_pipeline(pipeline)
    tree: dict[str, Any] = {}
    for stage, preset in _ordered_stages(file, origin):
        tree[stage] = _read_preset(stage, preset, origin)
    for key, value in file.set.items():
        _assign(tree, key, value)
    for key, value in _from_environment(os.environ if environment is None else environment):
        _assign(tree, key, value)
    for key, value in (overrides or {}).items():
        _assign(tree, key, value)
    return _validate(JobConfig, tree, origin)


def restore_preset(name: str) -> RestoreConfig:
    """Return a shipped preset of the restore stage.

    Raises:
        ConfigError: there is no such preset.
    """
    origin = f"restore preset {name}"
    return _validate(RestoreConfig, _read_preset("restore", name, origin), origin)


def degradation_preset(name: str) -> dict[str, Any]:
    """Return what a shipped set of degradations holds, as it is read.

    Raises:
        ConfigError: there is no such set.
    """
    return _read_preset("train/degradation", name, "vidsr")


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split `key.path=value` of --set; the value is read as YAML, so 2 is a number and null is nothing."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        msg = f"--set {text}: wanted KEY.PATH=VALUE, such as --set encode.crf=20"
        raise ConfigError(msg)
    return key.strip(), _read_value(value, where=f"--set {key}")


def schema() -> dict[str, Any]:
    """Return the JSON schema of a resolved configuration."""
    return JobConfig.model_json_schema()


def pipeline_names() -> list[str]:
    """Return the names of the shipped pipelines, sorted."""
    return _names(_data_root("pipelines"))


def preset_names(stage: str) -> list[str]:
    """Return the names of the shipped presets of `stage`, sorted."""
    return _names(_data_root("configs") / stage)


def pipeline_description(name: str) -> str:
    """Return what a pipeline says of itself."""
    return _read_pipeline(name)[0].description


def _data_root(kind: Literal["pipelines", "configs"]) -> Traversable:
    """Find the YAML folder: inside the installed package, or beside it in a checkout."""
    checkout = Path(__file__).resolve().parent.parent / kind
    if (checkout.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    return resources.files("vidsr.data") / kind


def _names(folder: Traversable) -> list[str]:
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def _read_pipeline(pipeline: str) -> tuple[PipelineFile, str]:
    path = Path(pipeline)
    if path.suffix in {".yaml", ".yml"}:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            names = ", ".join(pipeline_names())
            msg = f"pipeline {pipeline}: cannot be read ({error}); give another file or one of {names}"
            raise ConfigError(msg) from error
    else:
        text = _find(_data_root("pipelines"), pipeline, what="pipeline")
    return _validate(PipelineFile, _read_mapping(text, f"pipeline {pipeline}"), f"pipeline {pipeline}"), (
        f"pipeline {pipeline}"
    )


def _ordered_stages(file: PipelineFile, origin: str) -> list[tuple[str, str]]:
    stages = [pair for entry in file.stages for pair in entry.items()]
    names = [str(name) for name, _ in stages]
    if names != list(STAGES):
        msg = f"{origin}: stages are {names}, wanted {list(STAGES)}, each once and in this order"
        raise ConfigError(msg)
    return [(str(name), preset) for name, preset in stages]


def _read_preset(stage: str, preset: str, origin: str) -> dict[str, Any]:
    text = _find(_data_root("configs") / stage, preset, what=f"{stage} preset")
    return _read_mapping(text, f"{origin}: {stage} preset {preset}")


def _find(folder: Traversable, name: str, *, what: str) -> str:
    names = _names(folder)
    if name not in names:
        msg = f"unknown {what} {name!r}{nearest(name, names)}; there are: {', '.join(names)}"
        raise ConfigError(msg)
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def _read_mapping(text: str, where: str) -> dict[str, Any]:
    value = _read_value(text, where=where)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        msg = f"{where}: wanted a YAML mapping with text keys, got {type(value).__name__}"
        raise ConfigError(msg)
    return value


def _read_value(text: str, *, where: str) -> Any:  # noqa: ANN401  # YAML holds anything until it is validated
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        first_line = str(error).splitlines()[0]
        msg = f"{where}: not valid YAML ({first_line})"
        raise ConfigError(msg) from error


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any]]:
    """Read VIDSR_SECTION__KEY=value; other VIDSR_ variables, such as VIDSR_REQUIRE_GPU, are not ours."""
    return [
        (name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."), _read_value(value, where=name))
        for name, value in sorted(environment.items())
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name
    ]


def _assign(tree: dict[str, Any], dotted: str, value: Any) -> None:  # noqa: ANN401  # validated afterwards
    *sections, key = dotted.split(".")
    for section in sections:
        inner: object = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            msg = f"{dotted}: {section} holds a value, not further keys"
            raise ConfigError(msg)
        tree = inner
    tree[key] = value


def _validate(model: type[Model], tree: dict[str, Any], origin: str) -> Model:
    try:
        return model.model_validate(tree)
    except pydantic.ValidationError as error:
        msg = f"{origin}: {_explain(model, error)}"
        raise ConfigError(msg) from None


def _explain(model: type[BaseModel], error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        siblings = _fields_at(model, first["loc"][:-1])
        return f"unknown key {key}{nearest(str(first['loc'][-1]), siblings)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}, got {json.dumps(first['input'], default=str)}" if key else message


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    for name in location:
        annotation = model.model_fields[str(name)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
