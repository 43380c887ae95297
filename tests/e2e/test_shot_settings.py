"""What the priors file asks for single shots, from the file to the frames and the report."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

import vidsr
from tests import tiny_xpsr
from tests.e2e.test_bad_input import run_vidsr
from vidsr import build, config, events
from vidsr.errors import ConfigError
from vidsr.job.job import Job, Report
from vidsr.job.run import run
from vidsr.restore.xpsr.networks import Networks
from vidsr.restore.xpsr.restorer import XpsrRestorer
from vidsr.restore.xpsr.settings import XpsrSettings

SHOTS = ((0, 7), (7, 15))
SETTINGS: dict[str, object] = {
    "plan.part_frames": 4,
    "encode.codec": "ffv1",
    "restore.device": "cpu",
    "restore.dtype": "float32",
}
XPSR: dict[str, object] = SETTINGS | {
    "restore.restorer": "xpsr",
    "restore.steps": 2,
    "restore.strength": 0.5,
    "restore.xpsr.process_size": 64,
}
Asked = dict[int, dict[str, float | str]]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two shots of moving textures of 32x24: seven bright frames and eight dark ones."""
    path = tmp_path / "in.mkv"
    rng = np.random.default_rng(0)
    with av.open(path, "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv444p"
        for (start, stop), (low, high) in zip(SHOTS, ((150, 256), (0, 60)), strict=True):
            field = rng.integers(low, high, (24, 16, 3), dtype=np.uint8).repeat(4, axis=1)
            for index in range(stop - start):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(field[:, 2 * index : 2 * index + 32]))
                file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def write_file(clip: Path, asked: Asked) -> Path:
    """Write the priors as a user would."""
    path = clip.with_name("priors.yaml")
    words = {"high_level": "", "low_level": "light noise"}
    entries = [
        {"shot": index, "start": start, "stop": stop} | words | asked.get(index, {})
        for index, (start, stop) in enumerate(SHOTS)
    ]
    path.write_text(yaml.safe_dump(entries, sort_keys=False))
    return path


def overrides(clip: Path, asked: Asked, settings: dict[str, object]) -> dict[str, object]:
    return settings | {"caption.captioner": "file", "caption.file": str(write_file(clip, asked))}


def enhance(clip: Path, name: str, asked: Asked, settings: dict[str, object] = SETTINGS) -> Report:
    return vidsr.enhance(clip, clip.with_name(f"{name}.mkv"), overrides=overrides(clip, asked, settings))


def pictures(path: Path) -> NDArray[np.uint8]:
    """[frames, H, W, 3]."""
    with av.open(path) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


def stop_before_the_end(clip: Path, name: str, asked: Asked, settings: dict[str, object]) -> None:
    """Run until all parts are done, and stop as by Ctrl-C."""

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Assembling):
            raise KeyboardInterrupt

    output = clip.with_name(f"{name}.mkv")
    with pytest.raises(KeyboardInterrupt):
        vidsr.enhance(clip, output, overrides=overrides(clip, asked, settings), on_event=listen)
    assert not output.exists()


def test_one_file_has_a_shot_restored_by_the_network_and_the_next_one_scaled(clip: Path) -> None:
    file = write_file(clip, {0: {"restorer": "xpsr-s"}, 1: {"restorer": "bicubic"}})
    changes = [item for key, value in SETTINGS.items() for item in ("--set", f"{key}={value}")]
    mixed = clip.with_name("mixed.mkv")
    done = run_vidsr(
        "run", clip, "-o", mixed, "--priors", file, "--progress", "json", *changes, cwd=clip.parent
    )
    assert done.returncode == 0, done.stderr
    network = enhance(clip, "network", {})
    scaled = enhance(clip, "scaled", {}, SETTINGS | {"restore.restorer": "bicubic"})
    found, first, second = (pictures(path) for path in (mixed, network.output, scaled.output))
    cut = SHOTS[1][0]
    np.testing.assert_array_equal(found[:cut], first[:cut])
    np.testing.assert_array_equal(found[cut:], second[cut:])
    assert (first != second).reshape(len(first), -1).any(axis=1).all()
    (told,) = [line for line in map(json.loads, done.stderr.splitlines()) if line.get("event") == "finished"]
    steps = {int(steps): count for steps, count in told["steps_per_frame"].items()}
    assert steps.pop(0) == SHOTS[1][1] - cut
    assert sum(steps.values()) == cut
    assert min(steps) > 0


