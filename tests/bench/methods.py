"""The methods that are compared: each makes of a degraded picture or clip one of four times its size."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
import PIL
from PIL import Image

from tests.bench.basicvsr import open_basicvsr
from tests.bench.peers import NcnnNetwork
from tests.bench.samples import Sample
from vidsr.evaluate.image import Pixels
from vidsr.media.swscale import PictureFormat, resampler
from vidsr.models.compact.estimate import SCALE
from vidsr.types import Colour

Kind = Literal["pictures", "clips"]
BOTH: tuple[Kind, ...] = ("pictures", "clips")
Enlarge = Callable[[Pixels], Pixels]

PEERS = {
    "realesr-animevideov3-x4": "realesr-animevideov3-x4",
    "realesrgan-x4plus": "realesrgan-x4plus",
    "span-x4": "spanx4_ch48",
}
"""Networks for pictures by their names in the table: the names of their files."""
VIDEO_PEER = "basicvsr-x4"
RGB = Colour(matrix=0, full_range=True)
SWSCALE_FLAGS = "accurate_rnd+full_chroma_int+full_chroma_inp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A sample as a method made it."""

    frames: list[Pixels]
    steps: float = 0.0
    """Diffusion steps a frame, on average, lead-ins included."""


Restore = Callable[[Sample], Restored]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A row of the table."""

    name: str
    identity: str
    """All that its results depend on beside the sample."""
    restore: Restore | None
    """None where its files are not there."""
    num_parameters: int = 0
    kinds: tuple[Kind, ...] = BOTH
    is_extra: bool = False
    """Runs only where it is named."""


def chosen(found: Sequence[Method], names: str) -> list[Method]:
    """Return the methods with the comma-separated `names`; without names, all that are not extra.

    Raises:
        SystemExit: there is no method of a name.
    """
    if not names:
        return [method for method in found if not method.is_extra]
    by_name = {method.name: method for method in found}
    if unknown := [name for name in names.split(",") if name not in by_name]:
        msg = f"--methods: there is no {unknown[0]!r}; there are: {', '.join(by_name)}"
        raise SystemExit(msg)
    return [by_name[name] for name in names.split(",")]


def enlargements() -> list[Method]:
    """Return what needs no model: PIL, and ffmpeg's scaler."""
    version = ".".join(map(str, av.library_versions["libswscale"]))
    found = [Method(name="bicubic", identity=f"PIL {PIL.__version__}", restore=_each_frame(bicubic))]
    for kernel in ("bicubic", "lanczos"):
        flags = f"{kernel}+{SWSCALE_FLAGS}"
        restore = _each_frame(_by_swscale(flags))
        found.append(Method(name=f"ffmpeg {kernel}", identity=f"swscale {version} {flags}", restore=restore))
    return found


def peers(folder: Path | None) -> list[Method]:
    """Return the networks of others; those whose files are not in `folder` have no function."""
    return [*(_picture_peer(folder, name, stem) for name, stem in PEERS.items()), _video_peer(folder)]


def _picture_peer(folder: Path | None, name: str, stem: str) -> Method:
    files = [] if folder is None else [folder / f"{stem}{suffix}" for suffix in (".param", ".bin")]
    if not files or not all(file.exists() for file in files):
        return Method(name=name, identity="", restore=None)
    network = NcnnNetwork(files[0])
    return Method(
        name=name,
        identity=_digest(files),
        restore=_each_frame(network.enlarge),
        num_parameters=network.num_parameters,
    )


def _video_peer(folder: Path | None) -> Method:
    peer = None if folder is None else open_basicvsr(folder)
    if peer is None:
        return Method(name=VIDEO_PEER, identity="", restore=None, kinds=("clips",))
    return Method(
        name=VIDEO_PEER,
        identity=_digest(peer.files),
        restore=lambda sample: Restored(frames=peer.restore(sample.degraded)),
        num_parameters=peer.num_parameters,
        kinds=("clips",),
    )


def bicubic(pixels: Pixels) -> Pixels:
    """Enlarge by PIL."""
    height, width = pixels.shape[:2]
    size = (SCALE * width, SCALE * height)
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _by_swscale(flags: str) -> Enlarge:
    def enlarge(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        small = PictureFormat(width=width, height=height, pix_fmt="rgb24", colour=RGB)
        large = PictureFormat(width=SCALE * width, height=SCALE * height, pix_fmt="rgb24", colour=RGB)
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        picture.colorspace, picture.color_range = RGB.matrix, 2
        made = resampler(small, large, flags=flags).convert(picture).to_ndarray()
        return made.astype(np.uint8, copy=False)

    return enlarge


def _each_frame(enlarge: Enlarge) -> Restore:
    return lambda sample: Restored(frames=[enlarge(frame) for frame in sample.degraded])


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
