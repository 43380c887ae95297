"""`vidsr evaluate`: one table in three forms."""

import csv
import io
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "data" / "photographs" / "seeding.jpg"


class Brightness(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.mean()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    with Image.open(PHOTOGRAPH) as image:
        clean = image.convert("RGB")
    for method, picture in (("reference", clean), ("soft", clean.resize((52, 52)).resize(clean.size))):
        (tmp_path / "pairs" / method).mkdir(parents=True)
        picture.save(tmp_path / "pairs" / method / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Brightness()).save(tmp_path / "network.pt")
    (tmp_path / "networks.yaml").write_text("MUSIQ: {file: network.pt, range: [0, 1], source: tiny v1}\n")
    return tmp_path / "pairs"


def _evaluate(pairs: Path, table: str) -> str:
    options = ["--networks", str(pairs.parent / "networks.yaml"), "--format", table]
    command = [sys.executable, "-m", "vidsr", "evaluate", str(pairs), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_three_forms_have_the_same_figures_and_say_what_computed_them(pairs: Path) -> None:
    tree = json.loads(_evaluate(pairs, "json"))
    figures = tree["methods"]["soft"]
    assert 10 < figures["PSNR-Y"]["mean"] < 40
    assert 0 < figures["VMAF"]["mean"] < 95
    assert 0 < figures["MUSIQ"]["mean"] < 1
    assert figures["FID"] == {"not_computed": "not installed"}
    assert tree["computed_by"]["MUSIQ"].startswith("tiny v1; network.pt ")
    lines = {line["metric"]: line for line in csv.DictReader(io.StringIO(_evaluate(pairs, "csv")))}
    markdown = _evaluate(pairs, "markdown")
    for name, figure in figures.items():
        assert lines[name]["computed_by"] == tree["computed_by"][name]
        assert f"| {name} | {tree['computed_by'][name]} |" in markdown
        if "mean" in figure:
            assert float(lines[name]["mean"]) == figure["mean"]
            assert f"| {figure['mean']:.4f} [" in markdown
        else:
            assert lines[name]["mean"] == f"not computed ({figure['not_computed']})"
