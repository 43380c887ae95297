"""Memory does not grow with the length of the video, and a plan costs few bytes a frame."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import corpus

ROOT = Path(__file__).resolve().parents[2]
MINUTES = 30
CHILD = """
import json, resource, sys
import vidsr
from vidsr.job.plan_file import to_json

overrides = {"restore.restorer": "bicubic", "restore.scale": 2, "caption.captioner": "none",
             "encode.preset": "ultrafast"}
report = vidsr.enhance(sys.argv[1], sys.argv[2], overrides=overrides)
peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
plan = vidsr.plan(sys.argv[1], sys.argv[2], overrides=overrides)
columns = sum(getattr(plan.frames, name).nbytes for name in plan.frames.__slots__)
print(json.dumps({"peak_bytes": peak_bytes, "num_frames": report.num_frames, "exit_code": report.exit_code,
                  "disk_bytes": len(to_json(plan)), "table_bytes": columns}))
"""


def restored(minutes: int, folder: Path) -> dict[str, int]:
    """Restore a video of so many minutes in a process of its own, and return what it took."""
    source = folder / f"{minutes}.mkv"
    seconds = str(60 * minutes)
    picture = ("-f", "lavfi", "-t", seconds, "-i", corpus.PICTURE)
    sound = ("-f", "lavfi", "-t", seconds, "-i", "sine=f=440:r=48000")
    encoders = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "250", "-c:a", "aac")
    corpus.run([*picture, *sound, *encoders, str(source)])
    # How many pages lie half empty in glibc's heaps, one for each thread, is chance: some megabytes.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", CHILD, str(source), str(folder / f"{minutes}-out.mkv")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, int] = json.loads(done.stdout)
    return result


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not count what a process takes at most")
def test_half_an_hour_takes_the_memory_of_a_minute(tmp_path: Path) -> None:
    short, long = restored(1, tmp_path), restored(MINUTES, tmp_path)
    assert (short["num_frames"], long["num_frames"]) == (1500, 45_000)
    assert short["exit_code"] == long["exit_code"] == 0
    assert long["peak_bytes"] < 1.05 * short["peak_bytes"], (short, long)
    assert long["disk_bytes"] < 100 * long["num_frames"], long
    assert long["table_bytes"] <= 32 * long["num_frames"], long
