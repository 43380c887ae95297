"""What runs say of themselves, in log.jsonl and on a board: tiny networks, really trained."""

import contextlib
import dataclasses
import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.photographs import make_pack, make_picture
from tests.tiny_training import TINY, write_base, write_published
from tests.unit.test_train_loop import TINY as TINY_EMBEDDED
from vidsr.errors import MachineError
from vidsr.train.held_out import HeldOut
from vidsr.train.loop import TrainFiles
from vidsr.train.loop import train as train_embedded
from vidsr.train.program import TrainOptions, start
from vidsr.train.run_log import RunLog
from vidsr.train.settings import read_degradation
from vidsr.train.xpsr.program import XpsrTrainFiles, train_xpsr

SETS = Path(__file__).parents[2] / "configs" / "train" / "degradation"
EMBEDDED = dataclasses.replace(
    TINY_EMBEDDED,
    # The log has the losses of each twentieth.
    steps=20,
    batch_size=1,
    mix={"bicubic": 1.0},
    # While the rate rises it does not follow the length of the run.
    warmup_steps=50,
    checkpoint_every=100,
    validate_every=10,
)
XPSR = dataclasses.replace(
    TINY, resolution=32, degradation=None, steps=2, batch_size=2, validate_every=1, checkpoint_every=1
)

Point = tuple[str, int, np.float32]
"""Name, step and figure."""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pack(tmp_path_factory.mktemp("embedded") / "pack", make_picture(1, 96, 96))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "sd")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("pairs"), num_pictures=2, side=32)


@pytest.fixture
def embedded(pack: Path, tmp_path: Path) -> TrainFiles:
    return TrainFiles(pack=pack, output=tmp_path / "run", board=tmp_path / "run" / "tensorboard")


@pytest.fixture
def xpsr(base: Path, pairs: Path, tmp_path: Path) -> XpsrTrainFiles:
    run = tmp_path / "run"
    return XpsrTrainFiles(data=pairs, base=base, output=run, sets=SETS, board=run / "tensorboard")


def run_embedded(files: TrainFiles, **changes: Any) -> Path:
    settings = dataclasses.replace(EMBEDDED, **changes)
    sets = [read_degradation(SETS / f"{name}.yaml") for name in settings.mix]
    return train_embedded(settings, files, sets=sets, held_out=HeldOut())


def run_xpsr(files: XpsrTrainFiles, **changes: Any) -> Path:
    settings = dataclasses.replace(XPSR, **changes)
    tree = dataclasses.asdict(settings) | {"kind": "xpsr"}
    return train_xpsr(tree, files, config=Path("x.yaml"), held_out=HeldOut())


