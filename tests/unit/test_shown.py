"""What networks are shown of HDR, and that nothing of it is lost on the way back."""

from fractions import Fraction

import numpy as np
import pytest

from vidsr.media.colour import HLG, PQ, from_rgb, to_rgb
from vidsr.media.shown import from_shown, light_of_pq, shown_of_light, to_shown
from vidsr.types import Colour, Frame

BT2020 = 9


def frame(pix_fmt, planes, *, transfer):
    return Frame(
        planes=planes,
        pix_fmt=pix_fmt,
        width=planes[0].shape[1],
        height=planes[0].shape[0],
        colour=Colour(matrix=BT2020, primaries=BT2020, transfer=transfer, full_range=False),
        index=0,
        pts=0,
        time_base=Fraction(1, 25),
    )


@pytest.mark.parametrize("bits", [10, 12])
def test_every_code_of_pq_comes_back(bits):
    codes = np.arange(2**bits, dtype=np.uint16).reshape(-1, 32)
    deep = frame(f"gbrp{bits}le", (codes, codes[::-1].copy(), codes), transfer=PQ)
    back = from_shown(to_shown(deep), like=deep)
    for before, after in zip(deep.planes, back.planes, strict=True):
        np.testing.assert_array_equal(before, after)


def test_yuv_loses_no_more_than_on_its_way_through_rgb():
    rng = np.random.default_rng(0)
    rgb = rng.integers(6000, 50_000, (3, 8, 8)).repeat(8, 1).repeat(8, 2).astype(np.uint16)
    like = frame("yuv444p10le", (np.zeros((64, 64), np.uint16),) * 3, transfer=PQ)
    pq = from_rgb(rgb, pix_fmt="yuv444p10le", colour=like.colour, like=like)
    back = from_shown(to_shown(pq), like=pq)
    for before, after in zip(pq.planes, back.planes, strict=True):
        assert np.abs(before.astype(int) - after).max() <= 1


def test_pq_is_shown_like_sdr():
    """BT.2408: 203 cd/m2 are diffuse white, 75 % of HLG, and 58 % of PQ; 26 cd/m2 are 18 % grey, 38 %."""
    light = np.array([0.0, 26.0, 203.0, 10_000.0])
    np.testing.assert_allclose(light_of_pq(np.array([0.0, 0.38, 0.58, 1.0])), light, rtol=0.02, atol=1e-9)
    shown = shown_of_light(light)
    np.testing.assert_allclose(shown[[0, 2, 3]], [0, 0.75, 1], atol=1e-9)
    assert 0.25 < shown[1] < 0.4


def test_the_two_halves_of_the_curve_meet_in_one_slope():
    around = shown_of_light(203 + np.array([-0.2, -0.1, 0.0, 0.1, 0.2]))
    steps = np.diff(around)
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, steps[0], rtol=0.02)


def test_hlg_and_sdr_are_shown_as_they_are():
    rng = np.random.default_rng(1)
    planes = tuple(rng.integers(64, 940, (32, 32)).astype(np.uint16) for _ in range(3))
    for transfer in (1, 2, HLG):
        deep = frame("yuv444p10le", planes, transfer=transfer)
        np.testing.assert_array_equal(to_shown(deep), to_rgb(deep))
