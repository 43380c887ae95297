"""The comparison with others: one command, at small size, with nothing that has to be fetched."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from tests.bench import comparison
from tests.bench.results import of_sample
from tests.bench.samples import Pixels
from tests.bench.store import Made, Result
from tests.photographs import make_picture
from vidsr.models.compact import weights

PHOTOGRAPHS = Path(__file__).parents[1] / "data" / "photographs"
SIDE = 128
FRAMES = 4
ROWS = (
    "bicubic",
    "ffmpeg bicubic",
    "ffmpeg lanczos",
    "xpsr-s estimate",
    "xpsr-s default",
    "xpsr-s 1 step at strength 1",
    "xpsr-s 2 steps at strength 1",
    "xpsr-s 4 steps at strength 1",
    "realesr-animevideov3-x4",
    "realesrgan-x4plus",
    "span-x4",
)
CLIP_ROWS = (*(row for row in ROWS if "1 step " not in row and "4 steps" not in row), "basicvsr-x4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two crops of photographs and a clip under the name of a held-out one, compared once."""
    folder = tmp_path_factory.mktemp("comparison")
    (folder / "heldout").mkdir()
    for name in ("casa-mila", "seeding"):
        photograph = Image.open(PHOTOGRAPHS / f"{name}.jpg").convert("RGB")
        photograph.crop((64, 64, 64 + SIDE, 64 + SIDE)).save(folder / "heldout" / f"{name}.png")
    _write_clip(folder / "clips" / "city.mpg")
    _compare(folder)
    return folder


def _write_clip(path: Path) -> None:
    """Write a picture that moves by two pixels a frame."""
    path.parent.mkdir()
    wide = np.array(make_picture(3, height=96, width=128 + 2 * FRAMES))
    with av.open(path, "w") as file:
        stream = file.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 96, "yuv420p", 10_000_000
        for index in range(FRAMES):
            pixels = np.ascontiguousarray(wide[:, 2 * index : 2 * index + 128])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())


def _compare(folder: Path, *more: str) -> None:
    where = ["--heldout", str(folder / "heldout"), "--clips", str(folder / "clips")]
    what = ["--degradations", "bicubic", "--frames", str(FRAMES), "--part-frames", "2"]
    comparison.main([*where, *what, "--output", str(folder / "out"), *more])


def _report(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "out" / "comparison.json").read_text())
    return report


def _luma(pixels: Pixels) -> NDArray[np.float64]:
    return 16 + pixels.astype(np.float64) @ [65.481, 128.553, 24.966] / 255


def _psnr_of_pil(clean: Pixels) -> float:
    """Return the PSNR of PIL's bicubic enlargement of the plainly reduced picture, written out."""
    image = torch.from_numpy(clean).permute(2, 0, 1)[None].float() / 255
    small = F.interpolate(image, scale_factor=0.25, mode="bicubic", antialias=True)[0].clamp(0, 1)
    pixels = (255 * small).round().byte().permute(1, 2, 0).numpy()
    large = Image.fromarray(pixels).resize(clean.shape[1::-1], Image.Resampling.BICUBIC)
    return float(10 * np.log10(255**2 / np.mean((_luma(np.array(large)) - _luma(clean)) ** 2)))


def test_every_method_has_a_row_whether_it_is_there_or_not(folder: Path) -> None:
    pictures, *_, clips, _ = _report(folder)["tables"]
    assert tuple(pictures["methods"]) == ROWS
    assert tuple(clips["methods"]) == CLIP_ROWS
    printed = (folder / "out" / "comparison.md").read_text()
    assert all(f"| {name} | " in printed for name in (*ROWS, "basicvsr-x4"))
    assert pictures["methods"]["span-x4"]["PSNR-Y"] == {"not_computed": "not in --peers"}
    assert pictures["methods"]["bicubic"]["LPIPS-Alex"] == {"not_computed": "no weights"}
    assert "realesrgan-x4plus | not computed (not in --peers)" in printed


