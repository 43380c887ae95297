"""What methods are compared on is what training would make of the same pictures."""

from pathlib import Path

import numpy as np
import torch

from tests.bench import samples
from tests.photographs import make_picture
from vidsr.degradation_words import describe
from vidsr.train.degradation import degrade
from vidsr.train.draw import Draw


def test_a_picture_is_drawn_by_seed_and_place_whatever_else_is_taken(tmp_path: Path) -> None:
    for number in range(3):
        make_picture(number, 64, 64).save(tmp_path / f"{number}.png")
    light = samples.read_set("light")
    found = list(samples.pictures(tmp_path, light, seed=7, every=2))
    assert [sample.name for sample in found] == ["0", "2"]
    for sample in found:
        (clean,), (degraded,) = sample.clean, sample.degraded
        assert np.array_equal(clean, make_picture(int(sample.name), 64, 64))
        wanted = degrade(
            torch.from_numpy(clean).permute(2, 0, 1).float() / 255, Draw(7, int(sample.name)), light
        )
        pixels = (255 * wanted.lr).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(degraded, pixels)
        assert sample.true.low_level == describe(wanted.truth)
