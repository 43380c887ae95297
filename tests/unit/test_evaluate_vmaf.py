"""VMAF by the ffmpeg program."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vidsr.errors import MachineError
from vidsr.media import vmaf as module
from vidsr.media.vmaf import vmaf, vmaf_source

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "data" / "photographs" / "roman-colosseum.jpg"

Clip = list[np.ndarray]


@pytest.fixture(scope="module")
def clip() -> Clip:
    pixels = np.asarray(Image.open(PHOTOGRAPH).convert("RGB"))
    # Sides that are odd.
    return [pixels[index : index + 121, index : index + 133] for index in range(3)]


def _score(restored: Clip, clean: Clip) -> float:
    score = vmaf(zip(restored, clean, strict=True))
    assert score is not None
    return score


def test_the_clean_clip_itself_has_nearly_100_and_blur_costs(clip: Clip) -> None:
    soft, softer = ([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in clip] for sigma in (0.8, 2))
    scores = [_score(restored, clip) for restored in (clip, soft, softer)]
    # The model gives less than 100 to clips of little motion, also where they are the same.
    assert 95 < scores[0] <= 100
    assert scores[0] > scores[1] + 5 > scores[2] + 10


def test_frames_are_compared_in_pairs(clip: Clip) -> None:
    """Also where one is the last: a frame that is bad costs its share, wherever it is."""
    bad = cv2.GaussianBlur(clip[2], (0, 0), 4)
    whole, last = _score(clip, clip), _score([*clip[:2], bad], clip)
    assert last == pytest.approx(whole - (whole - _score([bad], [clip[2]])) / 3, abs=2)


def test_a_picture_is_a_clip_of_one_frame(clip: Clip) -> None:
    assert _score(clip[:1], clip[:1]) > 95


def test_a_tiny_picture_has_no_figure() -> None:
    tiny = np.zeros((16, 64, 3), dtype=np.uint8)
    assert vmaf([(tiny, tiny)]) is None


def test_the_model_and_the_program_are_named() -> None:
    assert vmaf_source().startswith("vmaf_v0.6.1, libvmaf of ffmpeg ")


def test_a_program_that_fails_says_why(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODEL", "vmaf_v9")
    with pytest.raises(MachineError, match=r"could not compute VMAF \(exit \d+\): .+"):
        vmaf([(clip[0], clip[0])])
