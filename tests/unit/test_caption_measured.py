"""What is measured on photographs agrees with what was done to them."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidsr.caption.measured import MeasuredCaptioner, luma_of, measure
from vidsr.caption.noise import estimate_noise
from vidsr.degradation_words import BLUR_EDGES, COMPRESSION_EDGES, LEVELS, NOISE_EDGES, Degradation, level
from vidsr.types import Shot

PHOTOGRAPHS = Path(__file__).resolve().parents[1] / "data" / "photographs"
SHOT = Shot(index=0, start=0, stop=1)
NOISE_LEVELS = (0.0, 2.0, 4.0, 7.0, 11.0, 16.0)
BLUR_LEVELS = (0.0, 0.4, 0.7, 1.0, 1.5, 2.2)
QUALITY_LEVELS = (100, 95, 85, 70, 50, 30, 15)

Pixels = NDArray[np.uint8]


def _photographs() -> list[Pixels]:
    files = sorted(PHOTOGRAPHS.glob("*.jpg"))
    assert len(files) == 8
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def _degrade(
    pixels: Pixels, *, blur: float = 0, noise: float = 0, quality: int = 100, seed: int = 0
) -> tuple[Pixels, float]:
    """Blur, add noise, compress; return the picture and the noise that is left in its luma."""
    image = pixels.astype(np.float32)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    grain = noise * np.random.default_rng(seed).standard_normal((*pixels.shape[:2], 1))
    pair = [np.clip(np.round(image + share * grain), 0, 255).astype(np.uint8) for share in (0, 1)]
    if quality < 100:
        pair = [_jpeg(picture, quality) for picture in pair]
    left = (pair[1].astype(np.float64) - pair[0]) @ (0.299, 0.587, 0.114)
    return pair[1], float(left.std())


def _chw(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _measure(pixels: Pixels) -> Degradation:
    return measure([luma_of(_chw(pixels))])


def _caption(*pictures: Pixels) -> str:
    return MeasuredCaptioner().caption(SHOT, [_chw(picture) for picture in pictures]).low_level


def _rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's, ties sharing their mean rank."""

    def ranks(values: Sequence[float]) -> NDArray[np.float64]:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def _same_word_share(
    first: Sequence[float], second: Sequence[float], edges: tuple[float, float, float]
) -> float:
    pairs = zip(first, second, strict=True)
    return float(np.mean([level(one, edges) == level(other, edges) for one, other in pairs]))


def _mild(seed: int, *, but: str) -> dict[str, float]:
    """Draw the other degradations, present but mild."""
    rng = np.random.default_rng(seed)
    drawn = {
        "blur": float(rng.choice((0, 0.4, 0.8))),
        "noise": float(rng.choice((0, 1, 2, 4))),
        "quality": int(rng.choice((100, 95, 85, 75))),
    }
    del drawn[but]
    return drawn


def test_noise_is_ranked_and_worded_as_it_was_added() -> None:
    truth, found = [], []
    for number, photograph in enumerate(_photographs()):
        for step, noise in enumerate(NOISE_LEVELS):
            mild = _mild(100 * number + step, but="noise")
            picture, left = _degrade(photograph, noise=noise, seed=number, **mild)
            truth.append(left)
            found.append(_measure(picture).noise_sigma)
    assert _rank_correlation(truth, found) >= 0.8
    assert _same_word_share(truth, found, NOISE_EDGES) >= 0.6


def test_blur_is_ranked_and_worded_as_it_was_made() -> None:
    truth, found = [], []
    for number, photograph in enumerate(_photographs()):
        for step, blur in enumerate(BLUR_LEVELS):
            mild = _mild(100 * number + step, but="blur")
            picture, _ = _degrade(photograph, blur=blur, seed=number, **mild)
            truth.append(blur)
            found.append(_measure(picture).blur_sigma)
    assert _rank_correlation(truth, found) >= 0.8
    assert _same_word_share(truth, found, BLUR_EDGES) >= 0.6


def test_blocks_are_ranked_and_worded_as_they_were_made() -> None:
    truth, found = [], []
    for number, photograph in enumerate(_photographs()):
        for step, quality in enumerate(QUALITY_LEVELS):
            mild = _mild(100 * number + step, but="quality")
            picture, _ = _degrade(photograph, quality=quality, seed=number, **mild)
            truth.append(100.0 - quality)
            found.append(100.0 - _measure(picture).jpeg_quality)
    assert _rank_correlation(truth, found) >= 0.8
    assert _same_word_share(truth, found, COMPRESSION_EDGES) >= 0.6


@pytest.mark.parametrize("slope", [0.0, 0.7])
def test_noise_on_a_smooth_gradient_is_neither_texture_nor_missed(slope: float) -> None:
    rows, columns = np.mgrid[0:144, 0:160]
    grain = np.random.default_rng(2).normal(0, 5, rows.shape)
    luma = (60 + slope * columns + 0.3 * slope * rows + grain).astype(np.float32)
    assert estimate_noise([luma]) == pytest.approx(5, rel=0.25)


