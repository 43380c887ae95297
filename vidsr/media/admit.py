"""Turns away files that ask for more than this machine should give, before this process opens them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidsr.errors import InputError, MachineError
from vidsr.media import opener
from vidsr.media.limits import Limits
from vidsr.media.sequence import files_of, how_to_open

PATIENCE = 10
"""Seconds on the clock for each of processor time: the file may be on a slow network."""

# Windows knows neither signal. The second is what a system sends that has no memory left.
_OUT_OF_TIME = -getattr(signal, "SIGXCPU", 0)
_OUT_OF_MEMORY = -getattr(signal, "SIGKILL", 0)


def admit(path: Path, limits: Limits) -> None:
    """Open a file in a process of its own, within bounds, and refuse it if it asks for too much.

    What opening takes cannot be told beforehand: 17 MB of tags keep FFmpeg busy for minutes. A file that
    cannot be opened for another reason passes; whoever opens it next says why. Of numbered pictures the
    first is opened.

    Raises:
        InputError: it asks for more than a limit allows, which the message names, or FFmpeg crashes on it.
        MachineError: no process can be started.
    """
    first = files_of(path)[0]
    if not first.is_file():
        return
    for key, found, allowed, what in _excesses(_open(first, limits), limits):
        msg = f"{path}: has {what}, and limits.{key} is {allowed}; {_advice(key, found)}"
        raise InputError(msg)


def _open(path: Path, limits: Limits) -> dict[str, Any]:
    """Return what the file asks for, as opener.py prints it; nothing where it cannot be opened."""
    _, _, options = how_to_open(path)
    bounds = {**asdict(limits), "options": {**options, "max_pixels": str(limits.max_pixels)}}
    # Without -P, the modules beside it would stand in for those of the standard library.
    command = [sys.executable, "-P", opener.__file__, str(path.absolute()), json.dumps(bounds)]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=PATIENCE * limits.open_seconds
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(path, limits) from error
    except OSError as error:
        msg = f"{path}: no process can be started to open it in ({error})"
        raise MachineError(msg) from error
    if done.returncode == 0:
        asked: dict[str, Any] = json.loads(done.stdout)
        return asked
    raise _failure(path, limits, done)


def _failure(
    path: Path, limits: Limits, done: "subprocess.CompletedProcess[bytes]"
) -> InputError | MachineError:
    code = done.returncode
    if code == _OUT_OF_TIME:
        return _too_slow(path, limits)
    if code in {opener.MEMORY_EXIT, _OUT_OF_MEMORY}:
        key, allowed = "open_memory_bytes", limits.open_memory_bytes
        return InputError(
            f"{path}: takes more memory to open than limits.{key}, {allowed}; {_advice(key, 2 * allowed)}"
        )
    if code < 0:
        return InputError(f"{path}: FFmpeg crashes when it opens this ({signal.Signals(-code).name})")
    words = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return MachineError(f"{path}: cannot be opened in a process of its own ({words[-1]})")


def _too_slow(path: Path, limits: Limits) -> InputError:
    key, allowed = "open_seconds", limits.open_seconds
    return InputError(
        f"{path}: takes longer to open than limits.{key}, {allowed}; {_advice(key, 10 * allowed)}"
    )


def _excesses(asked: dict[str, Any], limits: Limits) -> Iterator[tuple[str, int, int, str]]:
    """Yield (its key, what the file has, what it may have, the same in words) of each limit passed over."""
    width, height = asked.get("size", (0, 0))
    found = {
        "max_pixels": (width * height, f"a picture of {width}x{height}"),
        "max_streams": (asked.get("num_streams", 0), f"{asked.get('num_streams')} streams"),
        "max_chapters": (asked.get("num_chapters", 0), f"{asked.get('num_chapters')} chapters"),
        "max_tag_bytes": (asked.get("tag_bytes", 0), f"{asked.get('tag_bytes')} bytes of tags"),
    }
    for key, (number, what) in found.items():
        allowed = getattr(limits, key)
        if number > allowed:
            yield key, number, allowed, what


def _advice(key: str, value: int) -> str:
    return (
        f"if you trust the file, raise it: --set limits.{key}={value} or VIDSR_LIMITS__{key.upper()}={value}"
    )
