"""Samples and batches of the training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tests.photographs import make_picture
from vidsr.errors import InputError
from vidsr.models.compact.estimate import enlarge
from vidsr.train.data import SampleMaker
from vidsr.train.draw import Draw
from vidsr.train.motion import margin_of, move, warp
from vidsr.train.pack import Photograph, Tile
from vidsr.train.settings import CaptionPolicy, DiffusionPolicy, MotionPolicy, read_degradation

CONFIGS = Path(__file__).parents[2] / "configs"
PLAIN = CaptionPolicy(
    empty_probability=0.0, drop_probability=0.0, keep_probability=0.0, misjudge_probability=0.0
)


def _photograph(pixels: NDArray[np.uint8]) -> Photograph:
    return Photograph(torch.from_numpy(pixels).permute(2, 0, 1), [])


def _maker(captions: CaptionPolicy = PLAIN, seed: int = 1) -> SampleMaker:
    pictures = [_photograph(np.array(make_picture(number))) for number in range(2)]
    return SampleMaker(
        pictures=pictures,
        sets=[read_degradation(CONFIGS / "train" / "degradation" / "light.yaml")],
        shares=[1.0],
        captions=captions,
        crop=64,
        crop_choices=1,
        seed=seed,
    )


def test_tags_are_told_half_of_the_time_and_to_the_denoiser_alone() -> None:
    picture = _photograph(np.array(make_picture(1, 144, 160)))._replace(tiles=[Tile(0, 0, 144, ["a dog"])])
    maker = replace(_maker(), pictures=[picture])
    assert {maker.sample(0, position).high_level for position in range(10)} == {""}
    settings = replace(DIFFUSION, negative_probability=0.0)
    told = [replace(maker, diffusion=settings).sample(0, position).high_level for position in range(40)]
    assert set(told) == {"", "a dog"}
    assert 10 <= told.count("a dog") <= 30


def test_a_picture_smaller_than_a_crop_is_refused() -> None:
    with pytest.raises(InputError, match="picture 1 of the pack is 64x60: smaller than crop, 64"):
        replace(_maker(), pictures=[Photograph(torch.zeros(3, side, 64), []) for side in (64, 60)])


def test_a_sample_depends_on_seed_step_and_position_alone() -> None:
    first = _maker().sample(5, 3)
    again = _maker().batch(5, range(2, 4))
    assert torch.equal(first.lr, again.lr[1])
    assert torch.equal(first.target, again.target[1])
    assert first.low_level == again.low_level[1]
    for other in (_maker().sample(6, 3), _maker().sample(5, 4), _maker(seed=2).sample(5, 3)):
        assert not torch.equal(first.lr, other.lr)


def test_crops_start_at_multiples_of_four_and_come_in_all_orientations() -> None:
    height, width = 80, 112
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.stack([rows, columns, 0 * rows]).to(torch.uint8)
    maker = replace(
        _maker(),
        pictures=[Photograph(picture, [])],
        sets=[read_degradation(CONFIGS / "train/degradation/bicubic.yaml")],
    )
    orientations = set()
    for position in range(40):
        target = torch.round(maker.sample(0, position).target * 255)
        assert int(target[0].min()) % 4 == int(target[1].min()) % 4 == 0
        orientations.add(
            tuple(int(corner) for plane in target[:2] for corner in (plane.argmin(), plane.argmax()))
        )
        assert target.shape == (3, 64, 64)
    assert len(orientations) == 8


def test_of_several_crops_the_one_with_detail_is_taken() -> None:
    picture = torch.full((3, 80, 240), 128, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(1)
    picture[:, :, 160:] = torch.randint(0, 256, (3, 80, 80), generator=generator, dtype=torch.uint8)

    def detail(choices: int) -> float:
        maker = replace(
            _maker(),
            pictures=[Photograph(picture, [])],
            crop_choices=choices,
            sets=[read_degradation(CONFIGS / "train/degradation/bicubic.yaml")],
        )
        return float(np.mean([float(maker.sample(0, number).target.std()) for number in range(40)]))

    assert detail(8) > 1.3 * detail(1)


MOTION = MotionPolicy(max_shift=3.0, max_turn=3.0, max_zoom=0.05, flow_error=0.0)
DIFFUSION = DiffusionPolicy(
    timestep_shares=(0.25, 0.25, 0.25, 0.25),
    previous_probability=0.5,
    warm_probability=0.5,
    negative_probability=0.3,
    residual_weight=0.1,
    temporal_weight=0.1,
    adversarial_weight=0.0,
    motion=MOTION,
    best_steps=2,
    best_strength=0.5,
)


def test_the_earlier_frame_moved_along_the_flow_is_the_later_one() -> None:
    size, margin = 64, margin_of(MOTION)
    for seed in range(5):
        draw = Draw(seed)
        soft = F.interpolate(draw.normal(1, 3, 9, 9), size=size + 2 * margin, mode="bicubic")[0]
        square = (0.5 + 0.15 * soft).clamp(0, 1)
        pair = move(square, size, MOTION, draw)
        inside = pair.inside.bool().expand(3, -1, -1)
        error = (warp(pair.previous[None], pair.flow[None])[0] - pair.clean).abs()[inside]
        unmoved = (pair.previous - pair.clean).abs()[inside]
        assert 20 * float(error.mean()) < 0.02 < float(unmoved.mean())
        assert 0.5 < float(pair.inside.mean()) < 1


def test_the_flow_that_is_given_errs_by_as_much_as_is_asked() -> None:
    square = torch.rand(3, 64 + 2 * margin_of(MOTION), 64 + 2 * margin_of(MOTION))
    errors = [
        move(square, 64, replace(MOTION, flow_error=0.5), Draw(seed)).flow
        - move(square, 64, MOTION, Draw(seed)).flow
        for seed in range(20)
    ]
    assert float(torch.stack(errors).std()) == pytest.approx(4 * 0.5, rel=0.3)


def test_a_batch_for_diffusion_says_which_samples_have_a_frame_before() -> None:
    wide = [_photograph(np.array(make_picture(1, 144, 160)))]
    maker = replace(_maker(), pictures=wide, diffusion=DIFFUSION)
    samples = [maker.sample(0, position) for position in range(16)]
    batch = maker.batch(0, range(16))
    rows = [row for row, sample in enumerate(samples) if sample.previous is not None]
    assert batch.previous is not None
    assert 3 <= len(rows) <= 13
    assert batch.previous.rows.tolist() == rows
    assert batch.previous.lr.shape == (len(rows), 3, 16, 16)
    assert batch.previous.flow.shape == (len(rows), 2, 64, 64)
    negative = [sample for sample in samples if sample.high_level]
    assert negative
    for sample in negative:
        assert sample.previous is None
        torch.testing.assert_close(sample.target, enlarge(sample.lr[None])[0])
