"""How fast and how large: whole runs of the command line, each stage by itself, and ffmpeg doing the same.

    python -m tests.bench.end_to_end [--repeat 3] [--seconds 60] [--json FILE] [WHAT ...]

WHAT is bicubic, memory, xpsr-s or stages; all of them by default.

Every figure is a whole process, start-up included, but for `stages`. What is compared runs in turn, A B A B,
so that a machine that slows down slows both. Median and spread are printed, never a best value.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import ffmpeg
import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
PACKAGES = ("vidsr", "torch", "av", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One process from start to end."""

    seconds: float
    peak_bytes: int


def main() -> None:
    """Run the chosen measurements and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="*", metavar="WHAT")
    parser.add_argument(
        "--repeat", type=int, default=3, help="counted runs of each command, after one warm-up"
    )
    parser.add_argument("--seconds", type=int, default=60, help="length of the bicubic and memory clips")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there too")
    options = parser.parse_args()
    figures: dict[str, object] = {"machine": machine(), "repeat": options.repeat}
    print(json.dumps(figures["machine"], indent=2))
    with tempfile.TemporaryDirectory() as folder:
        for name in options.what or MEASUREMENTS:
            figures[name] = MEASUREMENTS[name](Path(folder), options.repeat, options.seconds)
            print(f"{name}: {json.dumps(figures[name], indent=2)}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, object]:
    """Say what the figures were measured on."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return {
        "processor": capabilities.get("cpu_name", platform.processor()),
        "cores": os.cpu_count(),
        "bfloat16": [name for name in ("avx512_bf16", "amx_bf16") if capabilities.get(name)],
        "python": platform.python_version(),
        "ffmpeg": imageio_ffmpeg.get_ffmpeg_version(),
        **{package: version(package) for package in PACKAGES},
    }


def bicubic(folder: Path, repeat: int, seconds: int) -> dict[str, object]:
    """640x360 to 1280x720, x264 medium, sound copied: vidsr against ffmpeg's own scale filter."""
    clip = make_clip(folder / "bicubic.mp4", size="640x360", rate=30, seconds=seconds)
    output = folder / "out.mp4"

    def ours() -> list[str]:
        settings = ["--set", "caption.captioner=none", "--restorer", "bicubic", "--scale", "2"]
        return vidsr("run", clip, "-o", output, "--overwrite", "--progress", "none", *settings)

    def theirs() -> list[str]:
        source = ffmpeg.input(str(clip))
        scaled = source.video.filter("scale", "iw*2", "ih*2", flags="bicubic")
        encoder = {"c:v": "libx264", "preset": "medium", "crf": 18, "threads": 4, "c:a": "copy"}
        return (
            ffmpeg.output(scaled, source.audio, str(output), **encoder).overwrite_output().compile(cmd=FFMPEG)
        )

    runs = in_turn({"vidsr": ours, "ffmpeg": theirs}, repeat)
    ratios = [
        theirs.seconds / ours.seconds for ours, theirs in zip(runs["vidsr"], runs["ffmpeg"], strict=True)
    ]
    frames = 30 * seconds
    return {
        **{name: summary(results, frames) for name, results in runs.items()},
        "speed_relative_to_ffmpeg": spread(ratios),
    }


def memory(folder: Path, repeat: int, seconds: int) -> dict[str, object]:
    """Peak memory of a short and a long clip."""
    clips = {
        length: make_clip(folder / f"{length}.mp4", size="320x180", rate=25, seconds=length)
        for length in (10, seconds)
    }

    def command(clip: Path) -> Callable[[], list[str]]:
        settings = ["--set", "caption.captioner=none", "--restorer", "bicubic", "--scale", "2"]
        return lambda: vidsr(
            "run", clip, "-o", folder / "out.mp4", "--overwrite", "--progress", "none", *settings
        )

    runs = in_turn({f"{length} s": command(clip) for length, clip in clips.items()}, repeat)
    short, long = (statistics.median(run.peak_bytes for run in results) for results in runs.values())
    return {
        **{name: summary(results, 1) for name, results in runs.items()},
        "long_relative_to_short": round(long / short, 4),
    }


