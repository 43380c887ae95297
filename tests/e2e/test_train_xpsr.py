"""XPSR trained on the command line, added to the installed models, and used."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

import vidsr
from tests.e2e.test_bad_input import run_vidsr
from tests.tiny_training import TINY, write_base, write_published
from vidsr.models import install

ROOT = Path(__file__).resolve().parents[2]
# Below 64 a downsampling sees a single latent, whose gradient in bfloat16 is wrong on CPUs: docs/training.md.
SMALL = dataclasses.replace(TINY, resolution=64, degradation=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base and pairs."""
    write_base(tmp_path / "sd")
    write_published(tmp_path / "pairs", num_pictures=5, side=64)
    return tmp_path


def arguments(folder: Path, output: str, **changes: Any) -> list[object]:
    tree = json.loads(json.dumps(dataclasses.asdict(dataclasses.replace(SMALL, **changes))))
    config = folder / f"{output}.yaml"
    config.write_text(yaml.safe_dump(tree | {"kind": "xpsr"}))
    held_out = ROOT / "configs" / "evaluate" / "heldout.yaml"
    return [
        *("--config", config, "--data", folder / "pairs", "--base", folder / "sd"),
        *("--output", folder / output, "--held-out", held_out),
    ]


def test_weights_that_were_trained_are_added_and_restore_a_video(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = arguments(folder, "run", steps=2, precision="bfloat16", gradient_checkpointing=True)
    done = run_vidsr("train", *options, "--tensorboard", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "run" / "checkpoint-2")
    assert len(list((folder / "run" / "tensorboard").glob("events.out.tfevents.*"))) == 1
    monkeypatch.setenv("VIDSR_MODELS", str(folder / "models"))
    install.add("xpsr", folder / "run", base=str(folder / "sd"))
    clip = folder / "in.mkv"
    with av.open(clip, "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv444p"
        frame = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode())
    settings = {
        "restore.restorer": "xpsr",
        "restore.xpsr.process_size": 64,
        "restore.steps": 2,
        "restore.dtype": "float32",
        "encode.codec": "ffv1",
    }
    vidsr.enhance(clip, folder / "out.mkv", overrides=settings)
    with av.open(folder / "out.mkv") as file:
        assert [(frame.width, frame.height) for frame in file.decode(video=0)] == [(64, 64)]


@pytest.mark.slow
def test_a_run_that_was_killed_ends_with_the_same_weights(folder: Path) -> None:
    whole = run_vidsr("train", *arguments(folder, "whole", steps=8), cwd=folder)
    assert whole.returncode == 0, whole.stderr
    options = arguments(folder, "killed", steps=8)
    command = [sys.executable, "-m", "vidsr", "train", *map(str, options)]
    environment = os.environ | {"PYTHONPATH": str(ROOT) + os.pathsep + os.environ.get("PYTHONPATH", "")}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    state = folder / "killed" / "state.safetensors"
    while not state.is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    again = run_vidsr("train", *options, cwd=folder)
    assert again.returncode == 0, again.stderr
    found, wanted = (load_file(folder / run / "state.safetensors") for run in ("killed", "whole"))
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


@pytest.mark.slow
def test_two_processes_share_a_batch_and_end_where_one_ends(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT) + os.pathsep + os.environ.get("PYTHONPATH", "")}
    # What `accelerate launch` does for GPUs; for CPUs it wants MPI.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    for number, name in ((1, "alone"), (2, "shared")):
        options = ["--tensorboard", *map(str, arguments(folder, name, steps=2))]
        done = subprocess.run(
            [*launch, str(number), "-m", "vidsr.train", *options],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert len(list((folder / name / "tensorboard").iterdir())) == 1
    alone, shared = (
        [json.loads(line) for line in (folder / name / "log.jsonl").read_text().splitlines()]
        for name in ("alone", "shared")
    )
    assert len(alone) == len(shared) == 2
    for one, other in zip(alone, shared, strict=True):
        # The sums of a pass are added in another order.
        assert other["loss"]["total"] == pytest.approx(one["loss"]["total"], rel=1e-4)
        assert other["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-3)
