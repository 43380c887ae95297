"""Training the denoiser on the residual of a frozen estimate, beside the previous frame's own result."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from vidsr.degradation_words import NEGATIVE_HIGH_LEVEL
from vidsr.diffusion.schedule import TIMESTEPS, WARM_TIMESTEPS
from vidsr.errors import ConfigError
from vidsr.models.compact.denoiser import Condition, DenoiserNet
from vidsr.models.compact.estimate import EstimateNet, enlarge
from vidsr.models.compact.transform import BLOCK
from vidsr.models.compact.unet import Priors
from vidsr.models.compact.weights import CompactModel, WeightsInfo
from vidsr.models.device import has_fast_bfloat16
from vidsr.train.adversary import Adversary, fooling_loss, telling_loss
from vidsr.train.data import Batch, PreviousBatch, SampleMaker
from vidsr.train.draw import Draw
from vidsr.train.estimate_task import means, validation_batches
from vidsr.train.losses import at_random_phase, charbonnier, lattice, psnr
from vidsr.train.motion import warp
from vidsr.train.prune import pruned
from vidsr.train.settings import DiffusionPolicy, TrainSettings
from vidsr.train.task import Losses, Perceptual, read_priors

SIGMA_BATCHES = 8
SIGMA_STEP = 2**41
"""Far from any training step and from validation."""
MIN_SIGMA = 1e-3
PIXEL_WEIGHT = 0.5
WARM_START = WARM_TIMESTEPS[max(WARM_TIMESTEPS)][0]


class Previous(NamedTuple):
    """The previous result seen from the frames of a batch."""

    image: Tensor
    """[B, 3, 4h, 4w]; the estimate where there is none."""
    inside: Tensor
    """[B, 1, 4h, 4w], 1 where there is one."""
    residual: Tensor
    """[B, 192, h/2, w/2], in units of sigma, zero where there is none."""
    trust: Tensor
    """[B, 1, h/2, w/2]."""
    has: Tensor
    """[B] bool."""


class DenoiserTask:
    """Implements `vidsr.train.task.Task`."""

    def __init__(
        self,
        settings: TrainSettings,
        *,
        start: CompactModel | None,
        perceptual: Perceptual | None,
        device: str,
    ) -> None:
        if start is None or perceptual is None or settings.diffusion is None:
            msg = "training the denoiser needs --start-from WEIGHTS with an estimate, and --lpips"
            raise ConfigError(msg)
        self._estimate = start.estimate.requires_grad_(False).eval().to(device)
        self.network = pruned(start.denoiser or _first_denoiser(start.estimate), settings.network)
        self._settings = settings
        self._policy: DiffusionPolicy = settings.diffusion
        self._adversary = Adversary() if self._policy.adversarial_weight else None
        self.helpers = nn.ModuleList([] if self._adversary is None else [self._adversary])
        self._perceptual = perceptual
        self._device = device

    @torch.no_grad()
    def prepare(self, maker: SampleMaker) -> None:
        """Measure sigma, the standard deviation of each channel of the estimate's residual."""
        squares: list[Tensor] = []
        for number in range(SIGMA_BATCHES):
            batch = maker.batch(SIGMA_STEP + number, range(self._settings.batch_size)).to(self._device)
            is_plain = torch.tensor(
                [high != NEGATIVE_HIGH_LEVEL for high in batch.high_level], device=self._device
            )
            with self._autocast():
                estimate = self._estimate(batch.lr, self._plain_priors(batch)).image
            left = self.network.transform((batch.target - estimate).float())[is_plain]
            squares.append(left.square().mean((0, 2, 3)))
        self.network.sigma.copy_(
            torch.stack(squares).mean(0).sqrt().clamp_min(MIN_SIGMA)[None, :, None, None]
        )

    def losses(self, batch: Batch, step: int) -> Losses:
        """Return the distances of one prediction for each sample."""
        network, draw = self.network, Draw(self._settings.seed, step, 1)
        lr = batch.lr.contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), self._autocast():
            priors = read_priors(self._estimate, batch)
            estimate = self._estimate(lr, self._plain_priors(batch)).image
            previous = self._previous(batch, estimate, draw)
        clean = network.residual(batch.target, estimate)
        noise = draw.normal(*clean.shape).to(self._device)
        timestep, is_warm = self._timesteps(previous.has, draw)
        origin = torch.where(is_warm[:, None, None, None], previous.residual, clean)
        noisy = network.schedule.noised(origin, noise, timestep)
        condition = Condition(lr, estimate, previous.residual, previous.trust)
        with self._autocast():
            predicted = network(noisy, timestep, condition, priors)
        image = estimate + network.added(predicted, estimate)
        parts = {
            "residual": (predicted - clean).square().mean(),
            "charbonnier": charbonnier(image, batch.target, epsilon=self._settings.charbonnier_epsilon),
            "lattice": lattice(image, batch.target),
            "temporal": ((image - previous.image).abs() * previous.inside).mean(),
            **self._seen(image, batch.target, estimate, draw),
        }
        return Losses(self._weighed(parts), parts)

    def _seen(self, image: Tensor, target: Tensor, estimate: Tensor, draw: Draw) -> dict[str, Tensor]:
        """Return what networks see of the result, each at a random phase of the block grid."""
        shown, wanted, before = at_random_phase((image, target, estimate), draw)
        with self._autocast():
            parts = {"perceptual": self._perceptual(shown, wanted).float().mean()}
            if self._adversary is not None:
                parts["fooling"] = fooling_loss(self._adversary, shown, before)
                parts["telling"] = telling_loss(self._adversary, shown, wanted, before)
        return parts

    def _weighed(self, parts: Mapping[str, Tensor]) -> Tensor:
        policy = self._policy
        total = (
            policy.residual_weight * parts["residual"]
            + PIXEL_WEIGHT * parts["charbonnier"]
            + self._settings.perceptual_weight * parts["perceptual"]
            + self._settings.lattice_weight * parts["lattice"]
            + policy.temporal_weight * parts["temporal"]
        )
        if self._adversary is None:
            return total
        # What the adversary learns from reaches nothing else: its weight is of no account.
        return total + policy.adversarial_weight * parts["fooling"] + parts["telling"]

    def _timesteps(self, has_previous: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Draw the timestep of each sample, and whether it starts from the previous result."""
        timesteps, warm = [], []
        for has in has_previous.tolist():
            is_warm = has and draw.chance(self._policy.warm_probability)
            cold = 1 if has else 1 + draw.pick(self._policy.timestep_shares)
            timesteps.append(WARM_START if is_warm else cold)
            warm.append(is_warm)
        return torch.tensor(timesteps, device=self._device), torch.tensor(warm, device=self._device)

    def _previous(self, batch: Batch, estimate: Tensor, draw: Draw) -> Previous:
        """Restore the previous frames from noise, in one step, and move the results to the present."""
        inside = torch.zeros_like(estimate[:, :1])
        image = estimate.clone()
        if batch.previous is not None:
            rows = batch.previous.rows
            image[rows] = warp(self._restored(batch.previous, batch, draw), batch.previous.flow)
            inside[rows] = batch.previous.inside
        trust = nn.functional.avg_pool2d(inside, BLOCK)
        residual = self.network.residual(image, estimate) * trust
        return Previous(image, inside, residual, trust, inside.amax((1, 2, 3)) > 0)

    def _restored(self, before: PreviousBatch, batch: Batch, draw: Draw) -> Tensor:
        rows = before.rows.tolist()
        texts = batch._replace(
            lr=before.lr,
            low_level=[batch.low_level[row] for row in rows],
            high_level=[batch.high_level[row] for row in rows],
        )
        priors = read_priors(self._estimate, texts)
        estimate = self._estimate(before.lr, self._plain_priors(texts)).image
        return one_step(self.network, before.lr, estimate, priors, draw)

    @torch.no_grad()
    def validate(self, average: nn.Module, maker: SampleMaker) -> dict[str, float]:
        """Return PSNR and LPIPS of the estimate, of one step from noise, and of half its strength."""
        network = cast(DenoiserNet, average)
        scores: dict[str, list[float]] = {}
        for batch in validation_batches(maker, self._settings.batch_size, self._device):
            priors = read_priors(self._estimate, batch)
            estimate = self._estimate(batch.lr, self._plain_priors(batch)).image
            full = one_step(network, batch.lr, estimate, priors, Draw(0))
            pictures = {"bicubic": enlarge(batch.lr), "estimate": estimate, "half": (estimate + full) / 2}
            for name, images in {**pictures, "full": full}.items():
                distances = self._perceptual(images, batch.target)
                scores.setdefault(f"{name} LPIPS", []).extend(distances.float().flatten().tolist())
                scores.setdefault(f"{name} PSNR", []).extend(map(psnr, images, batch.target))
        return means(scores)

    def export(self, average: nn.Module, *, steps: int) -> tuple[CompactModel, WeightsInfo]:
        """Return the frozen estimate with the averaged denoiser."""
        info = WeightsInfo(
            training_steps=steps,
            note=f"denoiser, seed {self._settings.seed}",
            steps=self._policy.best_steps,
            strength=self._policy.best_strength,
        )
        return CompactModel(self._estimate, cast(DenoiserNet, average)), info

    def _plain_priors(self, batch: Batch) -> Priors:
        """Read the priors as the estimate knows them: it was trained without content."""
        return read_priors(self._estimate, batch._replace(high_level=[""] * len(batch.high_level)))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device, torch.bfloat16, enabled=has_fast_bfloat16(self._device))


def one_step(network: DenoiserNet, lr: Tensor, estimate: Tensor, priors: Priors, draw: Draw) -> Tensor:
    """Restore frames from noise in one step: [B, 3, 4h, 4w]."""
    nothing = torch.zeros_like(network.residual(estimate, estimate))
    noise = draw.normal(*nothing.shape).to(lr.device)
    timestep = torch.full((len(lr),), TIMESTEPS[1][0], device=lr.device)
    condition = Condition(lr, estimate, nothing, nothing[:, :1])
    predicted = network(network.schedule.noised(nothing, noise, timestep), timestep, condition, priors)
    return estimate + network.added(predicted, estimate)


def _first_denoiser(estimate: EstimateNet) -> DenoiserNet:
    """Return a denoiser that starts from the estimate's features: its stem sees the new inputs faintly."""
    network = DenoiserNet(estimate.shape)
    state = {
        name: tensor for name, tensor in estimate.unet.state_dict().items() if not name.startswith("stem.")
    }
    network.unet.load_state_dict(state, strict=False)
    known = estimate.unet.stem
    with torch.no_grad():
        network.unet.stem.weight.mul_(0.1)
        network.unet.stem.weight[:, : known.in_channels] = known.weight
        network.unet.stem.bias.copy_(known.bias)  # type: ignore[union-attr, arg-type]  # both have one
    return network
