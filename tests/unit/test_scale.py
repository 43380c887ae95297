"""Bicubic enlargement: in the frame's own format, and with chroma where it belongs."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from vidsr.media.frames import format_facts
from vidsr.media.scale import Scaler, scale
from vidsr.types import Colour, Frame

FORMATS = (
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuv411p",
    "yuv420p10le",
    "yuv422p12le",
    "gray",
    "gray16le",
    "gbrp",
    "gbrp10le",
)


def flat_frame(pix_fmt, values, *, width=22, height=14, colour=None):
    facts = format_facts(pix_fmt)
    return Frame(
        planes=tuple(
            np.full(facts.plane_shape(index, height=height, width=width), values[index], facts.dtype)
            for index in range(facts.num_planes)
        ),
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        colour=colour or Colour(),
        index=5,
        pts=99,
        time_base=Fraction(1, 1000),
    )


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_flat_picture_stays_flat(pix_fmt, factor):
    step = 1 << (format_facts(pix_fmt).bits - 8)
    values = [90 * step + 1, 60 * step, 200 * step]
    large = scale(flat_frame(pix_fmt, values), factor)
    for plane, value in zip(large.planes, values, strict=False):
        assert (plane == value).all()


@pytest.mark.parametrize(("width", "height"), [(22, 14), (21, 13), (1, 1), (64, 2)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gray"])
def test_only_the_size_changes(width, height, pix_fmt):
    colour = Colour(matrix=9, primaries=9, transfer=16, full_range=True, chroma_location=3)
    frame = flat_frame(pix_fmt, [40, 50, 60], width=width, height=height, colour=colour)
    large = scale(frame, 3)
    expected = replace(frame, planes=large.planes, width=3 * width, height=3 * height)
    for name in ("pix_fmt", "width", "height", "colour", "index", "pts", "time_base"):
        assert getattr(large, name) == getattr(expected, name)
    facts = format_facts(pix_fmt)
    for index, plane in enumerate(large.planes):
        assert plane.shape == facts.plane_shape(index, height=3 * height, width=3 * width)


@pytest.mark.parametrize("matrix", [1, 8, 14])
@pytest.mark.parametrize("full_range", [True, False, None])
def test_matrix_and_range_do_not_touch_the_samples(matrix, full_range):
    rng = np.random.default_rng(0)
    frame = flat_frame("yuv444p", [0, 0, 0])
    frame = replace(frame, planes=tuple(rng.integers(0, 256, (14, 22), dtype=np.uint8) for _ in range(3)))
    stated = replace(frame, colour=Colour(matrix=matrix, full_range=full_range))
    for plain, other in zip(scale(frame, 2).planes, scale(stated, 2).planes, strict=True):
        np.testing.assert_array_equal(plain, other)


@pytest.mark.parametrize(
    ("location", "columns", "rows"), [(0, 0.0, 0.5), (1, 0.0, 0.5), (2, 0.5, 0.5), (3, 0.0, 0.0)]
)
def test_chroma_keeps_its_place_relative_to_luma(location, columns, rows):
    """Chroma that is a ramp of the luma position it is sited at has to be that in the large picture."""
    sited_columns, sited_rows = 2 * np.arange(40) + columns, 2 * np.arange(40) + rows
    planes = (
        np.zeros((80, 80), np.uint16),
        np.tile(8 * sited_columns + 100, (40, 1)).astype(np.uint16),
        np.tile((8 * sited_rows + 100)[:, None], (1, 40)).astype(np.uint16),
    )
    frame = flat_frame("yuv420p10le", [0, 0, 0], width=80, height=80, colour=Colour(chroma_location=location))
    large = scale(replace(frame, planes=planes), 2)
    # Luma sample n of the large picture lies at (n + 1/2) / 2 - 1/2 of the small one.
    expected_columns = 8 * ((2 * np.arange(80) + columns + 0.5) / 2 - 0.5) + 100
    expected_rows = 8 * ((2 * np.arange(80) + rows + 0.5) / 2 - 0.5) + 100
    assert np.abs(large.planes[1][40] - expected_columns)[8:-8].max() <= 1
    assert np.abs(large.planes[2][:, 40] - expected_rows)[8:-8].max() <= 1


def test_luma_is_bicubic():
    """Against PIL, whose kernel has a = -0.5 (swscale: -0.6): close to that, and far from bilinear."""
    rows, columns = np.mgrid[0:40, 0:60]
    plane = (128 + 60 * np.sin(columns / 1.7) * np.cos(rows / 2.3)).astype(np.uint8)
    frame = replace(flat_frame("gray", [0], width=60, height=40), planes=(plane,))
    large = scale(frame, 2).planes[0].astype(float)
    inside = (slice(8, -8), slice(8, -8))
    errors = {
        kernel: np.abs(large - np.asarray(Image.fromarray(plane).resize((120, 80), kernel), float))[
            inside
        ].mean()
        for kernel in (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR)
    }
    assert errors[Image.Resampling.BICUBIC] < 0.6
    assert errors[Image.Resampling.BICUBIC] * 2 < errors[Image.Resampling.BILINEAR]


def test_one_scaler_serves_many_frames():
    frames = [flat_frame("yuv420p", [value, 100, 100]) for value in (10, 20, 30)]
    scaler = Scaler(frames[0], factor=2)
    assert [int(scaler.scale(frame).planes[0][0, 0]) for frame in frames] == [10, 20, 30]


def test_a_frame_of_another_format_is_refused():
    scaler = Scaler(flat_frame("yuv420p", [1, 2, 3]), factor=2)
    for other in (flat_frame("yuv444p", [1, 2, 3]), flat_frame("yuv420p", [1, 2, 3], width=24)):
        assert not scaler.fits(other)
        with pytest.raises(ValueError, match="does not have the format of this scaler"):
            scaler.scale(other)


def test_shrinking_is_refused():
    with pytest.raises(ValueError, match="factor must be at least 1"):
        Scaler(flat_frame("gray", [1]), factor=0)
