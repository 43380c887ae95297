"""The bench for GPUs runs, at tiny size and without the packages that a bare machine lacks."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import runpy, sys
for name in ("av", "cv2", "einops", "transformers", "pydantic", "decord", "typer"):
    sys.modules[name] = None
sys.argv = ["xpsr_gpu", "--tiny", "--device", "cpu", "--dtype", "float32", "--repeat", "1"]
runpy.run_module("tests.bench.xpsr_gpu", run_name="__main__")
"""


def test_the_bench_runs_with_torch_diffusers_and_numpy_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for row in ("share of the machine's rate", "| 32 |", "20 steps", "warm, 4 steps", "the published loop"):
        assert row in done.stdout
