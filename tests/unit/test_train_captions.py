"""What samples of the training are told, and what they are to become."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.degradation_words import Degradation, describe
from vidsr.models.compact.estimate import enlarge
from vidsr.train.captions import told, without_captions
from vidsr.train.degradation import Degraded
from vidsr.train.draw import Draw
from vidsr.train.settings import CaptionPolicy

PLAIN = CaptionPolicy(
    empty_probability=0.0, drop_probability=0.0, keep_probability=0.0, misjudge_probability=0.0
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


def test_the_caption_tells_the_truth_where_nothing_is_held_back() -> None:
    clean, degraded = _degraded()
    target, low_level = told(clean, degraded, PLAIN, Draw(1))
    assert low_level == describe(degraded.truth)
    assert torch.equal(target, clean)


@pytest.mark.parametrize("name", ["noise", "blur", "compression blocks"])
def test_what_the_caption_denies_stays_in_the_target(name: str) -> None:
    clean, degraded = _degraded()
    clean[:, 32:] = 0.8
    policy = replace(PLAIN, keep_probability=1.0)
    drawn = (told(clean, degraded, policy, Draw(seed)) for seed in range(50))
    target = next(target for target, low_level in drawn if f"no {name}" in low_level)
    kept = target - clean
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
        target, low_level = told(clean, unknown, replace(PLAIN, keep_probability=1.0), Draw(seed))
        assert torch.equal(target, clean)
        assert low_level == "no noise, no blur"


def test_a_misjudged_degree_leaves_the_target_clean() -> None:
    clean, degraded = _degraded()
    policy = replace(PLAIN, misjudge_probability=1.0)
    samples = [told(clean, degraded, policy, Draw(seed)) for seed in range(40)]
    captions = " ".join(low_level for _, low_level in samples)
    assert "strong noise" in captions
    assert "moderate noise" in captions
    assert all(torch.equal(target, clean) for target, _ in samples)


def test_a_clean_picture_has_nothing_to_deny() -> None:
    clean = torch.full((3, 32, 32), 0.5)
    lr = torch.full((3, 8, 8), 0.5)
    truth = Degradation(noise_sigma=0.0, blur_sigma=0.0, jpeg_quality=100.0)
    degraded = Degraded(lr=lr, without_noise=lr, without_compression=lr, truth=truth)
    target, low_level = told(clean, degraded, replace(PLAIN, keep_probability=1.0), Draw(1))
    assert torch.equal(target, clean)
    assert low_level == "no noise, no blur, no compression blocks"


def test_a_caption_may_be_empty_and_then_everything_is_restored() -> None:
    clean, degraded = _degraded()
    target, low_level = told(clean, degraded, replace(PLAIN, empty_probability=1.0), Draw(1))
    assert low_level == ""
    assert torch.equal(target, clean)


def test_dropped_phrases_leave_the_target_clean() -> None:
    clean, degraded = _degraded()
    policy = replace(PLAIN, drop_probability=0.5)
    samples = [told(clean, degraded, policy, Draw(seed)) for seed in range(20)]
    assert len({low_level for _, low_level in samples}) > 3
    assert all(torch.equal(target, clean) for target, _ in samples)


@pytest.mark.parametrize(("share", "words"), [(0.3, True), (1.0, False)])
def test_validation_tells_the_truth_to_those_who_know_words(share: float, words: bool) -> None:
    policy = CaptionPolicy(
        empty_probability=share, drop_probability=0.9, keep_probability=0.9, misjudge_probability=0.9
    )
    clean, degraded = _degraded()
    target, low_level = told(clean, degraded, without_captions(policy), Draw(1))
    assert low_level == (describe(degraded.truth) if words else "")
    assert torch.equal(target, clean)
