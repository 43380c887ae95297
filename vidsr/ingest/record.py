"""OUTPUT.vidsr.json beside a finished output: which job made it, and the digest of its bytes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from vidsr.files import sha256_of, write_whole
from vidsr.job.job import Report

_REPORT = TypeAdapter(Report)


def record_path(output: Path) -> Path:
    """Return where the record of `output` is."""
    return output.with_name(output.name + ".vidsr.json")


def write_record(output: Path, *, key: str, report: Report) -> None:
    """Record that `output` is what the job `key` makes.

    Raises:
        UnwritableError, DiskFullError: naming the record.
    """
    tree = {
        "key": key,
        "size_bytes": output.stat().st_size,
        "sha256": sha256_of(output),
        "report": _REPORT.dump_python(report, mode="json"),
    }
    write_whole(record_path(output), json.dumps(tree, indent=2) + "\n")


def find_record(output: Path, *, key: str) -> Report | None:
    """Return what came of the job `key` if `output` is there as that job left it."""
    try:
        tree: dict[str, Any] = json.loads(record_path(output).read_text(encoding="utf-8"))
        report = _REPORT.validate_python(tree["report"])
        is_same = (
            tree["key"] == key
            and tree["size_bytes"] == output.stat().st_size
            and tree["sha256"] == sha256_of(output)
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # No record or a torn one, or no output: nothing is known of it.
        return None
    return replace(report, output=output) if is_same else None