def test_figures_are_those_of_the_pictures(folder: Path) -> None:
    wanted = [_psnr_of_pil(np.array(Image.open(path))) for path in sorted((folder / "heldout").glob("*.png"))]
    pictures = _report(folder)["samples"][0]
    assert pictures["names"] == ["casa-mila", "seeding"]
    found = [figures["PSNR-Y"] for figures in pictures["figures"]["bicubic"]]
    assert found == pytest.approx(wanted, abs=1e-9)
    rows = csv.DictReader((folder / "out" / "comparison.csv").read_text().splitlines())
    row = next(
        row
        for row in rows
        if (row["samples"], row["method"], row["metric"]) == ("pictures", "bicubic", "PSNR-Y")
    )
    assert float(row["mean"]) == pytest.approx(np.mean(wanted), abs=1e-9)


def test_differences_are_between_the_same_samples(folder: Path) -> None:
    report = _report(folder)
    figures = report["samples"][0]["figures"]
    names = ("xpsr-s estimate", "bicubic")
    one, two = ([row["PSNR-Y"] for row in figures[name]] for name in names)
    beside = next(table for table in report["tables"] if table["beside"] == "bicubic")
    assert beside["methods"]["xpsr-s estimate"]["PSNR-Y"]["mean"] == pytest.approx(
        np.mean(np.subtract(one, two)), abs=1e-9
    )
    aim = next(
        aim
        for aim in report["aims"]
        if aim["what"] == "bicubic, pictures: xpsr-s default against bicubic: PSNR-Y"
    )
    assert aim["is_met"] == (aim["found"] >= -0.3)


def test_a_clip_is_measured_along_its_own_motion(folder: Path) -> None:
    figures = _report(folder)["samples"][1]["figures"]
    for name in CLIP_ROWS[:6]:
        (row,) = figures[name]
        clean = row["E_warp x1000 of reference"]
        assert row["E_warp / clean's"] == pytest.approx(row["E_warp x1000"] / clean)
        assert row["E_warp x1000 across borders"] > 0
    assert figures["bicubic"][0]["steps"] == figures["xpsr-s estimate"][0]["steps"] == 0
    # Two parts of two frames, the second with two frames before it: two frames begin with two steps.
    assert figures["xpsr-s 2 steps at strength 1"][0]["steps"] == pytest.approx((2 + 1 + 2 + 1 + 1 + 1) / 6)


def test_the_step_into_a_part_is_the_one_across_its_border() -> None:
    made = Made(digest="", steps=1.5, seconds=None, gflop=None, peak_mebibytes=None)
    steps: dict[str, list[float | None]] = {
        "PSNR-Y": [20.0, 21.0, 22.0, 23.0, 24.0],
        "E_warp x1000": [1.0, 2.0, None, 5.0],
        "E_warp x1000 of reference": [1.0, 1.0, None, 2.0],
    }
    figures = of_sample(Result(made=made, figures=steps), borders=[2, 4])
    assert figures["PSNR-Y"] == 22.0
    assert figures["E_warp x1000"] == pytest.approx(8 / 3)
    assert figures["E_warp x1000 across borders"] == pytest.approx((2.0 + 5.0) / 2)
    assert figures["E_warp / clean's"] == pytest.approx(2.0)
    assert figures["steps"] == 1.5


def test_costs_are_of_the_method_alone(folder: Path) -> None:
    made = _report(folder)["samples"][0]["made"]
    counted, timed = made["xpsr-s estimate"]
    assert counted["gflop"] > 0.5
    assert counted["peak_mebibytes"] is None or 0 < counted["peak_mebibytes"] < 100
    assert counted["seconds"] is None
    assert timed["seconds"] > 0
    assert made["bicubic"][0]["gflop"] == 0


def test_another_run_makes_what_is_new(folder: Path) -> None:
    kept = folder / "out" / "bicubic" / "pictures" / "cache.json"
    before = json.loads(kept.read_text())
    _compare(folder)
    # Times are among it: had anything been made again, they would differ.
    assert json.loads(kept.read_text()) == before
    model, info = weights.load(weights.SHIPPED)
    weights.save(folder / "other.safetensors", model, replace(info, note="the same by another name"))
    report = _report(folder)
    _compare(folder, "--weights", str(folder / "other.safetensors"), "--methods", "bicubic,xpsr-s estimate")
    after = json.loads(kept.read_text())
    assert before["made"].items() < after["made"].items()
    assert len(after["made"]) == len(before["made"]) + 2
    assert after["figures"] == before["figures"]
    assert _report(folder)["samples"][0]["figures"]["bicubic"] == report["samples"][0]["figures"]["bicubic"]
