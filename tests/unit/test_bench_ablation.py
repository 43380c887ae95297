"""The ablation bench runs, at tiny size."""

import json
import sys
from pathlib import Path

import pytest

from tests.bench import ablation


def test_one_command_makes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ablation", "--output", str(tmp_path), "--steps", "1"])
    ablation.main()
    printed = capsys.readouterr().out
    rows = {row["left_out"]: row for row in json.loads((tmp_path / "ablation.json").read_text())}
    assert all(f"| {name} |" in printed for name in rows)
    assert list(rows) == list(ablation.PART_NAMES.values())
    whole, fusion, heads, captions = rows.values()
    assert fusion["num_trained"] < heads["num_trained"] < whole["num_trained"] == captions["num_trained"]
    assert len({row["noise"] for row in rows.values()}) == 4
