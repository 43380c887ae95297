"""What XPSR costs on a GPU: the batched step, frames of 1080p and 4K, and the loop as it was published.

    python -m tests.bench.xpsr_gpu [--frame 1080p --frame 4k] [--dtype bfloat16] [--compiled] [--repeat 3]
    python -m tests.bench.xpsr_gpu --tiny --device cpu

Needs torch, diffusers and numpy alone: weights are random, pictures are noise, motion is taken to be none
(the flow of a frame runs on the CPU and is not in the figures). One run measures the machine's own rate of
bfloat16 matrix products, the step, the frames, and the published loop, and prints tables with medians and the
spread.
"""

import argparse
import dataclasses
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vidsr.diffusion.latent import Ddpm, NoiseSchedule
from vidsr.diffusion.noise import NoiseDraws
from vidsr.models.xpsr.autoencoder import FACTOR, Autoencoder
from vidsr.models.xpsr.controlnet import XpsrControlNet
from vidsr.models.xpsr.unet import XpsrUNet
from vidsr.restore.xpsr.frame import FrameRestorer, Restored
from vidsr.restore.xpsr.networks import Networks
from vidsr.restore.xpsr.picture import Sizes
from vidsr.restore.xpsr.predict import Denoising, Predictor, Text, Texts, run_together
from vidsr.restore.xpsr.settings import XpsrSettings
from vidsr.restore.xpsr.warm import Previous, XpsrCarry

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "xpsr"
FULL_AUTOENCODER = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 512,
}
"""Stable Diffusion 1.5's."""
FRAMES = {"tiny": (16, 24), "1080p": (270, 480), "4k": (540, 960)}
"""Low-resolution sizes (height, width); the result is four times as large."""
TOKENS = 77
GUIDANCE_SCALE = 4.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of several runs."""

    seconds: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        return f"{self.median:.3g} ({min(self.seconds):.3g} to {max(self.seconds):.3g})"


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="networks and frames of the tests")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16", "float32"))
    parser.add_argument("--frame", action="append", choices=("1080p", "4k"), help="all otherwise")
    parser.add_argument("--parts", type=int, default=1, help="frames side by side")
    parser.add_argument("--tile", type=int, default=64)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--published-steps", type=int, default=20, help="of the published loop")
    options = parser.parse_args()
    names = ["tiny"] if options.tiny else options.frame or ["1080p", "4k"]
    bench = Bench(options)
    print(json.dumps(machine(bench.device), indent=2))
    rate = bench.matmul_rate()
    print(f"\nbfloat16 matrix products of this machine: {rate / 1e12:.4g} TFLOP/s\n", flush=True)
    published = {name: bench.published(name) for name in names}
    bench.speed_up()
    print(bench.step(rate), flush=True)
    for name in names:
        print(bench.frames(name, *published[name]), flush=True)


def machine(device: torch.device) -> dict[str, object]:
    """Return what the figures were measured on."""
    return {
        "device": torch.cuda.get_device_name()
        if device.type == "cuda"
        else torch.cpu.get_capabilities().get("cpu_name", platform.machine()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "numpy": np.__version__,
    }


class Bench:
    """Networks with random weights, and what is timed with them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device = torch.device(options.device)
        self.networks = self._networks(getattr(torch, options.dtype))
        changes = {
            "device": options.device,
            "dtype": options.dtype,
            "tile": 8 if options.tiny else options.tile,
        }
        small = {"process_size": 64, "overlap": 2} if options.tiny else {}
        self.settings = XpsrSettings.recommended(**changes, **small, compiled=options.compiled)
        self._flops_a_row = self._flops()

    def speed_up(self) -> None:
        """Bring the networks, so far as they were published, to how they are run here."""
        for network in (self.networks.unet, self.networks.controlnet):
            network.to(memory_format=torch.channels_last)
        if self.options.compiled:
            for network in (self.networks.unet, self.networks.controlnet):
                network.forward = torch.compile(network.forward)

    def matmul_rate(self) -> float:
        """Return FLOP/s of a large product of matrices."""
        side = 256 if self.options.tiny else 8192
        left, right = (torch.randn(side, side, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        return 2 * side**3 / self._time(lambda: left @ right, repeat=10).median

    def step(self, rate: float) -> str:
        """Time one batched call of both networks and say what share of the machine's rate it has."""
        rows = []
        for batch in (2, 8, 32):
            flops = batch * self._flops_a_row
            timing = self._time(self._step(batch))
            share = flops / timing.median / rate
            reached = f"{flops / timing.median / 1e12:.4g} | {share:.0%}"
            rows.append(f"| {batch} | {timing} | {flops / 1e12:.4g} | {reached} |")
        side = self.settings.tile
        title = f"| batch of {side}x{side} latents | s | TFLOP | TFLOP/s | share of the machine's rate |"
        return "\n".join([title, "|---|---|---|---|---|", *rows, ""])

    def published(self, name: str) -> tuple[Timing, str]:
        """Time the loop as it was published, and say what memory it took at most."""
        self._reset_peak()
        with torch.inference_mode():
            return self._time(lambda: self._published(name), repeat=1), self._peak()

    def frames(self, name: str, published: Timing, published_peak: str) -> str:
        """Time whole frames of one size."""
        rows = []
        with torch.inference_mode():
            for label, strength in (("20 steps", None), ("warm, 6 steps", 0.3), ("warm, 4 steps", 0.2)):
                restorer = self._restorer(strength)
                carry = None if strength is None else self._restore(restorer, name, None)[0].carry
                self._reset_peak()
                timing = self._time(lambda r=restorer, c=carry: self._restore(r, name, c))
                each = timing.median / self.options.parts
                rows.append(
                    f"| {label} | {timing} | {each:.3g} | {published.median / each:.3g}x | {self._peak()} |"
                )
        columns = "s | s a frame | against the published loop | peak memory"
        title = f"| {name}, {self.options.parts} at once | {columns} |"
        loop = f"| the published loop | {published} | {published.median:.3g} | 1x | {published_peak} |"
        return "\n".join([title, "|---|---|---|---|---|", *rows, loop, ""])

    def _networks(self, dtype: torch.dtype) -> Networks:
        tiny = self.options.tiny
        own = GOLDEN / "loop" / "checkpoint" / "xpsr" / "checkpoint-300000"
        base = GOLDEN / "loop" / "checkpoint" / "stable-diffusion-v1-5"
        paths = {
            name: own / name / "config.json" if tiny else GOLDEN / f"full_{name}_config.json"
            for name in ("unet", "controlnet")
        }
        autoencoder = json.loads((base / "vae" / "config.json").read_text()) if tiny else FULL_AUTOENCODER
        schedule = json.loads((base / "scheduler" / "scheduler_config.json").read_text())
        torch.manual_seed(0)
        with torch.device(self.device):
            unet: Any = XpsrUNet.from_config(json.loads(paths["unet"].read_text()))
            controlnet: Any = XpsrControlNet.from_config(json.loads(paths["controlnet"].read_text()))
            vae: Any = AutoencoderKL.from_config(autoencoder)
        for network in (unet, controlnet, vae):
            network.to(dtype).requires_grad_(False).eval()
        return Networks(
            unet=unet,
            controlnet=controlnet,
            autoencoder=Autoencoder(vae),
            text=None,  # type: ignore[arg-type]  # texts are random
            schedule=NoiseSchedule(schedule),
            device=self.device,
            dtype=dtype,
        )

    def _step(self, batch: int) -> Callable[[], Tensor]:
        networks = self.networks
        side, dtype, device = self.settings.tile, networks.dtype, networks.device
        latents = torch.randn(batch, 4, side, side, device=device, dtype=dtype)
        image = torch.rand(batch, 3, FACTOR * side, FACTOR * side, device=device, dtype=dtype)
        words = torch.randn(batch, TOKENS, networks.unet.layout.text_width, device=device, dtype=dtype)
        steps = torch.full((batch,), 500, device=device)
        unet, controlnet = networks.unet, networks.controlnet
        text = _text(networks, words, words)
        embedded = controlnet.embed(image)

        def run() -> Tensor:
            with torch.inference_mode():
                control = controlnet(
                    latents, steps, text.control_high, text.control_low, embedded, with_heads=False
                )
                noise: Tensor = unet(
                    latents, steps, text.unet_high, text.unet_low, control.residuals, control.mid_residual
                )
                return noise

        return run

    def _flops(self) -> int:
        """Count the operations of one row of a batch."""
        counter = FlopCounterMode(display=False)
        run = self._step(2)
        with counter:
            run()
        return counter.get_total_flops() // 2

    def _restorer(self, strength: float | None) -> FrameRestorer:
        changes = {} if strength is None else {"strength": strength}
        settings = dataclasses.replace(self.settings, steps=4 if self.options.tiny else 20, **changes)
        return FrameRestorer(networks=self.networks, settings=settings, tile=settings.tile, look_back=_still)

    def _restore(self, restorer: FrameRestorer, name: str, carry: XpsrCarry | None) -> list[Restored]:
        """Restore as many frames as there are parts."""
        height, width = FRAMES[name]
        settings = restorer.settings
        states = torch.randn(
            2, TOKENS, self.networks.unet.layout.text_width, device=self.device, dtype=self.networks.dtype
        )
        text = _text(self.networks, states[:1], states[1:])
        predictor = Predictor(
            self.networks,
            conditioning_scale=1.0,
            max_batch=settings.max_batch,
            keeps_control=False,
            pads=settings.compiled,
        )
        frames: list[Denoising[Restored]] = []
        for part in range(self.options.parts):
            pixels = np.random.default_rng(part).integers(0, 256, (3, height, width), dtype=np.uint8)
            canvas = Sizes.of(pixels, settings).canvas
            draw = NoiseDraws((4, canvas[0] // FACTOR, canvas[1] // FACTOR), seed=part, index=0)
            texts = Texts(wanted=text, unwanted=text)
            frames.append(restorer.restore(pixels, texts, draw=draw, carry=carry))
        with torch.inference_mode():
            return run_together(frames, predictor)

    def _published(self, name: str) -> Tensor:
        """Run the published loop: one frame, latents in one piece, guidance as a batch of two."""
        networks, steps = self.networks, 4 if self.options.tiny else self.options.published_steps
        height, width = (side // 2 for side in FRAMES[name])
        dtype = torch.float16 if self.device.type == "cuda" else networks.dtype
        image = torch.rand(1, 3, FACTOR * height, FACTOR * width, device=self.device)
        words = torch.randn(2, TOKENS, networks.unet.layout.text_width, device=self.device, dtype=dtype)
        cast = [network.to(dtype) for network in (networks.unet, networks.controlnet)]
        unet, controlnet = cast

        def draw() -> Tensor:
            return torch.randn(1, 4, height, width, device=self.device)

        timesteps = networks.schedule.timesteps(steps, "leading")
        solver = Ddpm(networks.schedule, timesteps, draw)
        latents = networks.schedule.add_noise(networks.autoencoder.encode(image).mean, draw(), timesteps[0])
        for timestep in timesteps:
            both, pictures = latents.to(dtype).expand(2, -1, -1, -1), image.to(dtype).expand(2, -1, -1, -1)
            control = controlnet(both, timestep, words, words, pictures)
            noise = unet(both, timestep, words, words, control.residuals, control.mid_residual)
            unwanted, wanted = noise.float().chunk(2)
            latents = solver.step(unwanted + GUIDANCE_SCALE * (wanted - unwanted), timestep, latents)
        picture = networks.autoencoder.decode(latents)
        for network in cast:
            network.to(networks.dtype)
        return picture

    def _time(self, run: Callable[[], object], *, repeat: int | None = None) -> Timing:
        run()
        seconds = []
        for _ in range(repeat or self.options.repeat):
            self._wait()
            started = time.perf_counter()
            run()
            self._wait()
            seconds.append(time.perf_counter() - started)
        return Timing(seconds=seconds)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _reset_peak(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def _peak(self) -> str:
        if self.device.type != "cuda":
            return "not measured"
        return f"{torch.cuda.max_memory_allocated() / 2**30:.3g} GiB"


def _text(networks: Networks, high: Tensor, low: Tensor) -> Text:
    return Text(
        control_high=networks.controlnet.project_high(high),
        control_low=networks.controlnet.project_low(low),
        unet_high=networks.unet.project_high(high),
        unet_low=networks.unet.project_low(low),
    )


def _still(carry: XpsrCarry, seen: object, picture: Tensor, sizes: Sizes) -> Previous:
    """Take the previous frame for this one: nothing moves, so that OpenCV is not needed."""
    del seen
    height, width = (side // FACTOR for side in sizes.canvas)
    return Previous(
        picture=torch.from_numpy(carry.result)[None].to(picture.device),
        trust=torch.ones(1, 1, height, width),
        flow=np.zeros((2, height, width), dtype=np.float32),
    )


if __name__ == "__main__":
    main()