@pytest.mark.parametrize("offset", [(1, 0), (3, 5), (4, 4)])
def test_blocks_are_found_wherever_their_grid_starts(offset: tuple[int, int]) -> None:
    picture = _jpeg(_photographs()[0], 30)
    cropped = picture[offset[0] :, offset[1] :]
    assert _measure(cropped).jpeg_quality == pytest.approx(_measure(picture).jpeg_quality, abs=6)


def test_letterbox_bars_change_nothing() -> None:
    picture, _ = _degrade(_photographs()[1], noise=6, blur=0.8, quality=80)
    boxed = np.pad(picture, ((37, 37), (12, 12), (0, 0)), constant_values=2)
    assert _measure(boxed) == _measure(picture)


def test_the_sentence_has_the_words_of_the_vocabulary() -> None:
    picture, _ = _degrade(_photographs()[1], noise=14, blur=1.5, quality=100)
    words = _caption(picture).split(", ")
    assert words[0] == "strong noise"
    assert words[1].endswith(" blur")
    assert words[2] == "no compression blocks"
    assert words[1].split()[0] in LEVELS


def test_blur_is_not_claimed_of_a_picture_without_noise_unless_it_is_light() -> None:
    clean, noisy = (_degrade(_photographs()[1], blur=1.5, noise=noise)[0] for noise in (0, 6))
    assert _measure(clean).blur_sigma >= BLUR_EDGES[1]
    assert _caption(clean).split(", ")[:2] == ["no noise", "no compression blocks"]
    assert "moderate blur" in _caption(noisy)
    assert "blur" in _caption(_photographs()[1])


def test_several_pictures_outvote_one() -> None:
    clean, noisy = _photographs()[1], _degrade(_photographs()[1], noise=20)[0]
    assert _caption(clean, noisy, clean).split(", ")[0] == _caption(clean).split(", ")[0]


@pytest.mark.parametrize("value", [0, 16, 128, 255])
def test_of_a_picture_without_content_no_blur_is_claimed(value: int) -> None:
    text = _caption(np.full((64, 96, 3), value, dtype=np.uint8))
    assert "blur" not in text
    assert "ringing" not in text


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (15, 15), (33, 20)])
def test_a_tiny_picture_is_described_as_far_as_it_can_be(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert MeasuredCaptioner().caption(SHOT, [_chw(pixels)]).captioner == "measured/2"


def test_no_picture_is_an_error() -> None:
    with pytest.raises(ValueError, match="shot 0: no picture"):
        MeasuredCaptioner().caption(SHOT, [])


def test_further_artefacts_are_not_named_on_ordinary_photographs() -> None:
    captions = [_caption(photograph) for photograph in _photographs()]
    assert not any("ringing" in text or "banding" in text or "exposed" in text for text in captions)


def test_oversharpening_is_called_ringing() -> None:
    named = 0
    for photograph in _photographs():
        image = photograph.astype(np.float32)
        sharpened = image + 2 * (image - cv2.GaussianBlur(image, (0, 0), 1.5))
        named += "ringing" in _caption(np.clip(sharpened, 0, 255).astype(np.uint8))
    assert named >= 3


def test_coarse_steps_in_a_smooth_sky_are_called_banding_and_blocks_are_not() -> None:
    rows, columns = np.mgrid[0:160, 0:240]
    smooth = 60 + 0.2 * columns + 0.1 * rows
    fine, coarse = np.round(smooth), np.round(smooth / 4) * 4
    # Blocks of one level each, of which several neighbours have the same one: longer runs, all on the grid.
    blocky = np.kron(coarse[4::8, 4::8], np.ones((8, 8)))
    assert "banding" in _caption(np.repeat(coarse[..., None], 3, axis=2).astype(np.uint8))
    for plain in (fine, blocky):
        assert "banding" not in _caption(np.repeat(plain[..., None], 3, axis=2).astype(np.uint8))


def test_exposure_is_named_where_it_is_plainly_wrong() -> None:
    photograph = _photographs()[6].astype(np.float32)
    dark, bright = photograph * 0.15, np.clip(photograph * 2.5 + 60, 0, 255)
    assert "underexposed" in _caption(dark.astype(np.uint8))
    assert "overexposed" in _caption(bright.astype(np.uint8))


@pytest.mark.parametrize(
    ("gains", "name"), [((0.5, 0.75, 1.0), "blue"), ((1.0, 0.9, 0.45), "yellow"), ((0.6, 1.0, 0.6), "green")]
)
def test_a_colour_cast_is_named_by_its_colour(gains: tuple[float, float, float], name: str) -> None:
    gray = cv2.cvtColor(_photographs()[7], cv2.COLOR_RGB2GRAY).astype(np.float32)
    tinted = np.clip(gray[..., None] * np.array(gains), 0, 255).astype(np.uint8)
    assert f"{name} cast" in _caption(tinted)
    assert "cast" not in _caption(np.repeat(gray[..., None], 3, axis=2).astype(np.uint8))
