"""Priors in YAML, with what is asked for single shots: written for a user to edit, read back strictly."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from vidsr.degradation_words import LEVELS
from vidsr.errors import ConfigError
from vidsr.files import write_whole
from vidsr.types import Prior, Shot, ShotSettings

NAME = "file/1"
"""Stands as the captioner of an entry that names none."""

NO_SETTINGS: Mapping[int, ShotSettings] = MappingProxyType({})
"""Nothing is asked for any shot."""

_WHOLE_NUMBERS = ("shot", "start", "stop")
_TEXTS = ("high_level", "low_level", "captioner")
_RANGES = {"strength": (0.0, 1.0), "guidance_scale": (1.0, 20.0)}
"""Of the numbers, both ends included: those of the configuration."""
_KEYS = (*_WHOLE_NUMBERS, *_TEXTS, *_RANGES, "restorer")

HEADER = f"""\
# What is known about each shot, for `vidsr run INPUT --priors FILE`. Edit the two sentences; leave the rest.
#   high_level  what is seen, in your own words; "" says nothing
#   low_level   how it is degraded: "moderate noise, strong blur, light compression blocks".
#               Each of noise, blur and compression blocks is {", ".join(LEVELS[:-1])} or {LEVELS[-1]};
#               what is not named is left to the model.
# You may add, for a shot alone:
#   strength        as restore.strength, {_RANGES["strength"][0]:g} to {_RANGES["strength"][1]:g}; \
0 is without diffusion (xpsr-s alone)
#   guidance_scale  as restore.guidance_scale, {_RANGES["guidance_scale"][0]:g} to \
{_RANGES["guidance_scale"][1]:g}
#   restorer        as restore.restorer; another than the video's works as its preset says
# A shot is the frames from start up to, and without, stop; the first frame of the video is 0.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    shot: Shot
    prior: Prior
    settings: ShotSettings


class FileCaptioner:
    """Says what the user's YAML says. The file is read once, when the captioner is made."""

    name = NAME
    frames_per_shot = 0
    is_cacheable = False

    def __init__(self, path: Path) -> None:
        """Read `path`.

        Raises:
            ConfigError: the file cannot be read, or does not hold priors.
        """
        self._path = path
        self._entries = _read_entries(path)

    @property
    def settings(self) -> dict[int, ShotSettings]:
        """What the file asks for single shots, by their index; without those it asks nothing for."""
        return {
            index: entry.settings
            for index, entry in self._entries.items()
            if entry.settings != ShotSettings()
        }

    def check(self, shots: Sequence[Shot]) -> None:
        """Hold the file's shots against those of the video.

        Raises:
            ConfigError: the file lacks a shot, bounds one differently, or has one that is not in the video.
        """
        _priors_of(shots, self._entries, self._path)

    def caption(self, shot: Shot, pictures: Sequence[NDArray[np.uint8]]) -> Prior:
        """Return the prior that the file has for `shot`.

        Raises:
            ConfigError: the file lacks the shot, or bounds it differently.
        """
        del pictures
        return _prior_of(shot, self._entries, self._path)


def format_priors(
    shots: Sequence[Shot], priors: Sequence[Prior], settings: Mapping[int, ShotSettings] = NO_SETTINGS
) -> str:
    """Return the YAML with a prior for each shot, and a header that says how to edit it.

    Args:
        shots: in any order.
        priors: one for each of `shots`.
        settings: what is asked for single shots, by the index of the shot.
    """
    entries: list[dict[str, Any]] = [
        {
            "shot": shot.index,
            "start": shot.start,
            "stop": shot.stop,
            "high_level": prior.high_level,
            "low_level": prior.low_level,
            "captioner": prior.captioner,
            **_asked(settings.get(shot.index, ShotSettings())),
        }
        for shot, prior in zip(shots, priors, strict=True)
    ]
    # Some line breaks of Unicode (U+0085) come back as spaces unless they are escaped.
    is_plain = all(
        value.isprintable() for entry in entries for value in entry.values() if isinstance(value, str)
    )
    return HEADER + yaml.safe_dump(entries, sort_keys=False, allow_unicode=is_plain, width=10_000)


def write_priors(
    path: Path,
    shots: Sequence[Shot],
    priors: Sequence[Prior],
    settings: Mapping[int, ShotSettings] = NO_SETTINGS,
) -> None:
    """Write `format_priors` to `path`, whole or not at all.

    Raises:
        UnwritableError, DiskFullError: naming `path`.
    """
    write_whole(path, format_priors(shots, priors, settings))


def read_priors(path: Path, shots: Sequence[Shot]) -> tuple[Prior, ...]:
    """Read one prior for each of `shots`, in their order, from a file that asks nothing else for them.

    Raises:
        ConfigError: the file cannot be read, an entry has an unknown key or a wrong type, the shots of the
            file are not `shots`, or an entry holds settings, which only the captioner file passes on. The
            message names the file and the shot.
    """
    entries = _read_entries(path)
    for index, entry in entries.items():
        for key in _asked(entry.settings):
            msg = f"{path}: shot {index}: {key} is obeyed in a file of yours alone; copy it and give --priors"
            raise ConfigError(msg)
    return _priors_of(shots, entries, path)


