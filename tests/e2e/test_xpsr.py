"""A video restored by XPSR, with weights that were added from the published layout."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import vidsr
from tests.e2e.test_bad_input import run_vidsr
from vidsr import build, config
from vidsr.errors import ConfigError

SMALL = {
    "restore.restorer": "xpsr",
    "restore.xpsr.process_size": 64,
    "restore.steps": 2,
    "restore.strength": 0.5,
    "restore.dtype": "float32",
    "encode.codec": "ffv1",
    "plan.part_frames": 3,
}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Seven frames of a moving texture of 32x24."""
    path = tmp_path / "in.mkv"
    field = np.random.default_rng(0).integers(0, 256, (24, 64, 3), dtype=np.uint8).repeat(4, axis=1)
    with av.open(path, "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv444p"
        for index in range(7):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(field[:, 2 * index : 2 * index + 32]))
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def restore(clip: Path, name: str, **changes: Any) -> NDArray[np.uint8]:
    """Restore the clip; [frames, H, W, 3]."""
    output = clip.parent / f"{name}.mkv"
    vidsr.enhance(clip, output, overrides=SMALL | {key.replace("__", "."): changes[key] for key in changes})
    with av.open(output) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


@pytest.mark.usefixtures("installed")
def test_a_clip_is_restored_by_the_installed_weights_in_both_modes(clip: Path) -> None:
    video = restore(clip, "video")
    paper = restore(clip, "paper", restore__mode="paper", restore__strength=None)
    assert video.shape == paper.shape == (7, 96, 128, 3)
    assert np.abs(video.astype(int) - paper).mean() > 1


@pytest.mark.usefixtures("installed")
def test_parts_side_by_side_give_the_frames_of_parts_one_by_one(clip: Path) -> None:
    alone, together = (restore(clip, f"{count}", restore__batch_parts=count) for count in (1, 3))
    np.testing.assert_array_equal(alone, together)


@pytest.mark.usefixtures("installed")
def test_an_edited_prior_changes_the_picture(clip: Path) -> None:
    priors = clip.parent / "priors.yaml"
    caption = {"caption__captioner": "file", "caption__file": str(priors)}
    entry = {"shot": 0, "start": 0, "stop": 7, "high_level": "", "low_level": "strong noise"}
    priors.write_text(yaml.safe_dump([entry]))
    before = restore(clip, "before", **caption)
    priors.write_text(yaml.safe_dump([entry | {"high_level": "a white tower in front of the sky"}]))
    after = restore(clip, "after", **caption)
    assert np.abs(before.astype(int) - after).max() > 0


def test_without_weights_the_error_has_the_command_that_gets_them(clip: Path, tmp_path: Path) -> None:
    none = {"VIDSR_MODELS": str(tmp_path / "none")}
    done = run_vidsr("run", clip, "--restorer", "xpsr", cwd=tmp_path, more=none)
    assert done.returncode == 5
    assert "vidsr models add xpsr --from" in done.stderr


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"restore.restorer": "xpsr-s", "restore.mode": "paper"}, r"xpsr-s has no restore\.mode"),
        ({"restore.restorer": "bicubic", "restore.xpsr.tile": 32}, r"bicubic has no restore\.xpsr\.tile"),
        ({"restore.restorer": "xpsr", "restore.fusion": 0.5}, r"xpsr has no restore\.fusion"),
        ({"restore.restorer": "xpsr", "restore.strength": 0}, "must be above 0"),
        ({"restore.restorer": "xpsr-s", "restore.steps": 5}, "xpsr-s takes 0 to 4"),
        ({"restore.restorer": "xpsr-s", "restore.dtype": "float16"}, "float32 or bfloat16"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_settings_of_another_restorer_are_refused(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build.build_stages(config.load(overrides=overrides, environment={}))


@pytest.mark.usefixtures("installed")
def test_the_resolved_configuration_says_what_the_mode_meant() -> None:
    def resolved(mode: str) -> dict[str, Any]:
        overrides = {"restore.restorer": "xpsr", "restore.mode": mode}
        return build.build_stages(config.load(overrides=overrides, environment={})).config["restore"]

    paper, video = resolved("paper"), resolved("video")
    assert (paper["xpsr"]["solver"], paper["xpsr"]["tile"]) == ("ddpm", 320)
    assert (video["xpsr"]["solver"], video["xpsr"]["tile"]) == ("unipc", 64)
    assert (paper["guidance_scale"], paper["warm_start"], paper["dtype"]) == (4.5, False, "float32")
