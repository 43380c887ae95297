"""`vidsr degrade`: pictures, folders and clips."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidsr.degrade import degrade
from vidsr.errors import ConfigError, InputError, OutputExistsError, UsageError
from vidsr.evaluate.clips import read_clip, read_picture
from vidsr.media.probe import probe
from vidsr.media.verify import verify

PHOTOGRAPHS = Path(__file__).resolve().parents[1] / "data" / "photographs"
SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sample.mp4"


def test_a_folder_is_degraded_picture_by_picture(tmp_path: Path) -> None:
    source = tmp_path / "clean"
    source.mkdir()
    for name in ("seeding", "casa-mila"):
        (source / f"{name}.jpg").write_bytes((PHOTOGRAPHS / f"{name}.jpg").read_bytes())
    written = degrade(source, tmp_path / "lr", preset="full", seed=7)
    assert [path.name for path in written] == ["casa-mila.png", "seeding.png"]
    # The other pictures of the folder have no say in it.
    alone = tmp_path / "alone.png"
    degrade(source / "seeding.jpg", alone, preset="full", seed=7)
    np.testing.assert_array_equal(read_picture(alone), read_picture(written[1]))
    assert read_picture(alone).shape == (52, 52, 3)
    degrade(source / "seeding.jpg", alone, preset="full", seed=8, overwrite=True)
    assert not np.array_equal(read_picture(alone), read_picture(written[1]))


def test_a_clip_keeps_its_times_and_its_sound(tmp_path: Path) -> None:
    output = tmp_path / "lr.mkv"
    degrade(SAMPLE, output, preset="video", seed=1)
    # Smaller than its source, as no restored video is: all else agrees.
    assert [difference.kind for difference in verify(SAMPLE, output).differences] == ["geometry"]
    info, source = probe(output), probe(SAMPLE)
    assert (info.video.width, info.video.height) == (source.video.width // 4, source.video.height // 8 * 2)
    assert info.video.codec == "ffv1"
    assert [stream.kind for stream in info.streams] == ["video", "audio"]
    assert [path.name for path in tmp_path.iterdir()] == ["lr.mkv"]


def test_the_same_seed_gives_the_same_clip(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        degrade(SAMPLE, tmp_path / f"{name}.mkv", preset="light", seed=seed)
    one, same, other = (np.stack(list(read_clip(tmp_path / f"{name}.mkv"))) for name in "abc")
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_what_cannot_be_degraded_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    picture = PHOTOGRAPHS / "seeding.jpg"
    with pytest.raises(ConfigError, match="'ligt', did you mean light"):
        degrade(picture, tmp_path / "a.png", preset="ligt")
    with pytest.raises(UsageError, match=r"name a \.png"):
        degrade(picture, tmp_path / "a.jpg", preset="light")
    Image.fromarray(read_picture(picture)[:200, :90]).save(tmp_path / "small.png")
    with pytest.raises(InputError, match=r"small\.png: is 90x200; wanted at least 96"):
        degrade(tmp_path / "small.png", tmp_path / "a.png", preset="light")
    with pytest.raises(OutputExistsError, match="exists already"):
        degrade(picture, tmp_path / "small.png", preset="light")
    assert [path.name for path in tmp_path.iterdir()] == ["small.png"]


def test_the_command_takes_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("first: null\nsecond: null\n")
    files = [str(PHOTOGRAPHS / "seeding.jpg"), str(tmp_path / "a.png")]
    command = [sys.executable, "-m", "vidsr", "degrade", *files, "--preset", str(tmp_path / "mine.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'a.png'}\n"), done.stderr
    clean = Image.fromarray(read_picture(PHOTOGRAPHS / "seeding.jpg"))
    wanted = np.array(clean.resize((52, 52), Image.Resampling.BICUBIC), dtype=float)
    assert np.abs(read_picture(tmp_path / "a.png") - wanted).max() <= 1