def _asked(settings: ShotSettings) -> dict[str, float | str]:
    return {key: value for key, value in asdict(settings).items() if value is not None}


def _priors_of(shots: Sequence[Shot], entries: Mapping[int, _Entry], path: Path) -> tuple[Prior, ...]:
    priors = tuple(_prior_of(shot, entries, path) for shot in shots)
    if surplus := sorted(set(entries) - {shot.index for shot in shots}):
        num_shots = "1 shot" if len(shots) == 1 else f"{len(shots)} shots"
        msg = (
            f"{path}: shot {surplus[0]} is not in the video, which has {num_shots}, counted from 0; remove "
            "it or make the file anew with `vidsr caption`"
        )
        raise ConfigError(msg)
    return priors


def _prior_of(shot: Shot, entries: Mapping[int, _Entry], path: Path) -> Prior:
    entry = entries.get(shot.index)
    if entry is None:
        msg = f"{path}: shot {shot.index} (frames {shot.start} to {shot.stop}) is missing; add it"
        raise ConfigError(msg)
    if entry.shot != shot:
        msg = (
            f"{path}: shot {shot.index}: frames {entry.shot.start} to {entry.shot.stop}, but {shot.start} to "
            f"{shot.stop} in this video; it is of other cuts: make it anew with `vidsr caption`"
        )
        raise ConfigError(msg)
    return entry.prior


def _read_entries(path: Path) -> dict[int, _Entry]:
    """Return the entries by shot index."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise ConfigError(msg) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path}: not YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    if not isinstance(tree, list):
        msg = f"{path}: wanted a list of shots, as `vidsr caption` writes it, got {_kind(tree)}"
        raise ConfigError(msg)
    entries: dict[int, _Entry] = {}
    for position, item in enumerate(tree):
        entry = _read_entry(item, where=f"{path}: entry {position + 1}", path=path)
        if entry.shot.index in entries:
            msg = f"{path}: shot {entry.shot.index} is there twice"
            raise ConfigError(msg)
        entries[entry.shot.index] = entry
    return entries


def _read_entry(item: Any, *, where: str, path: Path) -> _Entry:  # noqa: ANN401  # YAML until it is checked
    if not isinstance(item, dict):
        msg = f"{where}: wanted the keys {', '.join(_KEYS)}, got {_kind(item)}"
        raise ConfigError(msg)
    if type(item.get("shot")) is int:
        where = f"{path}: shot {item['shot']}"
    for key in item:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_KEYS)}"
            msg = f"{where}: unknown key {key}; {hint}"
            raise ConfigError(msg)
    index, start, stop = (_whole_number(item, key, where) for key in _WHOLE_NUMBERS)
    if not 0 <= start < stop:
        msg = f"{where}: start {start} must be before stop {stop} and not negative"
        raise ConfigError(msg)
    high_level, low_level, captioner = (_text(item, key, where) for key in _TEXTS)
    strength, guidance_scale = (_number(item, key, where) for key in _RANGES)
    return _Entry(
        shot=Shot(index=index, start=start, stop=stop),
        prior=Prior(high_level=high_level, low_level=low_level, captioner=captioner or NAME),
        settings=ShotSettings(
            strength=strength,
            guidance_scale=guidance_scale,
            restorer=_text(item, "restorer", where) if "restorer" in item else None,
        ),
    )


def _whole_number(item: Mapping[str, Any], key: str, where: str) -> int:
    if key not in item:
        msg = f"{where}: {key} is missing"
        raise ConfigError(msg)
    value = item[key]
    # True is an int in Python, and not a frame number.
    if type(value) is not int:
        msg = f"{where}: {key}: wanted a whole number, got {_kind(value)}"
        raise ConfigError(msg)
    return value


def _number(item: Mapping[str, Any], key: str, where: str) -> float | None:
    if key not in item:
        return None
    value = item[key]
    low, high = _RANGES[key]
    # True is an int in Python, and .nan lies in no range.
    if type(value) not in {int, float} or not low <= value <= high:
        msg = f"{where}: {key}: wanted a number from {low:g} to {high:g}, got {_kind(value)}"
        raise ConfigError(msg)
    return float(value)


def _text(item: Mapping[str, Any], key: str, where: str) -> str:
    value = item.get(key, "")
    if not isinstance(value, str):
        msg = f"{where}: {key}: wanted text, got {_kind(value)}; put it in quotes"
        raise ConfigError(msg)
    return value


def _kind(value: object) -> str:
    """Say what YAML made of something, in its own words."""
    names = {list: "a list", dict: "keys", bool: "yes or no", type(None): "nothing", str: "text"}
    return f"{names.get(type(value), 'a number')} ({str(value)[:40]})"
