"""The training of the embedded model: tiny networks, really trained."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.photographs import make_pack, make_picture
from vidsr.errors import CheckpointError, ConfigError, DivergedError, MissingWeightsError
from vidsr.evaluate import image as evaluate
from vidsr.models.compact import weights
from vidsr.models.compact.estimate import EstimateNet
from vidsr.models.compact.unet import UNetShape
from vidsr.models.lpips import Lpips
from vidsr.train import checkpoint
from vidsr.train.data import Batch
from vidsr.train.degradation import DegradationSet
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut
from vidsr.train.loop import GRADIENT_LIMIT, TrainFiles, TrainingRun, learning_rate, make_task, train
from vidsr.train.losses import PSNR_CEILING, at_random_phase, charbonnier, lattice, negative_psnr
from vidsr.train.settings import (
    CaptionPolicy,
    DiffusionPolicy,
    MotionPolicy,
    TrainSettings,
    read_degradation,
    read_settings,
)

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
TINY = TrainSettings(
    seed=3,
    steps=4,
    batch_size=4,
    crop=96,
    crop_choices=2,
    mix={"light": 0.5, "bicubic": 0.5},
    captions=CaptionPolicy(
        empty_probability=0.2, drop_probability=0.2, keep_probability=0.5, misjudge_probability=0.5
    ),
    learning_rate=1e-3,
    warmup_steps=2,
    ema_decay=0.9,
    charbonnier_epsilon=1e-3,
    psnr_weight=0.01,
    constraint_weight=0.05,
    perceptual_weight=0.0,
    lattice_weight=0.0,
    diffusion=None,
    network=UNetShape(widths=(8, 8, 8), pairs=(1, 1, 1), num_sfa=1, num_heads=2),
    checkpoint_every=2,
    validate_every=100,
)

SPARSE_BYTES = 2**42
"""4 TiB of nothing, which take no room on disk and which no memory holds."""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return make_pack(tmp_path / "pack", make_picture(1, 112, 144), make_picture(2, 112, 144))


class Distance(nn.Module):
    """Stands in for LPIPS."""

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        return ((image - target) ** 2).mean((1, 2, 3))


def _sets(settings: TrainSettings) -> list[DegradationSet]:
    return [read_degradation(CONFIGS / "degradation" / f"{name}.yaml") for name in settings.mix]


def _train(settings: TrainSettings, pack: Path, output: Path, *, num_ranks: int = 1) -> Path:
    files = TrainFiles(pack=pack, output=output)
    return train(settings, files, sets=_sets(settings), held_out=HeldOut(), num_ranks=num_ranks)


def _log(output: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def test_a_resumed_run_ends_with_the_same_weights_to_the_bit(pack: Path, tmp_path: Path) -> None:
    whole = load_file(_train(TINY, pack, tmp_path / "whole"))
    half = dataclasses.replace(TINY, steps=2)
    # The rate follows the length of the run; with a warm-up of two steps the first two are the same in both.
    _train(half, pack, tmp_path / "parts")
    resumed = load_file(_train(TINY, pack, tmp_path / "parts"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    saved = [load_file(tmp_path / run / "checkpoint.safetensors") for run in ("whole", "parts")]
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])


def test_another_seed_gives_other_weights(pack: Path, tmp_path: Path) -> None:
    one = load_file(_train(TINY, pack, tmp_path / "one"))
    other = load_file(_train(dataclasses.replace(TINY, seed=4), pack, tmp_path / "other"))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_ranks_share_a_batch_and_end_where_one_process_ends(pack: Path, tmp_path: Path) -> None:
    alone, shared = (load_file(_train(TINY, pack, tmp_path / str(num), num_ranks=num)) for num in (1, 2))
    # Halves are summed in another order, in bfloat16 where the machine has it, and AdamW's first steps are as
    # long as the rate whatever the gradient. Runs on different samples differ by ten times as much.
    difference = max(float((alone[name].float() - shared[name].float()).abs().mean()) for name in alone)
    assert difference < 3e-4


def test_training_lowers_the_loss(pack: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, steps=45, mix={"bicubic": 1.0}, validate_every=15, warmup_steps=5)
    _train(settings, pack, tmp_path / "run")
    scores = [entry["validation"] for entry in _log(tmp_path / "run") if "validation" in entry]
    assert [score["bicubic"] for score in scores] == [scores[0]["bicubic"]] * 3
    assert scores[-1]["estimate"] > scores[0]["estimate"]
    assert scores[-1]["estimate"] > scores[-1]["bicubic"]


def test_the_exported_average_is_a_network_that_the_product_loads(pack: Path, tmp_path: Path) -> None:
    model, info = weights.load(_train(TINY, pack, tmp_path / "run"))
    assert (info.training_steps, model.estimate.shape, model.denoiser) == (4, TINY.network, None)


def test_a_checkpoint_of_other_settings_is_refused(pack: Path, tmp_path: Path) -> None:
    _train(dataclasses.replace(TINY, steps=2), pack, tmp_path / "run")
    with pytest.raises(CheckpointError, match="comes from a run with other settings"):
        _train(dataclasses.replace(TINY, learning_rate=2e-3), pack, tmp_path / "run")


def test_the_step_of_a_checkpoint_is_read_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    header = {
        "__metadata__": {"step": "7", "settings": "those of the run"},
        "network/weight": {"dtype": "F32", "shape": [SPARSE_BYTES // 4], "data_offsets": [0, SPARSE_BYTES]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + SPARSE_BYTES)
    assert checkpoint.read_step(path, settings_digest="those of the run") == 7
    with pytest.raises(
        CheckpointError, match=r"checkpoint\.safetensors: comes from a run with other settings"
    ):
        checkpoint.read_step(path, settings_digest="others")


def test_a_run_can_start_from_the_weights_of_another(pack: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, steps=1, warmup_steps=1000, perceptual_weight=0.1)
    files = TrainFiles(
        pack=pack, output=tmp_path / "second", start_from=_train(TINY, pack, tmp_path / "first")
    )
    second = train(settings, files, sets=_sets(settings), held_out=HeldOut(), perceptual=Distance())
    before, after = load_file(tmp_path / "first" / "xpsr-s.safetensors"), load_file(second)
    # One step at a thousandth of the rate, then rounded to half precision.
    assert all(torch.allclose(before[name], after[name], atol=1e-4, rtol=2e-3) for name in before)


def test_weights_of_another_shape_are_no_start(pack: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, network=UNetShape(widths=(8, 8, 16), num_heads=2))
    files = TrainFiles(
        pack=pack, output=tmp_path / "second", start_from=_train(TINY, pack, tmp_path / "first")
    )
    with pytest.raises(CheckpointError, match=r"xpsr-s\.safetensors: a network of .* cannot grow to"):
        train(settings, files, sets=_sets(settings), held_out=HeldOut())


def test_a_weight_for_lpips_without_lpips_is_refused(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"perceptual_weight is 0\.1"):
        _train(dataclasses.replace(TINY, perceptual_weight=0.1), pack, tmp_path / "run")


def test_a_step_that_would_ruin_the_weights_is_not_taken(pack: Path, tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, learning_rate=1e36, warmup_steps=0, steps=3, checkpoint_every=3)
    with pytest.raises(DivergedError, match=r"step [12]: the gradient is not finite"):
        _train(settings, pack, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_a_batch_that_ranks_cannot_share_is_refused(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="4 cannot be shared by 3 ranks"):
        _train(TINY, pack, tmp_path / "run", num_ranks=3)


def test_training_leaves_the_random_state_alone(pack: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    wanted = torch.rand(3)
    torch.manual_seed(9)
    _train(dataclasses.replace(TINY, steps=1), pack, tmp_path / "run")
    assert torch.equal(torch.rand(3), wanted)


def test_the_rate_warms_up_and_falls_to_a_fiftieth() -> None:
    settings = dataclasses.replace(TINY, steps=100, warmup_steps=10)
    rates = [learning_rate(settings, step) for step in range(101)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == pytest.approx(settings.learning_rate)
    assert rates[100] == pytest.approx(settings.learning_rate / 50)


def test_charbonnier_is_the_absolute_difference_away_from_zero() -> None:
    image = torch.tensor([0.0, 0.5, 1.0])
    assert float(charbonnier(image, image + 0.25, epsilon=1e-3)) == pytest.approx(0.25, rel=1e-4)
    assert float(charbonnier(image, image, epsilon=1e-3)) == pytest.approx(1e-3)


def test_negative_psnr_is_the_psnr_of_tables() -> None:
    draw = np.random.default_rng(5)
    clean = draw.integers(0, 256, (4, 24, 32, 3), dtype=np.uint8)
    wrong = draw.integers(0, 256, (4, 24, 32, 3), dtype=np.uint8)
    wrong[1] = clean[1] // 2 + wrong[1] // 2
    wrong[2, ..., 1:] = clean[2, ..., 1:]  # only red is wrong
    wrong[3, ..., ::2] = clean[3, ..., ::2]  # only green
    wanted = np.mean([evaluate.psnr(*pair) for pair in zip(wrong, clean, strict=True)])
    image, target = (torch.from_numpy(side).permute(0, 3, 1, 2).float() / 255 for side in (wrong, clean))
    assert float(negative_psnr(image, target)) == pytest.approx(-wanted, abs=0.03)
    assert float(negative_psnr(target, target)) == pytest.approx(-PSNR_CEILING)


def test_the_estimate_is_trained_on_the_weighted_sum_of_its_losses() -> None:
    task = make_task(TINY, None, perceptual=None, device="cpu")
    batch = Batch(torch.rand(2, 3, 24, 24), torch.rand(2, 3, 96, 96), ["strong noise", ""], ["", ""], None)
    total, parts = task.losses(batch, step=0)
    wanted = parts["charbonnier"] + 0.05 * parts["constraint"] + 0.01 * parts["negative_psnr"]
    assert parts["negative_psnr"] < -1
    torch.testing.assert_close(total, wanted)


def test_a_weight_of_the_lattice_counts_without_lpips_too() -> None:
    task = make_task(dataclasses.replace(TINY, lattice_weight=3.0), None, perceptual=None, device="cpu")
    batch = Batch(torch.rand(2, 3, 24, 24), torch.rand(2, 3, 96, 96), ["strong noise", ""], ["", ""], None)
    total, parts = task.losses(batch, step=0)
    rest = parts["charbonnier"] + 0.05 * parts["constraint"] + 0.01 * parts["negative_psnr"]
    assert float(parts["lattice"].detach()) > 0
    torch.testing.assert_close(total, rest + 3 * parts["lattice"])


@pytest.mark.parametrize("name", ["psnr_weight", "constraint_weight"])
def test_what_is_of_the_estimate_is_refused_beside_diffusion(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        dataclasses.replace(DENOISER, **{name: 0.1})


def test_the_perceptual_loss_sees_every_phase_of_the_block_lattice() -> None:
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    image = torch.stack([rows, columns, rows]).expand(2, 3, 24, 32)
    phases = set()
    for seed in range(600):
        mine, wanted = at_random_phase((image, image + 100), Draw(seed))
        assert mine.shape == (2, 3, 16, 24)
        torch.testing.assert_close(wanted - mine, torch.full_like(mine, 100))
        phases.add((int(mine[0, 0, 0, 0]), int(mine[0, 1, 0, 0])))
    assert phases == {(top, left) for top in range(8) for left in range(8)}


def test_the_lattice_is_what_repeats_from_block_to_block() -> None:
    generator = torch.Generator().manual_seed(4)
    target = torch.rand(2, 3, 64, 96, generator=generator)
    pattern = torch.randn(3, 8, 8, generator=generator)
    pattern -= pattern.mean((1, 2), keepdim=True)
    whole = float(pattern.abs().mean())

    def found(signs: Tensor) -> float:
        """With the pattern in each block, times signs [8, 12]."""
        error = pattern.repeat(1, 8, 12) * signs.repeat_interleave(8, 0).repeat_interleave(8, 1)
        return float(lattice(target + error, target))

    ones = torch.ones(8, 12)
    alternating = torch.where(torch.arange(12) % 2 == 0, 1.0, -1.0)
    # One of four signs matches, the others cancel out.
    for signs in (ones, ones * alternating, ones * alternating[:8, None]):
        assert found(signs) == pytest.approx(whole / 4, rel=1e-4)
    assert float(lattice(target + 0.3, target)) < 1e-6
    # Where one half has it and the other its negative, nothing repeats over the whole picture.
    assert found(ones * torch.where(torch.arange(12) < 6, 1.0, -1.0)) > 0.6 * whole / 4
    assert found(torch.where(torch.rand(8, 12, generator=generator) < 0.5, 1.0, -1.0)) < 0.8 * whole / 4


def _lpips_file(path: Path) -> Path:
    generator = torch.Generator().manual_seed(1)
    channels = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    tensors = {}
    for level, (index, (out, into, size)) in enumerate(channels.items()):
        tensors[f"features.{index}.weight"] = torch.randn(out, into, size, size, generator=generator) / (
            into * size
        )
        tensors[f"features.{index}.bias"] = torch.zeros(out)
        tensors[f"lin{level}.weight"] = torch.rand(1, out, 1, 1, generator=generator)
    save_file(tensors, path)
    return path


def test_lpips_is_zero_for_equal_pictures_and_its_gradient_is_finite_there(tmp_path: Path) -> None:
    lpips = Lpips(_lpips_file(tmp_path / "lpips.safetensors"))
    target = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    target[1] = 0.5
    image = target.clone().requires_grad_()
    distance = lpips(image, target)
    assert distance.tolist() == [0.0, 0.0]
    distance.sum().backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()


def test_lpips_grows_with_noise_and_judges_pictures_one_by_one(tmp_path: Path) -> None:
    lpips = Lpips(_lpips_file(tmp_path / "lpips.safetensors"))
    generator = torch.Generator().manual_seed(2)
    target, noise = (
        torch.rand(1, 3, 64, 64, generator=generator),
        torch.randn(1, 3, 64, 64, generator=generator),
    )
    noisy = torch.cat([target + sigma * noise for sigma in (0.02, 0.1, 0.3)])
    together = lpips(noisy, target.expand_as(noisy))
    assert 0 < float(together[0]) < float(together[1]) < float(together[2])
    torch.testing.assert_close(lpips(noisy[1:2], target), together[1:2], atol=1e-6, rtol=1e-4)


def test_lpips_weights_that_are_missing_or_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="no such file; make it with"):
        Lpips(tmp_path / "none.safetensors")
    save_file({"alpha": torch.zeros(1)}, tmp_path / "dists.safetensors")
    with pytest.raises(CheckpointError, match=r"features\.0\.weight"):
        Lpips(tmp_path / "dists.safetensors")


DENOISER = dataclasses.replace(
    TINY,
    psnr_weight=0.0,
    constraint_weight=0.0,
    perceptual_weight=0.1,
    lattice_weight=1.0,
    diffusion=DiffusionPolicy(
        timestep_shares=(0.25, 0.25, 0.25, 0.25),
        previous_probability=0.5,
        warm_probability=0.5,
        negative_probability=0.1,
        residual_weight=0.05,
        temporal_weight=0.1,
        adversarial_weight=0.0,
        motion=MotionPolicy(max_shift=1.0, max_turn=1.0, max_zoom=0.02, flow_error=0.1),
        best_steps=2,
        best_strength=0.6,
    ),
)


def with_policy(settings: TrainSettings, **changes: float) -> TrainSettings:
    """Return settings with another policy of diffusion."""
    assert settings.diffusion is not None
    return dataclasses.replace(settings, diffusion=dataclasses.replace(settings.diffusion, **changes))


@pytest.fixture
def wide_pack(tmp_path: Path) -> Path:
    return make_pack(tmp_path / "wide", make_picture(1, 128, 144), make_picture(2, 128, 144))


@pytest.fixture
def estimate(tmp_path: Path) -> Path:
    """Weights of an estimate whose features say something."""
    path = tmp_path / "estimate.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = weights.CompactModel(EstimateNet(TINY.network), None)
        torch.nn.init.normal_(model.estimate.head.weight, std=0.002)
    weights.save(path, model, weights.WeightsInfo(training_steps=1, note=""))
    return path


def _train_denoiser(
    settings: TrainSettings, pack: Path, output: Path, estimate: Path, *, num_ranks: int = 1
) -> Path:
    return train(
        settings,
        TrainFiles(pack=pack, output=output, start_from=estimate),
        sets=_sets(settings),
        held_out=HeldOut(),
        perceptual=Distance(),
        num_ranks=num_ranks,
    )


def test_the_denoiser_leaves_the_estimate_as_it_is(wide_pack: Path, tmp_path: Path, estimate: Path) -> None:
    model, info = weights.load(_train_denoiser(DENOISER, wide_pack, tmp_path / "run", estimate))
    before = weights.load(estimate)[0].estimate.state_dict()
    assert all(torch.equal(model.estimate.state_dict()[name], before[name]) for name in before)
    assert model.denoiser is not None
    assert (info.steps, info.strength, info.training_steps) == (2, 0.6, 4)


def test_sigma_is_the_spread_of_what_the_estimate_leaves_out(
    wide_pack: Path, tmp_path: Path, estimate: Path
) -> None:
    model, _ = weights.load(_train_denoiser(DENOISER, wide_pack, tmp_path / "run", estimate))
    assert model.denoiser is not None
    sigma = model.denoiser.sigma.flatten()
    assert float(sigma[0]) > 10 * float(sigma[63])  # the mean of a block varies most, its finest detail least
    assert float(sigma.min()) >= 0.99e-3
    assert float(sigma.std()) > 0


@pytest.mark.parametrize("adversarial_weight", [0.0, 0.1])
def test_a_resumed_denoiser_ends_with_the_same_weights_to_the_bit(
    wide_pack: Path, tmp_path: Path, estimate: Path, adversarial_weight: float
) -> None:
    settings = with_policy(DENOISER, adversarial_weight=adversarial_weight)
    whole = load_file(_train_denoiser(settings, wide_pack, tmp_path / "whole", estimate))
    half = dataclasses.replace(settings, steps=2)
    _train_denoiser(half, wide_pack, tmp_path / "parts", estimate)
    resumed = load_file(_train_denoiser(settings, wide_pack, tmp_path / "parts", estimate))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_adversary_is_trained_and_moves_the_denoiser(
    wide_pack: Path, tmp_path: Path, estimate: Path
) -> None:
    plain = load_file(_train_denoiser(DENOISER, wide_pack, tmp_path / "plain", estimate))
    settings = with_policy(DENOISER, adversarial_weight=1.0)
    moved = load_file(_train_denoiser(settings, wide_pack, tmp_path / "moved", estimate))
    assert plain.keys() == moved.keys()  # the adversary is not shipped
    assert not torch.equal(plain["denoiser.head.weight"], moved["denoiser.head.weight"])
    first, last = (load_file(tmp_path / run / "checkpoint.safetensors") for run in ("plain", "moved"))
    assert not any(name.startswith("heads/") for name in first)
    assert any(name.startswith("heads/") for name in last)


def test_a_large_gradient_of_the_denoiser_does_not_shorten_the_step_of_its_adversary(
    tmp_path: Path, estimate: Path
) -> None:
    pictures = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    batch = Batch(pictures[..., ::4, ::4], pictures, ["strong noise", ""], ["", ""], None)

    def gradients(residual_weight: float) -> tuple[Tensor, Tensor]:
        settings = with_policy(DENOISER, adversarial_weight=0.1, residual_weight=residual_weight)
        task = make_task(settings, estimate, perceptual=Distance(), device="cpu")
        files = TrainFiles(pack=tmp_path, output=tmp_path)
        TrainingRun(settings, files, task, device="cpu").train_on(batch)
        return _gradient(task.network), _gradient(task.helpers)

    (_, usual), (limited, beside) = gradients(0.05), gradients(1e6)
    assert float(limited.norm()) == pytest.approx(GRADIENT_LIMIT, rel=1e-4)
    assert float(usual.norm()) > 0.01
    torch.testing.assert_close(beside, usual)


def _gradient(module: nn.Module) -> Tensor:
    """Return the gradient that a module was left with, as one vector."""
    return torch.cat(
        [parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None]
    )


def test_a_denoiser_can_go_on_as_a_smaller_one(wide_pack: Path, tmp_path: Path, estimate: Path) -> None:
    first = _train_denoiser(DENOISER, wide_pack, tmp_path / "first", estimate)
    smaller = dataclasses.replace(DENOISER.network, stem_side=1)
    settings = dataclasses.replace(DENOISER, network=smaller)
    model, _ = weights.load(_train_denoiser(settings, wide_pack, tmp_path / "second", first))
    assert model.denoiser is not None
    assert model.denoiser.shape == smaller
    assert model.denoiser.unet.stem.weight.shape[2:] == (1, 1)


def test_training_the_denoiser_brings_the_sample_nearer_to_the_picture(
    wide_pack: Path, tmp_path: Path, estimate: Path
) -> None:
    settings = dataclasses.replace(
        DENOISER, steps=60, mix={"bicubic": 1.0}, validate_every=20, warmup_steps=5, learning_rate=2e-3
    )
    _train_denoiser(settings, wide_pack, tmp_path / "run", estimate)
    scores = [entry["validation"] for entry in _log(tmp_path / "run") if "validation" in entry]
    assert scores[-1]["full PSNR"] > scores[0]["full PSNR"]
    assert scores[-1]["full PSNR"] > scores[-1]["estimate PSNR"]


@pytest.mark.parametrize("lacking", ["estimate", "perceptual"])
def test_the_denoiser_needs_an_estimate_and_lpips(
    lacking: str, wide_pack: Path, tmp_path: Path, estimate: Path
) -> None:
    start = None if lacking == "estimate" else estimate
    settings = DENOISER if lacking == "estimate" else dataclasses.replace(DENOISER, perceptual_weight=0.0)
    with pytest.raises(ConfigError, match="--start-from WEIGHTS with an estimate, and --lpips"):
        train(
            settings,
            TrainFiles(pack=wide_pack, output=tmp_path / "run", start_from=start),
            sets=_sets(settings),
            held_out=HeldOut(),
            perceptual=None if lacking == "perceptual" else Distance(),
        )


@pytest.mark.parametrize(
    "name",
    [
        "xpsr-s",
        "xpsr-s-grown",
        "xpsr-s-psnr",
        "xpsr-s-lpips",
        "xpsr-s-denoiser",
        "xpsr-s-texture",
        "xpsr-s-ablation",
    ],
)
def test_the_shipped_configurations_can_be_read(name: str) -> None:
    settings = read_settings(CONFIGS / f"{name}.yaml")
    assert sum(settings.mix.values()) == pytest.approx(1)
    assert len(_sets(settings)) == len(settings.mix) >= 2
    assert (settings.diffusion is not None) == (name in {"xpsr-s-denoiser", "xpsr-s-texture"})


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("seed: 1", "sead: 1", r"unknown key sead, did you mean seed\?"),
        ("seed: 1", "seed: many", "seed: wanted int, got 'many'"),
        ("crop: 192", "crop: 100", "crop: wanted a multiple of 32 from 96, got 100"),
        ("crop: 192", "crop: 64", "crop: wanted .*, got 64"),
        ("light: 0.65", "light: 0.6", r"mix: shares add up to 0\.95"),
        ("pairs: [2, 2, 2]", "pairs: [2, 2]", r"network: pairs: wanted .*, got \[2, 2\]"),
        ("pairs: [2, 2, 2]", "pairs: [2, true, 2]", "network: pairs: wanted int, got True"),
        ("pairs: [2, 2, 2]", "pears: [2, 2, 2]", r"network: unknown key pears, did you mean pairs\?"),
        ("pairs: [2, 2, 2]", "", "network: lacks the key pairs"),
        ("light: 0.65", "light: much", "mix: light: wanted float, got 'much'"),
        (
            "drop_probability",
            "drop_probabilities",
            "captions: unknown key drop_probabilities, did you mean drop_pr",
        ),
        (
            "empty_probability: 0.1",
            "empty_probability: null",
            "captions: empty_probability: wanted float, got None",
        ),
        ("learning_rate: 5.0e-4", "learning_rate: .nan", "learning_rate: wanted a finite number, got nan"),
        ("crop: 192", "crop: 192.0", "crop: wanted int, got 192.0"),
        ("diffusion: null", "diffusion: 1", r"diffusion: wanted a mapping with \['timestep_shares', "),
        ("diffusion: null", "diffusion: {motion: 1}", "diffusion: lacks the keys timestep_shares, previous_"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_key(
    tmp_path: Path, old: str, new: str, match: str
) -> None:
    text = (CONFIGS / "xpsr-s.yaml").read_text()
    assert old in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=rf"wrong\.yaml: {match}"):
        read_settings(path)
