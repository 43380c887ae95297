"""Damaged files of every kind: no exception gets away, nothing crashes or hangs, nothing is left behind.

Time-boxed by VIDSR_FUZZ_SECONDS (4 by default, 60 in `make fuzz`); VIDSR_FUZZ_SEED is the first seed. A file
that fails is named by its class and seed: `python -m tests.fuzz.one CLASS SEED FILE` makes it again.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import corpus
from tests.fuzz.mutate import mutated

SECONDS = float(os.environ.get("VIDSR_FUZZ_SECONDS", "4"))
FIRST_SEED = int(os.environ.get("VIDSR_FUZZ_SEED", "0"))
PATIENCE_SECONDS = 60
"""For one file; they take a tenth of a second."""
DOCUMENTED = {0, 2, 3, 4, 5, 75}
"""What README says a run may come to that no signal ended."""
CLASSES = (
    "b_frames", "vfr_mp4", "edit_list", "tracks_mkv", "tracks_mp4", "tracks_mov", "cover_mp4", "fragmented",
    "negative_b_frames", "transport_stream", "splice_with_sound", "avi", "no_times", "interlaced_bottom",
    "gif", "apng", "still", "hdr10", "alpha_vp9", "alpha_prores", "odd_420", "rgb_16", "turned_90",
    "sound_as_samples", "sound_of_six_channels",
)  # fmt: skip
FOUND = (
    ("transport_stream", 9), ("apng", 40), ("negative_b_frames", 108), ("turned_90", 172),
    ("tracks_mov", 1105), ("tracks_mov", 3055), ("tracks_mkv", 3278), ("cover_mp4", 3381),
    ("tracks_mov", 3580), ("interlaced_bottom", 10188), ("transport_stream", 10634), ("turned_90", 11047),
    ("turned_90", 11447), ("fragmented", 11507), ("transport_stream", 20409), ("tracks_mp4", 42004),
)  # fmt: skip
"""What failed once: classes and seeds that come first in every run."""
ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A process that restores; a new one takes its place when it dies."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def restore(self, path: Path) -> dict[str, object]:
        """Return what came of a file."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            return {"exit_code": None, "message": f"no answer for {PATIENCE_SECONDS} s", "left": []}
        if not line:
            return {"exit_code": None, "message": f"it crashed with {self._process.wait()}", "left": []}
        answer: dict[str, object] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def cases(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield class, seed and content of damaged files, each class in turn, until the time is over."""
    for name, seed in FOUND:
        yield name, seed, mutated(corpus.make(name, folder).read_bytes(), seed)
    end = time.monotonic() + SECONDS
    seed = FIRST_SEED
    while time.monotonic() < end:
        name = CLASSES[seed % len(CLASSES)]
        yield name, seed, mutated(corpus.make(name, folder).read_bytes(), seed)
        seed += 1


def complaint(result: dict[str, object]) -> str:
    """Return what is wrong with what came of a file; nothing where all is as it should be."""
    code = result["exit_code"]
    if code not in DOCUMENTED:
        return f"exit code {code}: {result['message']}"
    wanted = ["out.mkv"] if code in {0, 4} else []
    return "" if result["left"] == wanted else f"{result['left']} were left with exit code {code}"


def test_damaged_files_end_in_order(corpus_folder: Path, tmp_path: Path) -> None:
    complaints, codes = [], []
    worker = Worker()
    try:
        for name, seed, content in cases(corpus_folder):
            path = tmp_path / f"{name}-{seed}{corpus.EVERY[name].suffix}"
            path.write_bytes(content)
            result = worker.restore(path)
            codes.append(result["exit_code"])
            if problem := complaint(result):
                complaints.append(f"{name} {seed}: {problem}")
            if result["exit_code"] is None:
                worker.close()
                worker = Worker()
            path.unlink()
    finally:
        worker.close()
    assert not complaints, "\n".join(complaints)
    assert len(codes) > len(FOUND), "it hardly began"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"exit_code": None, "message": "Traceback", "left": []}, "Traceback"),
        ({"exit_code": 1, "message": "differs", "left": []}, "exit code 1"),
        ({"exit_code": 3, "message": "", "left": ["out.mkv.vidsr"]}, "were left"),
        ({"exit_code": 0, "message": "", "left": []}, "were left"),
    ],
)
def test_what_is_wrong_is_complained_of(result: dict[str, object], words: str) -> None:
    assert words in complaint(result)
    assert not complaint({"exit_code": 4, "message": "", "left": ["out.mkv"]})
    assert not complaint({"exit_code": 3, "message": "", "left": []})


def test_the_same_seed_makes_the_same_damage() -> None:
    content = bytes(range(256)) * 40
    assert mutated(content, 7) == mutated(content, 7)
    assert len({mutated(content, seed) for seed in range(50)} | {content}) == 51
