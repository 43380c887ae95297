"""VMAF by the ffmpeg program, which is given the frames in pairs: no other decoder or clock has a say."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from vidsr.errors import MachineError

MODEL = "vmaf_v0.6.1"
MIN_SIDE = 32
"""Of 16 pixels libvmaf 3 reads outside of the picture and is killed; its coarsest scale wants some room."""
_LOG = "vmaf.json"
_RATE = 25

Pixels = NDArray[np.uint8]


def has_vmaf() -> bool:
    """Say whether the ffmpeg program was built with libvmaf."""
    done = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-filters"],
        capture_output=True,
        text=True,
        check=False,
    )
    return " libvmaf " in done.stdout


def vmaf_source() -> str:
    """Return what computes the figure: the model, and the program with its version."""
    return f"{MODEL}, libvmaf of ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}"


def vmaf(pairs: Iterable[tuple[Pixels, Pixels]]) -> float | None:
    """Return the mean VMAF over the frames of a clip; 100 is the best there is. None for tiny pictures.

    Args:
        pairs: (restored, clean), uint8 RGB [H, W, 3], in the order of their time and all of one size.

    Raises:
        MachineError: the ffmpeg program fails.
    """
    pairs = iter(pairs)
    first = next(pairs)
    height, width = first[0].shape[:2]
    if min(height, width) < MIN_SIDE:
        return None
    with tempfile.TemporaryDirectory() as folder:
        _run(_graph(height, width), chain([first], pairs), folder=Path(folder))
        log = json.loads((Path(folder) / _LOG).read_text(encoding="utf-8"))
    return float(log["pooled_metrics"]["vmaf"]["mean"])


def _graph(height: int, width: int) -> Any:  # noqa: ANN401  # ffmpeg-python has no types
    """Return ffmpeg-python's description of the run: in each picture the clean frame is below."""
    both = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="rgb24", video_size=(width, 2 * height), framerate=_RATE
    ).split()
    # VMAF looks at luma; with 4:4:4 no size needs padding.
    restored, clean = (
        both[index]
        .filter("crop", width, height, 0, top)
        .filter("scale", out_color_matrix="bt709", out_range="tv")
        .filter("format", "yuv444p")
        for index, top in enumerate((0, height))
    )
    judged = ffmpeg.filter(
        [restored, clean],
        "libvmaf",
        model=f"version={MODEL}",
        n_threads=1,
        log_fmt="json",
        log_path=_LOG,
    )
    return ffmpeg.output(judged, "-", format="null").global_args("-hide_banner", "-loglevel", "error")


def _run(graph: Any, pairs: Iterable[tuple[Pixels, Pixels]], *, folder: Path) -> None:  # noqa: ANN401  # see _graph
    command = graph.compile(cmd=imageio_ffmpeg.get_ffmpeg_exe())
    complaints = folder / "stderr"
    with complaints.open("wb") as stderr:
        # In a session of its own it does not hear the terminal's Ctrl-C: who stops it is this process.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=folder,
            start_new_session=True,
        )
    assert process.stdin is not None  # it is a pipe
    try:
        for pair in pairs:
            for pixels in pair:
                process.stdin.write(np.ascontiguousarray(pixels).data)
    except BrokenPipeError:
        # The program has ended early, and says why below.
        pass
    except BaseException:
        process.kill()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        code = process.wait()
    if code:
        said = complaints.read_text(encoding="utf-8", errors="replace").strip().partition("\n")[0]
        msg = f"the ffmpeg program could not compute VMAF (exit {code}): {said}"
        raise MachineError(msg)