def logged(output: Path) -> Iterator[Point]:
    """Yield what stands in log.jsonl; a board has single precision."""
    for line in (output / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        step = entry.pop("step")
        for name, value in entry.items():
            parts = value if isinstance(value, dict) else {"": value}
            for part, figure in parts.items():
                yield f"{name}/{part}".removesuffix("/"), step, np.float32(figure)


def read_board(folder: Path) -> EventAccumulator:
    # Zero keeps all; by default it keeps four pictures.
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()


def shown(folder: Path) -> Iterator[Point]:
    board = read_board(folder)
    for name in board.Tags()["scalars"]:
        for event in board.Scalars(name):
            yield name, event.step, np.float32(event.value)


def test_the_board_of_the_embedded_model_has_the_figures_of_its_log(pack: Path, tmp_path: Path) -> None:
    shutil.copytree(SETS, tmp_path / "degradation")
    config, output = tmp_path / "embedded.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump(json.loads(json.dumps(dataclasses.asdict(EMBEDDED)))))
    held_out = SETS.parents[1] / "evaluate" / "heldout.yaml"
    start(TrainOptions(config=config, data=pack, output=output, held_out=held_out, tensorboard=True))
    points = sorted(logged(output))
    assert {(name, step) for name, step, _ in points} == {
        *(
            (name, 20)
            for name in ("loss/charbonnier", "loss/constraint", "loss/negative_psnr", "crops_per_second")
        ),
        *((f"validation/{name}", step) for name in ("estimate", "bicubic") for step in (10, 20)),
    }
    assert sorted(shown(output / "tensorboard")) == points


def test_the_board_of_xpsr_has_the_figures_of_its_log_and_its_pictures(xpsr: XpsrTrainFiles) -> None:
    run_xpsr(xpsr)
    points = sorted(logged(xpsr.output))
    assert {(name, step) for name, step, _ in points} == {
        (name, step)
        for name in (
            *("loss/total", "loss/noise", "loss/constraint", "gradient_norm", "pictures_per_second"),
            *("validation/noise", "validation/constraint", "validation/PSNR", "validation/PSNR shown"),
        )
        for step in (1, 2)
    }
    board = xpsr.output / "tensorboard"
    assert sorted(shown(board)) == points
    images = read_board(board).Images("validation")
    assert [image.step for image in images] == [1, 2]
    for image in images:
        with (
            Image.open(xpsr.output / "validation" / f"step-{image.step:07d}.png") as sheet,
            Image.open(io.BytesIO(image.encoded_image_string)) as picture,
        ):
            assert np.array_equal(np.asarray(picture), np.asarray(sheet))


def test_steps_that_the_embedded_model_takes_again_stand_on_its_board_once(embedded: TrainFiles) -> None:
    run_embedded(embedded, steps=1, validate_every=1)
    saved = (embedded.output / "checkpoint.safetensors").read_bytes()
    run_embedded(embedded, steps=3, validate_every=1)
    # As if killed before it saved.
    (embedded.output / "checkpoint.safetensors").write_bytes(saved)
    run_embedded(embedded, steps=2, validate_every=1)
    assert [step for name, step, _ in logged(embedded.output) if name == "validation/bicubic"] == [1, 2, 3, 2]
    board = read_board(embedded.output / "tensorboard")
    assert [event.step for event in board.Scalars("validation/bicubic")] == [1, 2]


def test_steps_that_xpsr_takes_again_stand_on_its_board_once(xpsr: XpsrTrainFiles) -> None:
    run_xpsr(xpsr, steps=1)
    saved = (xpsr.output / "state.safetensors").read_bytes()
    run_xpsr(xpsr, steps=3)
    (xpsr.output / "state.safetensors").write_bytes(saved)
    run_xpsr(xpsr, steps=2)
    board = read_board(xpsr.output / "tensorboard")
    for name in ("loss/total", "validation/PSNR"):
        assert [step for found, step, _ in logged(xpsr.output) if found == name] == [1, 2, 3, 2]
        assert [event.step for event in board.Scalars(name)] == [1, 2]
    assert [image.step for image in board.Images("validation")] == [1, 2]


def test_a_finished_run_adds_no_event_file(embedded: TrainFiles) -> None:
    run_embedded(embedded, steps=1, validate_every=1)
    before = list((embedded.output / "tensorboard").iterdir())
    run_embedded(embedded, steps=1, validate_every=1)
    assert list((embedded.output / "tensorboard").iterdir()) == before


def test_a_board_changes_no_weights_of_the_embedded_model(embedded: TrainFiles, tmp_path: Path) -> None:
    plain = dataclasses.replace(embedded, output=tmp_path / "plain", board=None)
    one, other = (
        load_file(run_embedded(files, steps=2, validate_every=1).with_name("checkpoint.safetensors"))
        for files in (embedded, plain)
    )
    assert sorted(path.name for path in plain.output.iterdir()) == [
        *("checkpoint.safetensors", "log.jsonl", "xpsr-s.safetensors")
    ]
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_board_changes_no_weights_of_xpsr(xpsr: XpsrTrainFiles, tmp_path: Path) -> None:
    plain = dataclasses.replace(xpsr, output=tmp_path / "plain", board=None)
    one, other = (
        load_file(run_xpsr(files, validate_every=100).with_name("state.safetensors"))
        for files in (xpsr, plain)
    )
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_an_entry_is_on_the_board_before_the_run_goes_on(tmp_path: Path) -> None:
    with contextlib.closing(RunLog(tmp_path, after=0, board=tmp_path / "board")) as run_log:
        for step in (1, 2, 3):
            run_log.write({"loss": {"total": step / 4}, "gradient_norm": 0.5}, step=step)
            # As a run that is killed here leaves it.
            assert sorted(shown(tmp_path / "board")) == sorted(logged(tmp_path))


def test_without_tensorboard_the_option_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard.writer", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    options = TrainOptions(
        config=tmp_path / "none.yaml", data=tmp_path, output=tmp_path / "run", tensorboard=True
    )
    with pytest.raises(MachineError, match=r"pip install 'vidsr\[tensorboard\]'"):
        start(options)
