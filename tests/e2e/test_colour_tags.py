"""Colours stay what they are when each file is decoded as it is tagged, by the equations of H.273."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import vidsr
from tests.overrides import QUICK
from vidsr.media.verify import verify

SHARES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Of red and blue in luma: BT.709, SMPTE 170M, BT.470BG, BT.2020."""
PATCHES = ((60, 128, 128), (200, 128, 128), (81, 90, 220), (145, 60, 40), (60, 220, 110), (170, 30, 150))
"""Y, Cb and Cr: greys, and colours that lie inside of RGB or a little beyond."""


def patches(path: Path, *, matrix: int, is_full: bool, width: int = 64, height: int = 48) -> Path:
    """Write a flat picture for each of `PATCHES`, without loss, with these tags."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = matrix
        context.color_primaries = context.color_trc = 1 if matrix == 9 else matrix
        context.color_range = 2 if is_full else 1
        for index, samples in enumerate(PATCHES):
            picture = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(picture.planes, samples, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            picture.pts, picture.time_base = index, Fraction(1, 25)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def rgb_as_tagged(path: Path, shares: dict[int, tuple[float, float]] = SHARES) -> np.ndarray:
    """Return the middle of every picture as 8-bit R'G'B' by its own tags. [n, 3], unrounded"""
    colours = []
    with av.open(str(path)) as file:
        for picture in file.decode(video=0):
            red, blue = shares[picture.colorspace]
            planes = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1) for plane in picture.planes]
            y, cb, cr = (float(plane[plane.shape[0] // 2, 8]) for plane in planes)
            if picture.color_range == 2:
                y, cb, cr = y / 255, (cb - 128) / 255, (cr - 128) / 255
            else:
                y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
            r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
            colours.append((r, (y - red * r - blue * b) / (1 - red - blue), b))
    return 255 * np.clip(np.array(colours), 0, 1)


@pytest.mark.parametrize("matrix", SHARES)
@pytest.mark.parametrize("is_full", [False, True])
def test_a_flat_patch_differs_by_one_code_value_at_most(matrix, is_full, tmp_path):
    source = patches(tmp_path / "in.mp4", matrix=matrix, is_full=is_full)
    report = vidsr.enhance(source, tmp_path / "out.mp4", overrides=QUICK)
    before, after = rgb_as_tagged(source), rgb_as_tagged(report.output)
    assert np.abs(after - before).max() <= 1
    with av.open(str(report.output)) as file:
        picture = next(file.decode(video=0))
    assert (picture.colorspace, picture.color_range) == (matrix, 2 if is_full else 1)
    assert verify(source, report.output).ok


def test_a_patch_without_tags_comes_out_as_players_took_it(tmp_path):
    """Untagged HD is BT.709, limited; the output says so."""
    source = patches(tmp_path / "in.mp4", matrix=2, is_full=False, width=128, height=720)
    report = vidsr.enhance(source, tmp_path / "out.mp4", overrides=QUICK)
    assert any("does not say its colour matrix: taken for BT.709" in line for line in report.warnings)
    with av.open(str(report.output)) as file:
        pictures = list(file.decode(video=0))
    assert {picture.colorspace for picture in pictures} == {1}
    # What the samples are did not change, only what is said of them.
    np.testing.assert_allclose(rgb_as_tagged(report.output), _as(source, matrix=1), atol=1)


def _as(path: Path, *, matrix: int) -> np.ndarray:
    """Return the colours of a file whose matrix is not stated, read with one."""
    shares = SHARES | {2: SHARES[matrix]}
    return rgb_as_tagged(path, shares)