def test_strength_and_guidance_of_a_shot_are_those_of_a_run_with_them(clip: Path) -> None:
    mixed = enhance(clip, "mixed", {0: {"strength": 0}, 1: {"strength": 1, "guidance_scale": 3}})
    estimate = enhance(clip, "estimate", {}, SETTINGS | {"restore.strength": 0})
    strong = {"restore.strength": 1, "restore.guidance_scale": 3}
    whole = enhance(clip, "whole", {}, SETTINGS | strong)
    plain = enhance(clip, "plain", {})
    cut = SHOTS[1][0]
    found, first, second, other = (pictures(one.output) for one in (mixed, estimate, whole, plain))
    np.testing.assert_array_equal(found[:cut], first[:cut])
    np.testing.assert_array_equal(found[cut:], second[cut:])
    assert (found != other).reshape(len(found), -1).any(axis=1).all()
    assert mixed.steps_per_frame[0] == cut


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {1: {"strength": 0.5}}),
        ({0: {"strength": 0.25}, 1: {"strength": 0.5}}, {0: {"strength": 0.25}}),
        ({1: {"restorer": "bicubic"}}, {1: {"guidance_scale": 2}}),
        ({}, {1: {"restorer": "bicubic"}}),
    ],
)
def test_after_a_stop_another_setting_makes_the_parts_of_its_shot_again_and_no_others(
    clip: Path, before: Asked, after: Asked
) -> None:
    stop_before_the_end(clip, "out", before, SETTINGS)
    resumed, fresh = enhance(clip, "out", after), enhance(clip, "fresh", after)
    # Two parts each.
    assert (resumed.num_parts, resumed.num_parts_reused) == (4, 2)
    assert resumed.output.read_bytes() == fresh.output.read_bytes()
    assert resumed.steps_per_frame == fresh.steps_per_frame


def test_a_setting_that_says_what_is_so_anyway_makes_nothing_again(clip: Path) -> None:
    settings = SETTINGS | {"restore.strength": 0.5}
    stop_before_the_end(clip, "out", {}, settings)
    assert enhance(clip, "out", {1: {"strength": 0.5, "restorer": "xpsr-s"}}, settings).num_parts_reused == 4


def test_what_is_asked_for_a_shot_is_still_there_after_captioning_again(clip: Path) -> None:
    again = clip.with_name("again.yaml")
    file = write_file(clip, {1: {"strength": 0.5, "restorer": "xpsr-s"}})
    settings = ("--set", "caption.captioner=file", "--set", f"caption.file={file}")
    assert run_vidsr("caption", clip, "-o", again, *settings, cwd=clip.parent).returncode == 0
    found, wanted = (yaml.safe_load(path.read_text()) for path in (again, file))
    assert [{**entry, "captioner": "file/1"} for entry in wanted] == found


@pytest.mark.parametrize("asked", [{"strength": 0.5}, {"guidance_scale": 2}])
def test_bicubic_refuses_diffusion_for_a_shot_before_any_work(
    clip: Path, asked: dict[str, float | str]
) -> None:
    file = write_file(clip, {1: asked})
    before = sorted(clip.parent.iterdir())
    done = run_vidsr("run", clip, "--restorer", "bicubic", "--priors", file, cwd=clip.parent)
    assert done.returncode == 2
    (key,) = asked
    assert f"priors.yaml: shot 1: restorer bicubic has no restore.{key}" in done.stderr
    assert sorted(clip.parent.iterdir()) == before


