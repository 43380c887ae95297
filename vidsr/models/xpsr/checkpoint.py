"""The published checkpoint of XPSR: where its folders are, and its two networks out of them.

It comes as two downloads: XPSR's own, with unet/ and controlnet/, and the base, Stable Diffusion 1.5, of
which the text encoder, the tokenizer, the autoencoder and the scheduler are used. The base's own UNet is not:
XPSR's holds all of its weights.
"""

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vidsr.errors import MissingWeightsError
from vidsr.models.component import CONFIG, Component
from vidsr.models.store import BASE_ID
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet

SCHEDULER_CONFIG = "scheduler_config.json"

_FILE_NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
UNET = Component(file_names=_FILE_NAMES, build=XpsrUNet.from_config)
CONTROLNET = Component(file_names=_FILE_NAMES, build=XpsrControlNet.from_config)

_NETWORK_PLACES = (".", "xpsr", "runs/xpsr")
_BASE_PLACES = (".", "stable-diffusion-v1-5", "checkpoints/stable-diffusion-v1-5")
_BASE_FILES = (
    ("text_encoder/config.json",),
    ("tokenizer/vocab.json", "tokenizer/tokenizer.json"),
    ("vae/config.json",),
    (f"scheduler/{SCHEDULER_CONFIG}",),
)
# Of each row one is enough.


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFolders:
    """What is used of Stable Diffusion 1.5."""

    text_encoder: Path
    tokenizer: Path
    vae: Path
    scheduler: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class XpsrFolders(BaseFolders):
    """Where the parts of XPSR are."""

    unet: Path
    controlnet: Path
    passed_over: tuple[Path, ...] = ()
    """Checkpoints beside the one that was taken, which has the highest number."""


def find_folders(root: Path, *, base: Path | None = None) -> XpsrFolders:
    """Find the parts of XPSR in either published layout, or as vidsr stores them.

    Args:
        root: with the folders unet and controlnet, or with checkpoint-N that have them; or with xpsr/ or
            runs/xpsr/ that is like this. Without `base` the base is found in it too.
        base: the folder of Stable Diffusion 1.5; None looks in `root`, in its stable-diffusion-v1-5 and in
            its checkpoints/stable-diffusion-v1-5.

    Raises:
        MissingWeightsError: naming what is not there.
    """
    checkpoint, passed_over = _find_checkpoint(root)
    return XpsrFolders(
        unet=checkpoint / "unet",
        controlnet=checkpoint / "controlnet",
        **asdict(find_base(root if base is None else base)),
        passed_over=passed_over,
    )


def find_networks(root: Path) -> tuple[Path, Path]:
    """Return the folders of the UNet and the ControlNet in `root`, as `find_folders` has them.

    Raises:
        MissingWeightsError: they are not there.
    """
    checkpoint, _ = _find_checkpoint(root)
    return checkpoint / "unet", checkpoint / "controlnet"


def find_base(root: Path) -> BaseFolders:
    """Find what is used of Stable Diffusion 1.5 in `root` or in one of the places of the published layouts.

    Raises:
        MissingWeightsError: naming the files that are not there.
    """
    folders = [root / place for place in _BASE_PLACES]
    folder = min(folders, key=lambda folder: len(_lacks(folder)))
    if lacks := _lacks(folder):
        msg = (
            f"{folder}: Stable Diffusion 1.5 is not here or not whole, without {', '.join(lacks)}; "
            f"name its folder, or {BASE_ID}, as the base (--base)"
        )
        raise MissingWeightsError(msg)
    return BaseFolders(
        text_encoder=folder / "text_encoder",
        tokenizer=folder / "tokenizer",
        vae=folder / "vae",
        scheduler=folder / "scheduler",
    )


def has_networks(root: Path) -> bool:
    """Return whether XPSR's own two networks are in `root` or in a place of the published layouts."""
    return any(_checkpoints(root / place) for place in _NETWORK_PLACES)


def has_base(root: Path) -> bool:
    """Return whether Stable Diffusion 1.5 is in `root` or in a place of the published layouts."""
    return any(not _lacks(root / place) for place in _BASE_PLACES)


def load_unet(
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> XpsrUNet:
    """Return the UNet of a folder with config.json and its weights, or of the checkpoint around it.

    Raises:
        MissingWeightsError: it is not there.
        CheckpointError: it does not fit, or its config asks for something that XPSR has not.
    """
    return UNET.load(_component_folder(Path(folder), "unet"), dtype=dtype, device=device)


def load_controlnet(
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> XpsrControlNet:
    """Return the ControlNet of a folder with config.json and its weights, or of the checkpoint around it.

    Raises:
        MissingWeightsError: it is not there.
        CheckpointError: it does not fit, or its config asks for something that XPSR has not.
    """
    return CONTROLNET.load(_component_folder(Path(folder), "controlnet"), dtype=dtype, device=device)


def _component_folder(folder: Path, name: str) -> Path:
    return folder if (folder / CONFIG).is_file() else _find_checkpoint(folder)[0] / name


def _find_checkpoint(root: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return the folder with unet/ and controlnet/, and others that would do but have a lower number."""
    for place in _NETWORK_PLACES:
        if found := _checkpoints(root / place):
            return found[0], tuple(found[1:])
    places = ", ".join(f"{root / place}" for place in _NETWORK_PLACES)
    msg = f"{root}: no unet/{CONFIG} with controlnet/{CONFIG} in {places} or in a checkpoint-N of these"
    raise MissingWeightsError(msg)


def _checkpoints(folder: Path) -> list[Path]:
    """Return the folders with both networks, the best first: `folder` itself, or checkpoint-N by number."""
    if _has_both(folder):
        return [folder]
    numbered = [(_number(path), path) for path in folder.glob("checkpoint-*") if _has_both(path)]
    return [path for number, path in sorted(numbered, reverse=True) if number >= 0]


def _has_both(folder: Path) -> bool:
    return all((folder / name / CONFIG).is_file() for name in ("unet", "controlnet"))


def _number(path: Path) -> int:
    match = re.fullmatch(r"checkpoint-(\d+)", path.name)
    return int(match[1]) if match else -1


def _lacks(folder: Path) -> list[str]:
    return [names[0] for names in _BASE_FILES if not any((folder / name).is_file() for name in names)]
