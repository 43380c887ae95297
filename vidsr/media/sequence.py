"""Pictures that are numbered files: `frames/f_%04d.png` names all of them."""

import re
from fractions import Fraction
from pathlib import Path

from vidsr.errors import ConfigError, InputError, NotAVideoError
from vidsr.media.limits import open_options

DEFAULT_RATE = Fraction(25)
"""Pictures a second, where the user names no other."""

_NUMBER = re.compile(r"%(0?)(\d*)d")


def is_sequence(path: Path) -> bool:
    """Return whether `path` is a printf pattern of numbered pictures, and not a file of that name."""
    return len(_NUMBER.findall(path.name)) == 1 and not path.exists()


def stem_of(path: Path) -> str:
    """Return what the pictures of a sequence are called without their number: f_%04d.png is "f"."""
    return _NUMBER.sub("", path.stem).strip(" _-.") or path.resolve().parent.name


def files_of(path: Path) -> list[Path]:
    """Return the files at `path`: itself, or the pictures of a sequence in the order of their numbers.

    Raises:
        NotAVideoError: no picture has such a name.
        InputError: a number is missing between two others.
    """
    if not is_sequence(path):
        return [path]
    numbers = _numbers(path)
    if not numbers:
        msg = f"{path}: no such file, and no picture whose name fits this pattern"
        raise NotAVideoError(msg)
    missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
    if missing:
        msg = (
            f"{path}: picture {missing[0]} is missing ({len(missing)} of {numbers[0]} to {numbers[-1]} are); "
            "number the pictures without holes"
        )
        raise InputError(msg)
    return [_named(path, number) for number in numbers]


def how_to_open(path: Path, *, frame_rate: Fraction | None = None) -> tuple[str, str | None, dict[str, str]]:
    """Return FFmpeg's name of the file or sequence at `path`, the demuxer that must be taken, its options.

    Args:
        path: a file, or a pattern.
        frame_rate: pictures of a sequence that are shown a second; None for `DEFAULT_RATE`.

    Raises:
        InputError: see `files_of`.
        ConfigError: a rate is given, and `path` is a file.
    """
    if is_sequence(path):
        number = str(_number_of(path, files_of(path)[0]))
        # A percent sign elsewhere in the path is one of the path.
        folder = str(path.absolute().parent).replace("%", "%%")
        options = {
            **open_options(),
            "pattern_type": "sequence",
            "start_number": number,
            "framerate": str(frame_rate or DEFAULT_RATE),
        }
        return f"file:{folder}/{path.name}", "image2", options
    if frame_rate is not None:
        msg = (
            f"{path}: plan.frame_rate={frame_rate} is of numbered pictures, such as 'frames/f_%04d.png', and "
            "this is a file, which has its own times; leave the rate out"
        )
        raise ConfigError(msg)
    # The prefix keeps a name with a colon from being taken for a protocol, the option one with a percent sign
    # from being taken for a pattern.
    return f"file:{path.absolute()}", None, {**open_options(), "pattern_type": "none"}


def _numbers(path: Path) -> list[int]:
    """Return the numbers for which there is a picture, sorted."""
    folder = path.parent
    found = (_number_of(path, entry) for entry in (folder.iterdir() if folder.is_dir() else ()))
    # f_7.png is none of f_%04d.png.
    return sorted({number for number in found if number is not None and _named(path, number).is_file()})


def _number_of(path: Path, file: Path) -> int | None:
    before, after = (re.escape(text) for text in _NUMBER.sub("\0", path.name).split("\0"))
    match = re.fullmatch(f"{before}(\\d+){after}", file.name)
    return None if match is None else int(match.group(1))


def _named(path: Path, number: int) -> Path:
    def digits(match: re.Match[str]) -> str:
        return f"{number:{match.group(1)}{match.group(2)}d}"

    return path.with_name(_NUMBER.sub(digits, path.name))
