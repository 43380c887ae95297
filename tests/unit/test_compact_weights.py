"""The weights file of xpsr-s."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vidsr.errors import CheckpointError, MissingWeightsError
from vidsr.models.compact import weights
from vidsr.models.compact.denoiser import DenoiserNet
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import UNetShape
from vidsr.models.compact.weights import CompactModel, WeightsInfo

TINY = UNetShape(widths=(8, 12, 16), pairs=(1, 2, 1), num_sfa=1, num_heads=4)


INFO = WeightsInfo(training_steps=12, note="seed 3", steps=2, strength=0.5)


def _model() -> CompactModel:
    return CompactModel(EstimateNet(TINY), DenoiserNet(TINY))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    weights.save(path, _model(), INFO)
    return path


def _rewrite(path: Path, *, drop: str = "", add: str = "", **changes: object) -> None:
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        description = json.loads(file.metadata()[weights.KEY])
    tensors.pop(drop, None)
    if add:
        tensors[add] = torch.zeros(1)
    save_file(tensors, path, metadata={weights.KEY: json.dumps(description | changes)})


def test_a_file_says_all_that_is_needed_to_build_the_network(saved: Path) -> None:
    model, info = weights.load(saved)
    assert info == weights.read_info(saved) == INFO
    assert model.estimate.shape == TINY
    assert model.denoiser is not None
    assert model.denoiser.shape == TINY
    assert not model.training


def test_an_estimate_alone_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    weights.save(path, CompactModel(EstimateNet(TINY), None), WeightsInfo(training_steps=1, note=""))
    model, info = weights.load(path)
    assert model.denoiser is None
    assert (info.steps, info.strength) == (0, 0)


def test_weights_come_back_to_half_precision(tmp_path: Path) -> None:
    model, path = _model(), tmp_path / "tiny.safetensors"
    weights.save(path, model, INFO)
    loaded, _ = weights.load(path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float()), name


def test_the_digest_changes_with_any_weight(saved: Path) -> None:
    before = weights.digest(saved)
    model, _ = weights.load(saved)
    with torch.no_grad():
        model.estimate.head.bias[0] += 1  # type: ignore[index]  # it has a bias
    weights.save(saved, model, INFO)
    assert weights.digest(saved) != before


def test_equal_weights_have_one_digest(saved: Path, tmp_path: Path) -> None:
    model, info = weights.load(saved)
    digests = set()
    for number in range(5):
        weights.save(tmp_path / f"{number}.safetensors", model, info)
        digests.add(weights.digest(tmp_path / f"{number}.safetensors"))
    assert digests == {weights.digest(saved)}


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"none\.safetensors: the weights of xpsr-s are missing"):
        weights.load(tmp_path / "none.safetensors")


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("no weights at all")
    with pytest.raises(CheckpointError, match="not weights of xpsr-s/2"):
        weights.load(path)


def test_a_lacking_tensor_is_refused(saved: Path) -> None:
    _rewrite(saved, drop="estimate.head.bias")
    with pytest.raises(CheckpointError, match=r"1 tensors differ, first \['estimate.head.bias'\]"):
        weights.load(saved)


def test_a_surplus_tensor_is_refused(saved: Path) -> None:
    _rewrite(saved, add="extra")
    with pytest.raises(CheckpointError, match=r"first \['extra'\]"):
        weights.load(saved)


def test_a_tensor_of_another_size_is_refused(saved: Path) -> None:
    _rewrite(saved, estimate={"widths": [16, 12, 16], "pairs": [1, 2, 1], "num_sfa": 1, "num_heads": 4})
    with pytest.raises(CheckpointError, match="does not fit"):
        weights.load(saved)


def test_another_format_is_refused(saved: Path) -> None:
    _rewrite(saved, format="xpsr-s/9")
    with pytest.raises(CheckpointError, match="xpsr-s/9"):
        weights.load(saved)


def test_the_model_card_and_the_tables_are_of_the_weights_in_the_package() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    digest = weights.digest(weights.SHIPPED)
    assert digest in (docs / "xpsr-s.md").read_text(encoding="utf-8")
    for page in ("benchmarks.md", "contact_sheet.md"):
        assert digest[:12] in (docs / page).read_text(encoding="utf-8")
