"""The sampler against recorded runs of the published one, draw by draw.

The networks of the reference runs are ill-conditioned: with the same input, float32 on one thread and on two
differ by up to 0.1 in late steps, and so do two processors. So the sampler is held to 1e-4 with the recorded
predictions put in, and the networks, with the recorded latents put in, to the error that float32 itself makes
on this machine, measured against float64.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tests.golden.checkpoint import write_checkpoint
from tests.golden.fill import uniform
from tests.golden.sets import LoopRun, loop_runs
from vidsr.restore.xpsr.frame import Restored
from vidsr.restore.xpsr.load import load_networks
from vidsr.restore.xpsr.networks import Networks
from vidsr.restore.xpsr.picture import match_low_frequencies, quantise
from vidsr.restore.xpsr.predict import Call, Denoising
from vidsr.restore.xpsr.restorer import XpsrRestorer
from vidsr.restore.xpsr.settings import XpsrSettings
from vidsr.types import Prior

TOLERANCE = 1e-4
JITTERS = 4
FLOORS = 12
"""By how many times float32's own error the networks may be off: the recorded run has such an error too. Mean
errors, since a single largest one is a matter of luck."""


class Run:
    """One recorded run, and the restorer that repeats it."""

    def __init__(self, run: LoopRun) -> None:
        self.recorded = load_file(run.recorded)
        self.prompts: dict[str, Any] = json.loads((run.folder / "prompts.json").read_text())
        self.folder = run.folder
        given = run.parameters
        self.settings = XpsrSettings(
            scale=given["upscale"],
            steps=given["steps"],
            guidance_scale=given["guidance_scale"],
            conditioning_scale=given["conditioning_scale"],
            start="noise" if given["start"] == "noise" else "lr-twice",
            tile=given["latent_tile"],
            overlap=given["latent_overlap"],
            process_size=given["process_size"],
        )
        self.pixels: NDArray[np.uint8] = np.ascontiguousarray(
            self.recorded["in.lr_uint8"].numpy().transpose(2, 0, 1)
        )
        self.prior = Prior(high_level=self.prompts["high"], low_level=self.prompts["low"])

    def restorer(self, dtype: torch.dtype = torch.float32) -> XpsrRestorer:
        return XpsrRestorer(lambda: networks_of(self, dtype), self.settings)

    def draws(self) -> Iterator[NDArray[np.float32]]:
        steps = [f"noise.step{step:02d}" for step in range(self.settings.steps)]
        for name in ("noise.vae", "noise.init0", "noise.init1", *steps):
            if name in self.recorded:
                yield self.recorded[name][0].numpy()

    def step(self, step: int, name: str) -> Tensor:
        return self.recorded[f"step{step:02d}.{name}"]


_NETWORKS: dict[tuple[str, torch.dtype], Networks] = {}


def networks_of(run: Run, dtype: torch.dtype) -> Networks:
    key = (str(run.folder), dtype)
    if key not in _NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            root = write_checkpoint(Path(folder) / "checkpoint", source=run.folder / "checkpoint")
            made = load_networks(root, run.settings)
        # Widened after loading: the reference runs had float32 weights.
        for network in (made.unet, made.controlnet):
            network.to(dtype)
        _NETWORKS[key] = replace(made, dtype=dtype)
    return _NETWORKS[key]


@pytest.fixture(params=loop_runs(), ids=lambda run: run.name, scope="module")
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


@torch.inference_mode()
def walk(run: Run) -> tuple[list[Call], Restored]:
    """Take the run with the recorded predictions; returns what was asked for, and the result."""
    restorer = run.restorer()
    draws = run.draws()
    frame: Denoising[Restored] = restorer.coroutine(run.pixels, run.prior, draw=lambda: next(draws))
    calls = [next(frame)]
    while True:
        try:
            calls.append(frame.send(run.step(len(calls) - 1, "eps_guided")))
        except StopIteration as ended:
            assert next(draws, None) is None, "a recorded draw was left over"
            return calls, ended.value


@pytest.fixture(scope="module")
def walked(run: Run) -> tuple[list[Call], Restored]:
    return walk(run)


def test_every_step_begins_with_the_published_latents(run: Run, walked: tuple[list[Call], Restored]) -> None:
    calls, restored = walked
    assert [call.timestep for call in calls] == [int(run.step(step, "t")) for step in range(len(calls))]
    for step, call in enumerate(calls):
        torch.testing.assert_close(call.latents, run.step(step, "x_in"), rtol=0, atol=TOLERANCE)
    # Recorded as it goes into the decoder, whose scale is 0.18215.
    torch.testing.assert_close(restored.latents / 0.18215, run.recorded["vae.dec_in"], rtol=0, atol=TOLERANCE)


def test_the_picture_is_the_published_one(run: Run, walked: tuple[list[Call], Restored]) -> None:
    _, restored = walked
    decoded = 2 * restored.decoded - 1
    torch.testing.assert_close(decoded, run.recorded["out.decoded_float"], rtol=0, atol=TOLERANCE)
    wanted = run.recorded["out.final_uint8"].numpy().transpose(2, 0, 1).astype(int)
    assert np.abs(restored.pixels.astype(int) - wanted).max() <= 1


def test_the_wavelet_colours_are_the_published_ones(run: Run) -> None:
    picture, source = (
        run.recorded[name].permute(2, 0, 1)[None].float() / 255
        for name in ("out.image_uint8", "pre.image_uint8")
    )
    matched = match_low_frequencies(quantise(picture), source)[0].permute(1, 2, 0)
    wanted = run.recorded["out.wavelet_uint8"].float()
    assert (255 * matched - wanted).abs().max() <= 1


def test_texts_are_the_published_tokens_and_states(run: Run) -> None:
    text = networks_of(run, torch.float32).text
    prompts = text.prompts(run.prior.high_level, run.prior.low_level, reserve_added=False)
    assert (prompts.high_negative, prompts.low_negative) == (
        run.prompts["negative"],
        run.prompts["low_negative"],
    )
    for name, wanted, unwanted in (
        ("high", prompts.high, prompts.high_negative),
        ("low", prompts.low, prompts.low_negative),
    ):
        assert torch.equal(text.token_ids([wanted]), run.recorded[f"ids.{name}"])
        assert torch.equal(text.token_ids([unwanted]), run.recorded[f"ids.{name}_neg"])
        recorded = run.recorded[{"high": "", "low": "lowlevel_"}[name] + "prompt_embeds_neg_pos"]
        # Without guidance there is no text that it leads away from.
        states = text.encode([unwanted, wanted])[-len(recorded) :]
        torch.testing.assert_close(states, recorded, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_the_networks_predict_the_published_noise(run: Run, walked: tuple[list[Call], Restored]) -> None:
    calls, _ = walked
    for step, call in enumerate(calls):
        latents, wanted = run.step(step, "x_in"), run.step(step, "eps_guided")
        exact = _predict(run, call, latents, torch.float64)
        # One rounding error more or less in each latent.
        jittered = [
            latents
            * (1 + torch.finfo(torch.float32).eps * torch.from_numpy(uniform(f"jitter {k}", latents.shape)))
            for k in range(JITTERS)
        ]
        floor = max(
            float((_predict(run, call, near.float(), torch.float32) - exact).abs().mean())
            for near in jittered
        )
        found = _predict(run, call, latents, torch.float32)
        assert (found - wanted).abs().mean() <= max(TOLERANCE, FLOORS * floor), f"step {step}, floor {floor}"


@torch.inference_mode()
def test_the_first_prediction_is_exact(run: Run, walked: tuple[list[Call], Restored]) -> None:
    # Before the latents have grown float32 is good to 1e-3 even here, of predictions of some 7.
    call = walked[0][0]
    single = _predict(run, call, run.step(0, "x_in"), torch.float32)
    torch.testing.assert_close(single, run.step(0, "eps_guided"), rtol=0, atol=1e-3)


def test_recorded_sources_are_the_pictures_beside_them(run: Run) -> None:
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(run.folder.glob("lr*.png"))]
    source = run.pixels.transpose(1, 2, 0)
    assert any(np.array_equal(picture, source) for picture in pictures)


def _predict(run: Run, call: Call, latents: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what the networks say in `dtype`."""
    restorer = run.restorer(dtype)
    draws = run.draws()
    asked = next(restorer.coroutine(run.pixels, run.prior, draw=lambda: next(draws)))
    again = Call(
        conditioning=asked.conditioning,
        latents=latents,
        timestep=call.timestep,
        tiles=call.tiles,
        is_guided=call.is_guided,
        reuses_control=False,
    )
    return restorer.predictor().predict([again])[0]
