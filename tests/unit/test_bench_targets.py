"""Aims say whether they are met, by how much, and when that is not known."""

from collections.abc import Mapping, Sequence
from typing import Literal

import pytest

from tests.bench.methods import Kind, Method, Restored
from tests.bench.results import Block, Figures
from tests.bench.store import Made
from tests.bench.targets import Target, targets, to_markdown


def _block(
    figures: Mapping[str, Sequence[Figures]],
    gflop: Mapping[str, float] | None = None,
    *,
    kind: Kind = "pictures",
    degradation: Literal["light", "bicubic"] = "light",
) -> Block:
    methods = [
        Method(name=name, identity=name, restore=lambda sample: Restored(frames=[])) for name in figures
    ]
    made = {
        name: [Made(digest="", steps=0, seconds=None, gflop=cost, peak_mebibytes=None)]
        for name, cost in (gflop or {}).items()
    }
    names = [str(number) for number in range(2)]
    rows = {name: list(samples) for name, samples in figures.items()}
    return Block(degradation=degradation, kind=kind, methods=methods, samples=names, figures=rows, made=made)


def _target(found: Sequence[Target], what: str) -> Target:
    (target,) = [target for target in found if target.what == what]
    return target


def test_a_gain_over_bicubic_is_the_mean_over_the_same_samples() -> None:
    found = targets(
        [
            _block(
                {
                    "bicubic": [{"PSNR-Y": 20.0, "LPIPS-Alex": 0.5}, {"PSNR-Y": 30.0, "LPIPS-Alex": 0.4}],
                    "xpsr-s default": [
                        {"PSNR-Y": 20.1, "LPIPS-Alex": 0.3},
                        {"PSNR-Y": 30.3, "LPIPS-Alex": 0.3},
                    ],
                }
            )
        ]
    )
    gain = _target(found, "light, pictures: xpsr-s default against bicubic: PSNR-Y")
    assert (gain.found, gain.is_met, gain.outcome) == (pytest.approx(0.2), False, "missed by 0.1000")
    closer = _target(found, "light, pictures: xpsr-s default against bicubic: LPIPS-Alex")
    assert (closer.found, closer.is_met, closer.outcome) == (pytest.approx(-0.15), True, "met by 0.0300")
    assert "| at most -0.12 | -0.1500 | met by 0.0300 |" in to_markdown(found)


def test_plain_input_may_lose_three_tenths() -> None:
    rows = {"bicubic": [{"PSNR-Y": 20.0}], "xpsr-s default": [{"PSNR-Y": 19.8}]}
    found = targets([_block(rows, degradation="bicubic")])
    assert _target(found, "bicubic, pictures: xpsr-s default against bicubic: PSNR-Y").is_met


def test_operations_are_a_share_of_the_large_network_s() -> None:
    rows: dict[str, list[Figures]] = {"xpsr-s default": [{}], "realesrgan-x4plus": [{}]}
    found = targets([_block(rows, {"xpsr-s default": 35.0, "realesrgan-x4plus": 587.0})])
    share = _target(found, "light, pictures: xpsr-s default: FLOPs as a share of realesrgan-x4plus's")
    assert share.found == pytest.approx(35 / 587)
    assert share.is_met


def test_the_worst_clip_counts_by_itself() -> None:
    rows = {"xpsr-s default": [{"E_warp / clean's": 0.9}, {"E_warp / clean's": 1.3}]}
    found = targets([_block(rows, kind="clips")])
    assert _target(found, "light, clips: xpsr-s default: E_warp / clean's").is_met
    assert _target(found, "light, clips: xpsr-s default: E_warp / clean's, worst clip").is_met is False


def test_what_was_not_computed_is_neither_met_nor_missed() -> None:
    found = targets([_block({"xpsr-s default": [{"PSNR-Y": 20.0}]})])
    assert {target.is_met for target in found} == {None}
    assert {target.outcome for target in found} == {"not computed"}
