"""The ablation bench of the embedded model runs, at tiny size, and each run lacks what it says."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from tests.bench import ablation_compact as bench
from tests.bench.samples import read_set
from tests.photographs import make_pack
from vidsr.errors import CheckpointError, InputError
from vidsr.models.compact import weights
from vidsr.train.data import SampleMaker
from vidsr.train.held_out import HeldOut
from vidsr.train.loop import make_task
from vidsr.train.pack import load_pack
from vidsr.train.settings import TrainSettings, read_settings

PHOTOGRAPHS = sorted((Path(__file__).parents[1] / "data" / "photographs").glob("*.jpg"))
SHIPPED = bench.CONFIGS / "train" / "xpsr-s-ablation.yaml"
TINY = {
    "steps": 6,
    "batch_size": 2,
    "crop": 96,
    "crop_choices": 1,
    "warmup_steps": 1,
    "network": {"widths": [8, 8, 8], "pairs": [1, 1, 1], "num_sfa": 1, "num_heads": 2, "stem_side": 3},
}


def call(*options: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["ablation_compact", *map(str, options)])
        bench.main()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny configuration, photographs to train and to measure on, and all four runs."""
    root = tmp_path_factory.mktemp("ablation")
    (root / "tiny.yaml").write_text(yaml.safe_dump(yaml.safe_load(SHIPPED.read_text()) | TINY))
    make_pack(root / "pack", *(Image.open(path) for path in PHOTOGRAPHS[:2]))
    (root / "heldout").mkdir()
    for path in PHOTOGRAPHS[2:5]:
        Image.open(path).save(root / "heldout" / f"{path.stem}.png")
    common = ("--output", root / "runs", "--config", root / "tiny.yaml")
    call(*common, "--train", *bench.RUNS, "--data", root / "pack", "--clean", root / "heldout")
    return root


@pytest.fixture
def settings(folder: Path) -> TrainSettings:
    return read_settings(folder / "tiny.yaml")


def state(folder: Path, run: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "runs" / run / "checkpoint.safetensors")


def test_all_runs_see_the_same_samples(folder: Path, settings: TrainSettings) -> None:
    pack = load_pack(folder / "pack", held_out=HeldOut())
    samples = {}
    for run in bench.RUNS:
        own = bench.settings_of(run, settings)
        sets = [read_set(name) for name in own.mix]
        maker = SampleMaker(
            pictures=pack,
            sets=sets,
            shares=list(own.mix.values()),
            captions=own.captions,
            crop=own.crop,
            crop_choices=own.crop_choices,
            seed=own.seed,
        )
        samples[run] = maker.batch(3, range(8))
    for run in bench.RUNS:
        assert torch.equal(samples[run].lr, samples["all"].lr)
        assert torch.equal(samples[run].target, samples["all"].target)
    assert any(samples["all"].low_level)
    assert samples["sfa"].low_level == samples["dfc"].low_level == samples["all"].low_level
    assert not any(samples["prompts"].low_level)


def test_the_run_without_sfa_has_none_and_still_hears_words(folder: Path) -> None:
    whole, without = (
        {name for name in state(folder, run) if name.startswith("network/")} for run in ("all", "sfa")
    )
    assert whole - without == {name for name in whole if "unet.sfa" in name} != set()
    films = [value for name, value in state(folder, "sfa").items() if name.endswith("film.weight")]
    assert all(film.abs().max() > 0 for film in films)


def test_the_constraint_teaches_in_all_runs_but_the_one_without(
    folder: Path, settings: TrainSettings
) -> None:
    heads = make_task(settings, None, perceptual=None, device="cpu").helpers.state_dict()
    moved = {
        run: max(
            float((state(folder, run)[f"heads/{name}"] - head).abs().max()) for name, head in heads.items()
        )
        for run in ("all", "dfc", "prompts")
    }
    # AdamW still lets weights decay, by less than a thousandth of a step.
    assert moved["dfc"] < settings.learning_rate / 100 < settings.learning_rate < moved["all"]
    assert moved["prompts"] > settings.learning_rate


def test_the_run_without_prompts_learns_no_word(folder: Path, settings: TrainSettings) -> None:
    before = make_task(settings, None, perceptual=None, device="cpu").network.state_dict()
    name = "text.words.weight"
    moved = {
        run: float((state(folder, run)[f"network/{name}"] - before[name])[1:].abs().max())
        for run in ("all", "prompts")
    }
    assert moved["prompts"] < settings.learning_rate / 100 < settings.learning_rate < moved["all"]


def test_the_runs_are_read_by_the_product(folder: Path) -> None:
    for run in bench.RUNS:
        model, info = weights.load(folder / "runs" / run / "xpsr-s.safetensors")
        assert (model.estimate.shape.num_sfa, info.training_steps) == (run != "sfa", 6)


def test_only_the_run_without_prompts_is_never_told_any() -> None:
    told = {run: {variant.told for variant in bench.variants(run)} for run in bench.RUNS}
    assert told == {
        "all": {"measured", "nothing", "truth"},
        "sfa": {"measured"},
        "dfc": {"measured"},
        "prompts": {"nothing"},
    }


def test_the_table_pairs_each_run_with_the_complete_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("--output", folder / "runs", "--config", folder / "tiny.yaml", "--clean", folder / "heldout")
    printed = capsys.readouterr().out
    samples = json.loads((folder / "runs" / "ablation.json").read_text())["samples"]
    assert list(samples) == [
        "all parts",
        "all parts without prior",
        "all parts with the true prior",
        *(bench.LABELS[part] for part in bench.ABLATIONS),
    ]
    psnr = {name: [figures["PSNR-Y"] for figures in pictures] for name, pictures in samples.items()}
    assert all(len(values) == 3 for values in psnr.values())
    assert len({tuple(values) for values in psnr.values()}) == len(psnr)
    for label in (bench.LABELS[part] for part in bench.ABLATIONS):
        mean = sum(psnr[label]) / 3 - sum(psnr["all parts"]) / 3
        assert f"| {label} | {mean:.4f} [" in printed.split("Difference to all parts")[1]


def test_a_run_of_another_length_is_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "runs" / "all", tmp_path / "all")
    common = ("--output", tmp_path, "--config", folder / "tiny.yaml")
    shorter = ("--train", "sfa", "--data", folder / "pack", "--steps", 1)
    call(*common, *shorter, "--clean", folder / "heldout", "--every", 3)
    printed = capsys.readouterr().out
    assert "left out: sfa, which has 1 steps where `all` has 6" in printed
    assert bench.LABELS["sfa"] not in printed


def test_runs_of_other_settings_are_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="other settings"):
        call("--output", folder / "runs", "--clean", folder / "heldout")


def test_without_the_complete_run_there_is_no_table(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no run `all`.*--train all"):
        call("--output", tmp_path, "--config", folder / "tiny.yaml", "--clean", folder / "heldout")