def xpsr_s(folder: Path, repeat: int, seconds: int) -> dict[str, object]:
    """480x270 to 1920x1080 with the embedded model: its default, its steps, and both number formats."""
    del seconds
    frames = 32
    variants: dict[str, dict[str, object]] = {
        "default, bfloat16": {"dtype": "bfloat16"},
        "default, float32": {"dtype": "float32"},
        **{f"{steps} steps, bfloat16": {"dtype": "bfloat16", "steps": steps} for steps in (0, 1, 2, 4)},
        "4 steps a frame without warm start, bfloat16": {
            "dtype": "bfloat16",
            "steps": 4,
            "warm_start": "false",
        },
    }
    clip = make_clip(folder / "xpsr.mp4", size="480x270", rate=16, seconds=2)

    def command(settings: dict[str, object]) -> Callable[[], list[str]]:
        where = ["-o", folder / "out.mp4", "--overwrite", "--progress", "none"]
        chosen = [part for name, value in settings.items() for part in ("--set", f"restore.{name}={value}")]
        return lambda: vidsr("run", clip, *where, *chosen)

    runs = in_turn({name: command(settings) for name, settings in variants.items()}, repeat)
    return {name: summary(results, frames) for name, results in runs.items()}


def stages(folder: Path, repeat: int, seconds: int) -> dict[str, object]:
    """Frames per second of each stage by itself, 480x270 to 1920x1080, one warm-up, in one process."""
    del seconds
    from vidsr import build, config
    from vidsr.job.job import Job
    from vidsr.job.run import plan_only
    from vidsr.media.decode import open_source
    from vidsr.media.encode import SegmentWriter
    from vidsr.types import Frame, Prior, Work

    clip = make_clip(folder / "stages.mp4", size="480x270", rate=32, seconds=2)
    built = build.build_stages(config.load(environment={}))
    plan = plan_only(Job(input=clip), built)
    restorer = built.restorer.make()
    count = 24

    def decode() -> list[Frame]:
        source = open_source(clip, plan.info, plan.frames, linear=True)
        try:
            return list(islice(source.frames(0, count), count))
        finally:
            source.close()

    decoded = decode()

    def restore() -> list[Frame]:
        carry, made = None, []
        for frame in decoded:
            work = Work(part_index=0, frame=frame, prior=Prior(), carry=carry, seed=0)
            (done,) = restorer.step([work])
            carry = done.carry
            made.append(done.frame)
        return made

    restored = restore()

    def encode() -> None:
        writer = SegmentWriter(folder / "segment.mkv", settings=built.encode, output=plan.output)
        for frame in restored:
            writer.write(frame)
        writer.close()

    timed = {"decode": decode, "restore": restore, "encode": encode}
    return {name: spread([count / wall(stage) for _ in range(repeat)]) for name, stage in timed.items()}


def make_clip(path: Path, *, size: str, rate: int, seconds: int) -> Path:
    """Make moving detail with film grain and a tone; the same file every time."""
    picture = f"testsrc2=s={size}:r={rate}:d={seconds},noise=alls=12:allf=t:all_seed=1"
    sound = f"sine=f=440:d={seconds}"
    codecs = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    subprocess.run([FFMPEG, "-loglevel", "error", "-y", *inputs, *codecs, str(path)], check=True)
    return path


def vidsr(*arguments: str | Path) -> list[str]:
    """Return the command line of `vidsr` with this interpreter."""
    return [sys.executable, "-m", "vidsr", *map(str, arguments)]


def in_turn(commands: dict[str, Callable[[], list[str]]], repeat: int) -> dict[str, list[Measured]]:
    """Run the commands one after the other, once to warm up and `repeat` times for the record."""
    runs: dict[str, list[Measured]] = {name: [] for name in commands}
    for turn in range(repeat + 1):
        for name, command in commands.items():
            measured = run(command())
            if turn:
                runs[name].append(measured)
    return runs


def run(command: list[str]) -> Measured:
    """Run a command to its end; its failure ends the benchmark."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    message = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        text = f"{' '.join(command)} failed with {process.returncode}: {message.decode()}"
        raise SystemExit(text)
    return Measured(seconds=seconds, peak_bytes=_max_rss(usage))


def _max_rss(usage: resource.struct_rusage) -> int:
    # Linux counts kibibytes, macOS bytes.
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def wall(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def summary(results: list[Measured], frames: int) -> dict[str, object]:
    """Return the figures of one command."""
    return {
        "seconds": spread([result.seconds for result in results]),
        "frames_per_second": spread([frames / result.seconds for result in results]),
        "peak_mebibytes": spread([result.peak_bytes / 2**20 for result in results]),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return median, least and greatest."""
    return {
        "median": _rounded(statistics.median(values)),
        "min": _rounded(min(values)),
        "max": _rounded(max(values)),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


MEASUREMENTS: dict[str, Callable[[Path, int, int], dict[str, object]]] = {
    "bicubic": bicubic,
    "memory": memory,
    "xpsr-s": xpsr_s,
    "stages": stages,
}


if __name__ == "__main__":
    main()
