"""The network of xpsr-s: transform, text, attention and the estimate."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from vidsr.models.compact import sfa, text
from vidsr.models.compact.estimate import EstimateNet, FreeHeads, enlarge
from vidsr.models.compact.sfa import SemanticFusionAttention, from_windows, to_windows
from vidsr.models.compact.transform import BlockTransform, dct_matrix
from vidsr.models.compact.unet import Priors, UNetShape

TINY = UNetShape(widths=(8, 12, 16), pairs=(1, 1, 1), num_sfa=1, num_heads=4)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _trained(shape: UNetShape = TINY) -> EstimateNet:
    """A network whose zero-initialised layers are not zero, as after training."""
    generator = torch.Generator().manual_seed(5)
    network = EstimateNet(shape).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def _read(network: EstimateNet, *low: str) -> Priors:
    return network.read(text.tokenize([""] * len(low)), text.tokenize(low))


def test_the_dct_is_orthonormal() -> None:
    torch.testing.assert_close(dct_matrix() @ dct_matrix().T, torch.eye(8, dtype=torch.float64))


@given(rows=st.integers(1, 3), columns=st.integers(1, 3), seed=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_the_transform_is_undone_by_its_inverse(rows: int, columns: int, seed: int) -> None:
    transform, image = BlockTransform(), _random(2, 3, 8 * rows, 8 * columns, seed=seed)
    assert transform(image).shape == (2, 192, rows, columns)
    torch.testing.assert_close(transform.inverse(transform(image)), image, atol=1e-5, rtol=0)


def test_the_transform_keeps_the_energy_of_luma() -> None:
    gray = _random(1, 1, 16, 16).expand(1, 3, 16, 16)
    coefficients = BlockTransform()(gray)
    assert float((coefficients**2).sum()) == pytest.approx(float((gray[:, 0] ** 2).sum()), rel=1e-5)


def test_a_constant_picture_has_only_the_lowest_coefficient_of_each_colour() -> None:
    coefficients = BlockTransform()(torch.tensor([0.2, 0.5, 0.7])[None, :, None, None].expand(1, 3, 8, 8))
    is_lowest = torch.zeros(192, dtype=torch.bool)
    is_lowest[[0, 64, 128]] = True
    assert coefficients[:, ~is_lowest].abs().max() < 1e-6
    assert float(coefficients[0, 0, 0, 0]) == pytest.approx(
        8 * (0.299 * 0.2 + 0.587 * 0.5 + 0.114 * 0.7), rel=1e-5
    )


def test_enlarging_is_that_of_pil() -> None:
    plane = _random(11, 17).numpy()
    # A second opinion: Pillow's own bicubic filter on 32-bit floats.
    wanted = np.asarray(Image.fromarray(plane).resize((68, 44), Image.Resampling.BICUBIC))
    got = enlarge(torch.from_numpy(plane).expand(1, 3, 11, 17))[0, 1].numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_words_are_hashed_the_same_on_every_machine() -> None:
    assert text.word_ids("Strong noise, light blur!") == [499, 449, 3848, 3558]


def test_a_text_without_words_is_a_token_of_its_own() -> None:
    ids, mask = text.tokenize(["", "noise"])
    assert ids[0, 0] == text.EMPTY != ids[1, 0]
    assert mask.sum(1).tolist() == [1, 1]


def test_a_long_text_is_cut() -> None:
    _, mask = text.tokenize(["word " * 100])
    assert int(mask.sum()) == text.MAX_WORDS


def test_padding_does_not_reach_the_words() -> None:
    encoder = text.TextEncoder()
    ids, mask = text.tokenize(["strong noise"])
    with torch.no_grad():
        before = encoder(ids, mask)
        ids[0, 2:] = 7
        after = encoder(ids, mask)
    torch.testing.assert_close(before[:, :2], after[:, :2])


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_windows_are_put_back_where_they_were(height: int, width: int) -> None:
    tokens = torch.arange(2.0 * height * width * 3).reshape(2, height * width, 3)
    windows = to_windows(tokens, height, width)
    assert windows.shape[1:] == (sfa.WINDOW**2, 3)
    torch.testing.assert_close(from_windows(windows, height, width), tokens)


def test_a_window_holds_neighbours() -> None:
    rows = torch.arange(32.0)[:, None].expand(32, 32).reshape(1, -1, 1)
    windows = to_windows(rows, 32, 32)
    assert windows.amax((1, 2)).tolist() == [15.0, 15.0, 31.0, 31.0]
    assert windows.amin((1, 2)).tolist() == [0.0, 0.0, 16.0, 16.0]


@pytest.mark.parametrize("changed", [0, 2], ids=["high", "low"])
def test_both_priors_reach_the_features(changed: int) -> None:
    block = SemanticFusionAttention(16, text_dim=8, num_heads=4).eval()
    with torch.no_grad():
        for branch in (block.high, block.low, block.fuse):
            branch.out.weight.copy_(_random(16, 16, seed=3))
        priors = [_random(1, 4, 8, seed=1), torch.ones(1, 4, dtype=torch.bool)] * 2
        before = block(_random(1, 16, 5, 6), *priors)
        priors[changed] = _random(1, 4, 8, seed=2)
        after = block(_random(1, 16, 5, 6), *priors)
    assert before.shape == (1, 16, 5, 6)
    assert not torch.allclose(before, after, atol=1e-4)


def test_fusion_on_a_large_picture_stays_inside_its_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sfa, "WINDOW_ABOVE", 100)
    block = SemanticFusionAttention(16, text_dim=8, num_heads=4).eval()
    for branch in (block.high, block.low, block.fuse):
        branch.out.weight.data.copy_(_random(16, 16, seed=3))
    features, prior, mask = _random(1, 16, 32, 16), _random(1, 4, 8), torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        before = block(features, prior, mask, prior, mask)
        features[:, 0, 20] += 3
        after = block(features, prior, mask, prior, mask)
    torch.testing.assert_close(before[:, :, :16], after[:, :, :16], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before[:, :, 16:20], after[:, :, 16:20], atol=1e-4)


def test_an_untrained_estimate_is_the_bicubic_enlargement() -> None:
    network, lr = EstimateNet(TINY).eval(), _random(1, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(lr, _read(network, "")).image, enlarge(lr))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (13, 9), (8, 31), (1, 1)])
def test_any_size_is_enlarged_four_times(height: int, width: int) -> None:
    network = _trained()
    with torch.no_grad():
        estimate = network(_random(1, 3, height, width), _read(network, "light noise"))
    assert estimate.image.shape == (1, 3, 4 * height, 4 * width)
    rows, columns = math.ceil(height / 8), math.ceil(width / 8)
    assert [level.shape[2:] for level in estimate.features] == [
        (4 * rows, 4 * columns),
        (2 * rows, 2 * columns),
        (rows, columns),
    ]


def test_a_picture_does_not_depend_on_those_beside_it() -> None:
    network, lr = _trained(), _random(3, 3, 16, 16)
    with torch.no_grad():
        together = network(lr, _read(network, "strong noise", "", "light blur")).image
        alone = network(lr[2:], _read(network, "light blur")).image
    # Kernels may sum in another order for another batch size; anything beyond rounding is a leak.
    torch.testing.assert_close(together[2:], alone, atol=1e-5, rtol=1e-5)


def test_the_low_level_prior_changes_the_picture() -> None:
    network, lr = _trained(), _random(1, 3, 16, 16)
    with torch.no_grad():
        one, other = (network(lr, _read(network, words)).image for words in ("strong noise", "no noise"))
    assert float((one - other).abs().max()) > 1e-4


def test_the_shipped_shape_leaves_room_for_the_denoiser() -> None:
    assert sum(parameter.numel() for parameter in EstimateNet(UNetShape()).parameters()) < 6.5e6


def test_the_constraint_vanishes_only_where_features_show_the_clean_picture() -> None:
    heads, transform = FreeHeads(TINY), BlockTransform()
    clean = torch.zeros(1, 3, 64, 64)
    features = tuple(
        torch.zeros(1, width, 8 // 2**level, 8 // 2**level) for level, width in enumerate(TINY.widths)
    )
    with torch.no_grad():
        for layer in heads.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.bias.zero_()
        assert float(heads(features, clean, transform)) == 0
        assert float(heads(features, clean + 0.5, transform)) > 0.1


def test_a_picture_alone_is_what_it_is_in_a_batch() -> None:
    """One picture takes FiLM folded into the weights, several take it as it is written."""
    network, lr = _trained(), _random(3, 3, 16, 24)
    texts = ("strong noise", "no blur", "")
    with torch.no_grad():
        together = network(lr, _read(network, *texts)).image
        for row, words in enumerate(texts):
            alone = network(lr[row : row + 1], _read(network, words)).image
            torch.testing.assert_close(alone[0], together[row], atol=1e-4, rtol=1e-4)
