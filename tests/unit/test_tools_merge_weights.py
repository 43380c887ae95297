"""tools/merge_weights.py: one file out of two."""

import sys
from pathlib import Path

import pytest
import torch

from vidsr.models.compact import weights
from vidsr.models.compact.denoiser import DenoiserNet
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import UNetShape
from vidsr.models.compact.weights import CompactModel, WeightsInfo

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import merge_weights  # tools is a folder of programs, not a package

SMALL = UNetShape(widths=(8, 8, 8), pairs=(1, 1, 1), num_sfa=1, num_heads=2)
LARGER = UNetShape(widths=(16, 8, 8), pairs=(2, 1, 1), num_sfa=1, num_heads=2)


def _merge(monkeypatch: pytest.MonkeyPatch, *arguments: Path) -> None:
    options = ["--note", "of two runs", "--training-steps", "7", "--steps", "2", "--strength", "0.4"]
    monkeypatch.setattr(sys, "argv", ["merge_weights.py", *map(str, arguments), *options])
    merge_weights.main()


def test_each_network_comes_from_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estimate, denoiser = EstimateNet(LARGER), DenoiserNet(SMALL)
    for parameter in (*estimate.parameters(), *denoiser.parameters()):
        torch.nn.init.normal_(parameter)
    weights.save(tmp_path / "e", CompactModel(estimate, None), WeightsInfo(training_steps=4, note="e"))
    info = WeightsInfo(training_steps=3, note="d", steps=4, strength=1.0)
    weights.save(tmp_path / "d", CompactModel(EstimateNet(SMALL), denoiser), info)
    _merge(monkeypatch, tmp_path / "e", tmp_path / "d", tmp_path / "both")
    model, info = weights.load(tmp_path / "both")
    assert info == WeightsInfo(training_steps=7, note="of two runs", steps=2, strength=0.4)
    assert model.denoiser is not None
    for got, wanted in ((model.estimate, estimate), (model.denoiser, denoiser)):
        for mine, theirs in zip(got.parameters(), wanted.parameters(), strict=True):
            assert torch.equal(mine, theirs.half().float())


def test_an_estimate_has_no_denoiser_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = WeightsInfo(training_steps=4, note="e")
    weights.save(tmp_path / "e", CompactModel(EstimateNet(SMALL), None), info)
    with pytest.raises(SystemExit):
        _merge(monkeypatch, tmp_path / "e", tmp_path / "e", tmp_path / "both")
    assert "holds an estimate alone" in capsys.readouterr().err
    assert not (tmp_path / "both").exists()
