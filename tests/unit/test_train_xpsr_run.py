"""Training runs of XPSR: tiny networks, really trained."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.photographs import make_picture
from tests.tiny_training import TINY, write_base, write_published
from vidsr.errors import CheckpointError, ConfigError, DivergedError, InputError, MachineError, UsageError
from vidsr.models.xpsr import load_controlnet, load_unet
from vidsr.train import checkpoint
from vidsr.train.held_out import HeldOut
from vidsr.train.program import TrainOptions, start
from vidsr.train.settings import read_mapping
from vidsr.train.xpsr.average import Average
from vidsr.train.xpsr.initialise import networks_from_base
from vidsr.train.xpsr.names import Ablation
from vidsr.train.xpsr.pairs import Sample, Samples
from vidsr.train.xpsr.program import XpsrTrainFiles, train_xpsr
from vidsr.train.xpsr.settings import XpsrTrainSettings, build_settings
from vidsr.train.xpsr.trained import ADDED, HEADS

SMALL = dataclasses.replace(TINY, resolution=32, degradation=None)
SETS = Path(__file__).parents[2] / "configs" / "train" / "degradation"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "sd")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("data"), num_pictures=5, side=32)


@pytest.fixture
def files(base: Path, data: Path, tmp_path: Path) -> XpsrTrainFiles:
    return XpsrTrainFiles(data=data, base=base, output=tmp_path / "run", sets=SETS)


def train(
    files: XpsrTrainFiles, settings: XpsrTrainSettings = SMALL, ablation: Ablation | None = None
) -> Path:
    tree = dataclasses.asdict(settings) | {"kind": "xpsr"}
    return train_xpsr(tree, files, config=Path("x.yaml"), held_out=HeldOut(), ablation=ablation)


def into(files: XpsrTrainFiles, name: str) -> XpsrTrainFiles:
    return dataclasses.replace(files, output=files.output.with_name(name))


@pytest.fixture(scope="module")
def finished(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> XpsrTrainFiles:
    """A run that has taken its one step."""
    output = tmp_path_factory.mktemp("finished") / "run"
    files = XpsrTrainFiles(data=data, base=base, output=output, sets=SETS)
    train(files, dataclasses.replace(SMALL, steps=1))
    return files


def log_of(files: XpsrTrainFiles, key: str = "loss") -> list[Any]:
    lines = (files.output / "log.jsonl").read_text().splitlines()
    return [entry[key] for line in lines if key in (entry := json.loads(line))]


def weights_of(folder: Path) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": tensor
        for name in ("unet", "controlnet")
        for key, tensor in load_file(folder / name / "diffusion_pytorch_model.safetensors").items()
    }


def assert_same(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


class Broken(Samples):
    """Data that cannot be read from some step on."""

    def sample(self, step: int, position: int) -> Sample:
        if step == 3:
            msg = "the disk is gone"
            raise InputError(msg)
        return super().sample(step, position)


def test_a_run_that_broke_off_goes_on_to_the_same_weights_to_the_bit(
    files: XpsrTrainFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = into(files, "whole"), into(files, "parts")
    settings = dataclasses.replace(SMALL, validate_every=2)
    wanted = train(whole, settings)
    with monkeypatch.context() as patch:
        patch.setattr("vidsr.train.xpsr.program.Samples", Broken)
        with pytest.raises(InputError, match="the disk is gone"):
            train(parts, settings)
    # What came after the last state is done again, and nothing else is.
    assert len(log_of(parts)) == 3
    found = train(parts, settings)
    assert_same(weights_of(found), weights_of(wanted))
    assert_same(load_file(parts.output / "state.safetensors"), load_file(whole.output / "state.safetensors"))
    assert log_of(parts)[3:] == log_of(whole)[2:]
    assert log_of(parts, "validation") == log_of(whole, "validation")


def test_equal_seeds_give_equal_losses_and_others_do_not(files: XpsrTrainFiles) -> None:
    one, same, other = (into(files, name) for name in ("one", "same", "other"))
    settings = dataclasses.replace(SMALL, steps=2)
    train(one, settings)
    train(same, settings)
    train(other, dataclasses.replace(settings, seed=4))
    assert log_of(one) == log_of(same)
    assert log_of(one) != log_of(other)


def test_what_stable_diffusion_made_of_the_unet_stays(files: XpsrTrainFiles, base: Path) -> None:
    before = networks_from_base(base, seed=SMALL.seed, with_fusion=True)
    start_state = {
        **{f"unet.{name}": tensor for name, tensor in before.unet.state_dict().items()},
        **{f"controlnet.{name}": tensor for name, tensor in before.controlnet.state_dict().items()},
    }
    after = weights_of(train(files))
    assert after.keys() == start_state.keys()
    changed = {name for name in after if not torch.equal(after[name], start_state[name])}
    meant = {name for name in after if name.startswith("controlnet.") or ADDED & set(name.split("."))}
    assert changed <= meant
    # What asks a single token, at the coarsest level of so small a picture, has no say.
    assert len(changed) > 0.9 * len(meant)


def test_what_is_exported_is_a_checkpoint_of_xpsr(finished: XpsrTrainFiles) -> None:
    assert sorted(path.name for path in finished.output.iterdir()) == [
        *("checkpoint-1", "log.jsonl", "state.safetensors")
    ]
    # Each checks every key and shape.
    assert load_unet(finished.output).layout.widths == (16,) * 4
    assert load_controlnet(finished.output).layout.down_fusion


def test_a_step_may_be_taken_in_several_passes(files: XpsrTrainFiles) -> None:
    several, once = into(files, "several"), into(files, "once")
    train(several, dataclasses.replace(SMALL, steps=1))
    train(once, dataclasses.replace(SMALL, steps=1, micro_batch=4))
    for name, value in log_of(once)[0].items():
        assert log_of(several)[0][name] == pytest.approx(value, rel=1e-4)
    norms = [log_of(run, "gradient_norm")[0] for run in (several, once)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_validation_measures_and_shows_pictures(files: XpsrTrainFiles) -> None:
    train(files, dataclasses.replace(SMALL, steps=1, validate_every=1))
    (scores,) = log_of(files, "validation")
    assert {"noise", "constraint", "PSNR", "PSNR shown"} == scores.keys()
    with Image.open(files.output / "validation" / "step-0000001.png") as sheet:
        assert sheet.size == (3 * 32, 32)


def test_without_the_fusion_there_is_no_low_level_branch(files: XpsrTrainFiles) -> None:
    weights = weights_of(train(files, dataclasses.replace(SMALL, steps=1), "sfa"))
    assert not [name for name in weights if "attentions_lowlevel" in name or "attentions_connect" in name]
    assert not load_controlnet(files.output).layout.down_fusion


def test_without_the_constraint_its_heads_are_not_trained(files: XpsrTrainFiles, base: Path) -> None:
    settings = dataclasses.replace(SMALL, steps=2)
    before = networks_from_base(base, seed=SMALL.seed, with_fusion=True).controlnet.state_dict()
    after = load_controlnet(train(files, settings, "dfc")).state_dict()
    for name in (name for name in before if HEADS & set(name.split("."))):
        assert torch.equal(before[name], after[name]), name
    assert [loss["constraint"] for loss in log_of(files)] == [0, 0]
    assert all(loss["total"] == loss["noise"] for loss in log_of(files))


def test_without_captions_their_words_change_nothing(
    files: XpsrTrainFiles, finished: XpsrTrainFiles, tmp_path: Path
) -> None:
    settings = dataclasses.replace(SMALL, steps=1)
    reworded = write_published(tmp_path / "reworded", num_pictures=5, side=32)
    for path in reworded.rglob("*.txt"):
        path.write_text("something else")
    plain, silent, silent_too = (into(files, name) for name in ("plain", "silent", "silent-too"))
    train(dataclasses.replace(plain, data=reworded), settings)
    train(silent, settings, "prompts")
    train(dataclasses.replace(silent_too, data=reworded), settings, "prompts")
    assert log_of(plain) != log_of(finished)
    assert log_of(silent) == log_of(silent_too)


def test_a_run_may_begin_at_a_checkpoint(files: XpsrTrainFiles, finished: XpsrTrainFiles) -> None:
    begun = weights_of(finished.output / "checkpoint-1")
    slow = dataclasses.replace(SMALL, steps=1, learning_rate=1e-9)
    further = train(dataclasses.replace(files, start_from=finished.output), slow)
    for name, tensor in weights_of(further).items():
        torch.testing.assert_close(tensor, begun[name], rtol=0, atol=1e-7)


def test_a_state_of_another_run_is_refused(finished: XpsrTrainFiles) -> None:
    settings = dataclasses.replace(SMALL, steps=1)
    with pytest.raises(CheckpointError, match="comes from a run with other settings"):
        train(finished, dataclasses.replace(settings, constraint_weight=0.1))
    with pytest.raises(CheckpointError, match="comes from a run with other settings"):
        train(finished, settings, "dfc")


def test_a_finished_run_has_nothing_to_do(finished: XpsrTrainFiles) -> None:
    # Settings of memory alone may be others.
    other = dataclasses.replace(SMALL, steps=1, micro_batch=4, gradient_checkpointing=True)
    assert train(finished, other) == finished.output / "checkpoint-1"
    assert len(log_of(finished)) == 1


def test_a_step_that_would_ruin_the_weights_is_not_taken(files: XpsrTrainFiles) -> None:
    with pytest.raises(DivergedError, match="step 1: the gradient is not finite"):
        train(files, dataclasses.replace(SMALL, learning_rate=1e36, steps=2))
    assert not list(files.output.rglob("*.safetensors"))


def test_of_a_checkpoint_no_part_can_be_left_out(files: XpsrTrainFiles, finished: XpsrTrainFiles) -> None:
    with pytest.raises(UsageError, match="leave --start-from out"):
        train(dataclasses.replace(files, start_from=finished.output), SMALL, "sfa")


def test_data_of_the_other_kind_is_refused(files: XpsrTrainFiles, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pairs that are degraded already"):
        train(files, TINY)
    (tmp_path / "photographs").mkdir()
    make_picture(0, 96, 96).save(tmp_path / "photographs" / "a.png")
    with pytest.raises(ConfigError, match="has no dataset_N"):
        train(dataclasses.replace(files, data=tmp_path / "photographs"))
    with pytest.raises(InputError, match="no such folder"):
        train(dataclasses.replace(files, data=tmp_path / "nowhere"))


def test_without_accelerate_the_error_says_how_to_get_it(
    files: XpsrTrainFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vidsr.train.xpsr.run", raising=False)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.setitem(sys.modules, "accelerate.accelerator", None)
    with pytest.raises(MachineError, match=r"pip install 'vidsr\[train\]'"):
        train(files)


def test_the_shipped_config_has_the_published_numbers() -> None:
    path = SETS.parent / "xpsr.yaml"
    settings = build_settings(read_mapping(path), path=path)
    assert (settings.learning_rate, settings.weight_decay, settings.constraint_weight) == (5e-5, 0.01, 0.05)
    assert (settings.resolution, settings.passes(num_processes=8), settings.steps) == (512, 2, 300_000)
    assert settings.odds.show_original == 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": "float64"}, "precision: wanted .*'float32', 'bfloat16'.*, got 'float64'"),
        ({"gradient_checkpointing": 1}, "gradient_checkpointing: wanted bool, got 1"),
        ({"colour": 1}, "unknown key colour; known are seed"),
    ],
)
def test_what_a_yaml_may_not_say_is_refused(change: dict[str, Any], words: str) -> None:
    path = SETS.parent / "xpsr.yaml"
    with pytest.raises(ConfigError, match=words):
        build_settings(read_mapping(path) | change, path=path)


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("xpsr", {"lpips": Path("x")}, "--lpips: .* trains XPSR"),
        ("xpsr", {"ranks": 2}, "--ranks: .* trains XPSR"),
        ("xpsr", {}, "wanted --base"),
        (None, {"ablate": "sfa"}, "--ablate: .* trains the embedded model"),
        ("esrgan", {}, "kind: wanted xpsr"),
    ],
)
def test_options_for_another_model_are_refused(
    tmp_path: Path, kind: str | None, changes: dict[str, Any], words: str
) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("steps: 1" if kind is None else f"kind: {kind}")
    held_out = SETS.parents[1] / "evaluate" / "heldout.yaml"
    options = TrainOptions(
        config=config, data=tmp_path, output=tmp_path / "out", held_out=held_out, **changes
    )
    with pytest.raises(UsageError, match=words):
        start(options)


def test_the_average_follows_slowly_and_gives_the_networks_back() -> None:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    average = Average({"weight": layer.weight}, decay=0.75)
    layer.weight.data.fill_(1.0)
    average.follow(1000)
    with average.in_place():
        assert layer.weight.item() == pytest.approx(0.25)
    assert (layer.weight.item(), average.tensors["weight"].item()) == pytest.approx((1.0, 0.25))
    average.follow(1)  # the short memory of the beginning: decay 2/11
    assert average.tensors["weight"].item() == pytest.approx(1 - 0.75 * 2 / 11)


def test_the_optimiser_comes_back_to_where_its_weights_are() -> None:
    weight = nn.Parameter(torch.zeros(2, device="meta"))
    optimizer = torch.optim.AdamW([weight])
    saved = {"step/weight": torch.tensor(3.0), "exp_avg/weight": torch.ones(2)}
    checkpoint.restore_optimizer(optimizer, {"weight": weight}, saved)
    state = optimizer.state[weight]
    assert state["exp_avg"].device == weight.device
    # AdamW counts on the CPU.
    assert float(state["step"]) == 3
