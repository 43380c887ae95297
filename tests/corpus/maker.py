"""Makes the inputs with the ffmpeg program of imageio-ffmpeg."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from tests.corpus.commands import ABBREVIATIONS
from tests.corpus.facts import SEQUENCE_PATTERN, CorpusClass


def make_one(name: str, folder: Path, *, every: Mapping[str, CorpusClass]) -> Path:
    """Make the input `name` in `folder`, once, and return its path."""
    facts = every[name]
    path = folder / (facts.file_name or f"{name}{facts.suffix}")
    if not path.exists():
        _make(facts, path, unfinished=folder / f"{name}.unfinished{facts.suffix}", every=every)
    return path / SEQUENCE_PATTERN if facts.is_sequence else path


def _make(facts: CorpusClass, path: Path, *, unfinished: Path, every: Mapping[str, CorpusClass]) -> None:
    folder = path.parent
    needed = {other: str(make_one(other, folder, every=every)) for other in facts.needs}
    for file_name, content in facts.files:
        (folder / file_name).write_bytes(content.encode() if isinstance(content, str) else content)
    if facts.is_sequence:
        unfinished.mkdir()
    for command in facts.commands:
        arguments = shlex.split(command.format_map(_Unchanged(ABBREVIATIONS)))
        run([argument.format(out=unfinished, folder=folder, **needed) for argument in arguments])
    if facts.after is not None:
        facts.after(unfinished)
    unfinished.rename(path)


def run(arguments: Sequence[str]) -> None:
    """Run ffmpeg."""
    command = [ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


@cache
def ffmpeg() -> str:
    """Return the path of the ffmpeg program."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


class _Unchanged(dict[str, str]):
    """Leaves {what} it does not know in the text."""

    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"