@pytest.mark.usefixtures("installed")
def test_xpsr_obeys_the_settings_of_a_shot_and_leaves_others_to_other_restorers(clip: Path) -> None:
    mixed = enhance(
        clip, "mixed", {0: {"strength": 1, "guidance_scale": 1.5}, 1: {"restorer": "bicubic"}}, XPSR
    )
    wanted = enhance(clip, "wanted", {}, XPSR | {"restore.strength": 1, "restore.guidance_scale": 1.5})
    scaled = enhance(clip, "scaled", {}, SETTINGS | {"restore.restorer": "bicubic"})
    found, first, second = (pictures(one.output) for one in (mixed, wanted, scaled))
    cut, end = SHOTS[1]
    np.testing.assert_array_equal(found[:cut], first[:cut])
    np.testing.assert_array_equal(found[cut:], second[cut:])
    # With all of its steps, a warm frame takes as many as a cold one. The four frames of the first part are
    # restored for the second part too, which fades in.
    assert mixed.steps_per_frame == {4: 4, 2: cut - 4, 0: end - cut}


@pytest.mark.usefixtures("installed")
def test_shots_side_by_side_keep_their_own_settings(clip: Path) -> None:
    asked: Asked = {0: {"guidance_scale": 1.5}, 1: {"strength": 1, "guidance_scale": 9}}
    alone, together = (
        enhance(clip, str(count), asked, XPSR | {"restore.batch_parts": count}) for count in (1, 4)
    )
    np.testing.assert_array_equal(pictures(alone.output), pictures(together.output))
    assert alone.steps_per_frame == together.steps_per_frame
    # Warm frames of the first shot take one step, all others two; those of the first part of each shot are
    # restored for the second part too, which fades in: 4 2 2 2 1 1 1 and 4 4 4 4 2 2 2 2.
    assert alone.steps_per_frame == {4: 5, 2: 7, 1: 3}


@pytest.mark.parametrize(
    ("asked", "settings", "words"),
    [
        ({"strength": 0}, {}, "must be above 0"),
        ({"strength": 0.5}, {"restore.mode": "paper", "restore.strength": None}, "is of frames that start"),
        ({"strength": 0.5}, {"restore.warm_start": False, "restore.strength": None}, "is of frames that st"),
        ({"restorer": "bicubic", "guidance_scale": 2}, {}, r"bicubic has no restore\.guidance_scale"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_xpsr_could_not_obey_is_refused_with_the_shot(
    clip: Path, asked: dict[str, float | str], settings: dict[str, object], words: str
) -> None:
    wanted = overrides(clip, {1: asked}, XPSR | settings)
    with pytest.raises(ConfigError, match=rf"priors\.yaml: shot 1: .*{words}"):
        build.build_stages(config.load(overrides=wanted, environment={}))


class ShortOfMemory:
    """A UNet that runs out of memory at some of its calls."""

    def __init__(self, network: Any, fails_at: Sequence[int]) -> None:
        self._network = network
        self._fails_at = fails_at
        self._calls = 0

    def __call__(self, *arguments: Any) -> Any:
        self._calls += 1
        if self._calls in self._fails_at:
            msg = "CUDA out of memory (injected)"
            raise torch.OutOfMemoryError(msg)
        return self._network(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


@pytest.mark.usefixtures("installed")
def test_each_rung_of_the_memory_ladder_is_told_at_once_and_in_every_report(clip: Path) -> None:
    settings = XPSR | {"restore.xpsr.max_batch": 8}
    stages = build.build_stages(config.load(overrides=overrides(clip, {}, settings), environment={}))
    how: XpsrSettings = cast(Any, stages.restorer.make).args[1]

    def load() -> Networks:
        loaded = tiny_xpsr.networks()
        loaded.unet = ShortOfMemory(loaded.unet, fails_at=[1, 9])
        return loaded

    short = replace(stages, restorer=replace(stages.restorer, make=lambda: XpsrRestorer(load, how)))
    told: list[events.Event] = []

    def listen(event: events.Event) -> None:
        told.append(event)
        if isinstance(event, events.Assembling):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Job(input=clip, output=clip.with_name("out.mkv")), short, on_event=listen)
    notes = [event.message for event in told if isinstance(event, events.Warned)]
    assert notes[0] == "frame 0: out of memory, went on with batches of 4, tiles of 512 pixels"
    assert [note.partition("went on with ")[2] for note in notes[1:]] == ["batches of 2, tiles of 512 pixels"]
    # The run that goes on makes nothing, and passes on what was said.
    report = enhance(clip, "out", {}, settings)
    assert (report.num_parts_reused, report.warnings) == (4, tuple(notes))
    assert report.num_frames == SHOTS[1][1]
