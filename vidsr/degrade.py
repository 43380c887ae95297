"""`vidsr degrade`: makes of clean pictures and clips what training makes of them, a quarter of the size."""

import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidsr.api import plan as make_plan
from vidsr.build import degradation_set
from vidsr.errors import InputError, OutputExistsError, UsageError
from vidsr.evaluate.clips import is_picture, read_picture
from vidsr.files import write_error
from vidsr.job.publish import check_place, publish
from vidsr.media.colour import RGB_MATRIX, from_rgb, to_rgb
from vidsr.media.decode import open_source
from vidsr.media.encode import EncodeSettings, SegmentWriter
from vidsr.train.degradation import DegradationSet
from vidsr.train.degrade_frames import degrade_frames, degraded_size
from vidsr.types import Frame, Plan

CODEC, PLANAR, PACKED = "ffv1", "gbrp", "bgr0"
"""Clips are written in RGB without loss."""
_OVERRIDES = {
    "restore.restorer": "bicubic",
    "encode.codec": CODEC,
    "caption.captioner": "none",
    "plan.cut_detector": "none",
    "plan.deinterlace": "off",
}
"""The plan decides on times and streams; how pictures would be restored is not asked for."""


def degrade(source: Path, output: Path, *, preset: str, seed: int = 0, overwrite: bool = False) -> list[Path]:
    """Degrade a picture, each picture of a folder, or a clip, and return what was written.

    Args:
        source: a picture, a folder of pictures, or a video.
        output: a PNG, a folder for PNGs of the same names, or a video; mkv, or mov.
        preset: name of a shipped set of degradations, or path of a YAML file.
        seed: with a picture's name, or a frame's number, all that is drawn follows from it.
        overwrite: replace what is there.

    Raises:
        ConfigError: no such preset, or it is wrong.
        InputError: there is nothing to degrade, or it is too small.
        UsageError, UnwritableError: the output must not or cannot be written.
    """
    degradation = degradation_set(preset)
    if not source.is_dir() and not is_picture(source):
        _check(source, output, overwrite=overwrite)
        _degrade_clip(source, output, degradation, seed=seed)
        return [output]
    pairs = [(source, output)]
    if source.is_dir():
        pictures = sorted(path for path in source.iterdir() if is_picture(path))
        if not pictures:
            msg = f"{source}: holds no pictures"
            raise InputError(msg)
        output.mkdir(parents=True, exist_ok=True)
        pairs = [(path, output / f"{path.stem}.png") for path in pictures]
    for path, target in pairs:
        _check(path, target, overwrite=overwrite)
    for path, target in pairs:
        _degrade_picture(path, target, degradation, seed=seed)
    return [target for _, target in pairs]


def _check(source: Path, output: Path, *, overwrite: bool) -> None:
    check_place(source, output)
    if output.exists() and not overwrite:
        msg = f"{output}: exists already; pass --overwrite to replace it, or name another"
        raise OutputExistsError(msg)
    if is_picture(source) and output.suffix.lower() != ".png":
        msg = f"{output}: a degraded picture is written without loss; name a .png"
        raise UsageError(msg)


def _degrade_picture(source: Path, output: Path, degradation: DegradationSet, *, seed: int) -> None:
    clean = read_picture(source).transpose(2, 0, 1)
    degraded_size(*clean.shape[1:], where=str(source))
    # By its name, so that a folder's other pictures have no say in it.
    name = zlib.crc32(source.stem.encode("utf-8", "surrogateescape"))
    (degraded,) = degrade_frames([clean], degradation, seed=(seed, name))
    try:
        Image.fromarray(np.ascontiguousarray(degraded.transpose(1, 2, 0))).save(output)
    except OSError as error:
        raise write_error(output, error) from error


def _degrade_clip(source: Path, output: Path, degradation: DegradationSet, *, seed: int) -> None:
    """Degrade the frames, and put them among the source's other streams, at their own times."""
    plan = make_plan(source, output, pipeline="preview", overrides=_OVERRIDES)
    plan = _of_degraded(plan, where=str(source))
    settings = EncodeSettings(codec=CODEC)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f"{output.name}.") as folder:
        writer = SegmentWriter(Path(folder) / "segment.mkv", settings=settings, output=plan.output)
        try:
            for frame in _degraded_frames(source, plan, degradation, seed=seed):
                writer.write(frame)
            writer.close()
        finally:
            writer.abort()
        publish(
            plan=plan,
            source=source,
            segments=[Path(folder) / "segment.mkv"],
            unfinished=Path(folder) / f"output{output.suffix}",
            output=output,
            before_verifying=lambda: None,
            before_rename=lambda: None,
        )


def _of_degraded(plan: Plan, *, where: str) -> Plan:
    video = plan.info.video
    height, width = degraded_size(video.height, video.width, where=where)
    colour = replace(video.colour, matrix=RGB_MATRIX, full_range=True)
    return replace(
        plan, output=replace(plan.output, height=height, width=width, pix_fmt=PACKED, colour=colour, hdr=None)
    )


def _degraded_frames(source: Path, plan: Plan, degradation: DegradationSet, *, seed: int) -> Iterator[Frame]:
    with open_source(source, plan.info, plan.frames, linear=True) as pictures:
        clean = (_levels(frame) for frame in pictures.frames(0, len(plan.frames)))
        for index, pixels in enumerate(degrade_frames(clean, degradation, seed=(seed,))):
            like = Frame(
                planes=(),
                pix_fmt=PLANAR,
                width=plan.output.width,
                height=plan.output.height,
                colour=plan.output.colour,
                index=index,
                pts=int(plan.frames.pts[index]),
                time_base=plan.info.video.time_base,
            )
            yield from_rgb(pixels, pix_fmt=PLANAR, colour=plan.output.colour, like=like)


def _levels(frame: Frame) -> NDArray[np.uint8]:
    pixels = to_rgb(frame)
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels * (255 / 65535))
    return np.asarray(pixels, dtype=np.uint8)
