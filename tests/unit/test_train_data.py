"""Packs, samples and captions of the training."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tests.photographs import make_pack, make_picture
from vidsr.degradation_words import Degradation, describe
from vidsr.errors import ConfigError, InputError
from vidsr.models.compact.estimate import enlarge
from vidsr.train.data import (
    Photograph,
    SampleMaker,
    Tile,
    caption_and_target,
    load_pack,
    without_captions,
)
from vidsr.train.degradation import Degraded
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut, difference_hash, read_held_out
from vidsr.train.motion import margin_of, move, warp
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


def _degraded() -> tuple[Tensor, Degraded]:
    """A flat clean picture, and its noisy, compressed, blurred reduction."""
    clean = torch.full((3, 64, 64), 0.5)
    noise = 0.05 * torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1))
    blocks = 0.02 * torch.ones(3, 16, 16)
    quiet = torch.full((3, 16, 16), 0.5)
    return clean, Degraded(
        lr=quiet + noise + blocks,
        without_noise=quiet + blocks,
        without_compression=quiet + noise,
        truth=Degradation(noise_sigma=12.0, blur_sigma=0.7, jpeg_quality=50.0),
    )


def test_a_pack_gives_its_pictures(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", make_picture(1), make_picture(2))
    pictures = load_pack(pack, held_out=HeldOut())
    assert [picture.pixels.shape for picture in pictures] == [(3, 80, 112)] * 2
    np.testing.assert_array_equal(pictures[1].pixels.permute(1, 2, 0).numpy(), np.array(make_picture(2)))


def test_a_crop_has_the_tags_of_the_tile_it_lies_in() -> None:
    tiles = [Tile(0, 0, 64, ["dog"]), Tile(0, 64, 64, ["snow", "tree"]), Tile(0, 128, 64, [])]
    picture = Photograph(torch.zeros(3, 64, 192), tiles)
    assert picture.tags_at(32, 20) == ["dog"]
    assert picture.tags_at(32, 110) == ["snow", "tree"]
    assert picture.tags_at(0, 192) == []


def test_tags_are_told_half_of_the_time_and_to_the_denoiser_alone() -> None:
    picture = _photograph(np.array(make_picture(1, 144, 160)))._replace(tiles=[Tile(0, 0, 144, ["a dog"])])
    maker = replace(_maker(), pictures=[picture])
    assert {maker.sample(0, position).high_level for position in range(10)} == {""}
    settings = replace(DIFFUSION, negative_probability=0.0)
    told = [replace(maker, diffusion=settings).sample(0, position).high_level for position in range(40)]
    assert set(told) == {"", "a dog"}
    assert 10 <= told.count("a dog") <= 30


def test_tags_are_read_with_the_pack_and_rubbish_is_refused(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", make_picture(1))
    name = json.loads((pack / "manifest.json").read_text())["pictures"][0]["file"]
    tile = {"top": 0, "left": 0, "size": 64, "tags": ["dog"]}
    (pack / "tags.json").write_text(json.dumps({name: [tile]}))
    assert load_pack(pack, held_out=HeldOut())[0].tiles == [Tile(0, 0, 64, ["dog"])]
    (pack / "tags.json").write_text("[1]")
    with pytest.raises(InputError, match=r"tags\.json: not the tags of a pack"):
        load_pack(pack, held_out=HeldOut())


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.json; make the pack with"):
        load_pack(tmp_path, held_out=HeldOut())


def test_a_picture_that_was_exchanged_is_refused(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "pack", make_picture(1))
    make_picture(2).save(pack / "0.png")
    with pytest.raises(InputError, match=r"0\.png: not the picture that manifest\.json names"):
        load_pack(pack, held_out=HeldOut())


@pytest.mark.parametrize("change", ["none", "thumbnail", "mirror"])
def test_a_held_out_photograph_is_refused_whatever_was_done_to_it(tmp_path: Path, change: str) -> None:
    picture = make_picture(1, 160, 224)
    held_out = HeldOut(difference_hashes=(difference_hash(picture),), near_duplicate_bits=32)
    if change == "thumbnail":
        picture = picture.resize((112, 80), Image.Resampling.LANCZOS)
    elif change == "mirror":
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    with pytest.raises(ConfigError, match="held out for evaluation"):
        load_pack(make_pack(tmp_path / "pack", picture), held_out=held_out)


def test_an_unrelated_photograph_is_not_held_out() -> None:
    held_out = HeldOut(difference_hashes=(difference_hash(make_picture(1)),), near_duplicate_bits=32)
    assert not any(held_out.holds(make_picture(seed)) for seed in range(2, 12))


def test_a_held_out_crop_is_known_by_its_pixels() -> None:
    crop = make_picture(5)
    held_out = HeldOut(pixels_sha256=frozenset({hashlib.sha256(crop.tobytes()).hexdigest()}))
    assert held_out.holds(crop)
    assert not held_out.holds(make_picture(6))


def test_the_shipped_list_of_held_out_pictures_can_be_read() -> None:
    held_out = read_held_out(CONFIGS / "evaluate" / "heldout.yaml")
    assert len(held_out.difference_hashes) >= 12
    assert len(held_out.pixels_sha256) >= 60
    assert 0 < held_out.near_duplicate_bits < 64


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("sources: 3\n")
    with pytest.raises(ConfigError, match="not a list of held-out pictures"):
        read_held_out(path)


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


def test_the_caption_tells_the_truth_where_nothing_is_held_back() -> None:
    clean, degraded = _degraded()
    sample = caption_and_target(clean, degraded, PLAIN, Draw(1))
    assert sample.low_level == describe(degraded.truth)
    assert torch.equal(sample.target, clean)


@pytest.mark.parametrize("name", ["noise", "blur", "compression blocks"])
def test_what_the_caption_denies_stays_in_the_target(name: str) -> None:
    clean, degraded = _degraded()
    clean[:, 32:] = 0.8
    policy = replace(PLAIN, keep_probability=1.0)
    drawn = (caption_and_target(clean, degraded, policy, Draw(seed)) for seed in range(50))
    sample = next(sample for sample in drawn if f"no {name}" in sample.low_level)
    kept = sample.target - clean
    if name == "noise":
        wanted = enlarge((degraded.lr - degraded.without_noise)[None])[0]
    elif name == "compression blocks":
        wanted = torch.full_like(clean, 0.02)
    else:
        wanted = F.avg_pool2d(clean, 11, stride=1, padding=5, count_include_pad=False) - clean
        # Blurring by 2.8 pixels acts on the edge and nowhere else.
        assert float(kept[:, :16].abs().max()) < 1e-5
        assert float((kept * wanted)[:, 26:38].mean()) > 1e-3
        return
    torch.testing.assert_close(kept, wanted, atol=1e-5, rtol=0)


def test_what_is_not_known_cannot_be_denied() -> None:
    clean, degraded = _degraded()
    unknown = replace(degraded, truth=Degradation(noise_sigma=0.0, blur_sigma=0.0, jpeg_quality=None))
    for seed in range(20):
        sample = caption_and_target(clean, unknown, replace(PLAIN, keep_probability=1.0), Draw(seed))
        assert torch.equal(sample.target, clean)
        assert sample.low_level == "no noise, no blur"


def test_a_misjudged_degree_leaves_the_target_clean() -> None:
    clean, degraded = _degraded()
    policy = replace(PLAIN, misjudge_probability=1.0)
    samples = [caption_and_target(clean, degraded, policy, Draw(seed)) for seed in range(40)]
    captions = [sample.low_level for sample in samples]
    assert "strong noise" in " ".join(captions)
    assert "moderate noise" in " ".join(captions)
    assert all(torch.equal(sample.target, clean) for sample in samples)


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


def test_a_clean_picture_has_nothing_to_deny() -> None:
    clean = torch.full((3, 32, 32), 0.5)
    lr = torch.full((3, 8, 8), 0.5)
    truth = Degradation(noise_sigma=0.0, blur_sigma=0.0, jpeg_quality=100.0)
    degraded = Degraded(lr=lr, without_noise=lr, without_compression=lr, truth=truth)
    sample = caption_and_target(clean, degraded, replace(PLAIN, keep_probability=1.0), Draw(1))
    assert torch.equal(sample.target, clean)
    assert sample.low_level == "no noise, no blur, no compression blocks"


def test_a_caption_may_be_empty_and_then_everything_is_restored() -> None:
    clean, degraded = _degraded()
    sample = caption_and_target(clean, degraded, replace(PLAIN, empty_probability=1.0), Draw(1))
    assert sample.low_level == ""
    assert torch.equal(sample.target, clean)


def test_dropped_phrases_leave_the_target_clean() -> None:
    clean, degraded = _degraded()
    policy = replace(PLAIN, drop_probability=0.5)
    samples = [caption_and_target(clean, degraded, policy, Draw(seed)) for seed in range(20)]
    assert len({sample.low_level for sample in samples}) > 3
    assert all(torch.equal(sample.target, clean) for sample in samples)


@pytest.mark.parametrize(("share", "words"), [(0.3, True), (1.0, False)])
def test_validation_tells_the_truth_to_those_who_know_words(share: float, words: bool) -> None:
    policy = CaptionPolicy(
        empty_probability=share, drop_probability=0.9, keep_probability=0.9, misjudge_probability=0.9
    )
    clean, degraded = _degraded()
    sample = caption_and_target(clean, degraded, without_captions(policy), Draw(1))
    assert sample.low_level == (describe(degraded.truth) if words else "")
    assert torch.equal(sample.target, clean)
