"""Pictures and clips as they lie on disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vidsr.errors import InputError
from vidsr.evaluate.image import Pixels
from vidsr.media.colour import to_rgb
from vidsr.media.frames import from_av
from vidsr.media.pictures import Pictures
from vidsr.media.probe import probe

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


def is_picture(path: Path) -> bool:
    """Say whether the name is one of a still picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def read_picture(path: Path) -> Pixels:
    """Read a picture as uint8 RGB [H, W, 3].

    Raises:
        InputError: there is none, or it is damaged.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (FileNotFoundError, UnidentifiedImageError, OSError) as error:
        msg = f"{path}: no readable picture ({type(error).__name__})"
        raise InputError(msg) from error


def read_clip(path: Path) -> Iterator[Pixels]:
    """Yield the frames of a video, or of a folder of pictures in the order of their names.

    Raises:
        InputError: there is no such clip, or a frame cannot be read.
    """
    if not path.is_dir():
        yield from _read_video(path)
        return
    files = sorted(file for file in path.iterdir() if is_picture(file))
    if not files:
        msg = f"{path}: holds no pictures; wanted the frames of a clip"
        raise InputError(msg)
    yield from (read_picture(file) for file in files)


def _read_video(path: Path) -> Iterator[Pixels]:
    info = probe(path)
    with Pictures(path, info) as pictures:
        for index, picture in enumerate(pictures):
            # Only the pixels count here: the number stands for the time.
            frame = from_av(
                picture, index=index, pts=index, time_base=info.video.time_base, colour=info.video.colour
            )
            pixels = to_rgb(frame)
            if pixels.dtype == np.uint16:
                pixels = np.rint(pixels * (255 / 65535))
            yield np.ascontiguousarray(pixels.transpose(1, 2, 0), dtype=np.uint8)
        if pictures.num_errors:
            msg = (
                f"{path}: {pictures.num_errors} packets cannot be decoded; figures of a damaged file mislead"
            )
            raise InputError(msg)
