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
    """Return where the record of a job is that asks for `output`."""
    return output.with_name(output.name + ".vidsr.json")


def write_record(asked_for: Path, *, key: str, report: Report) -> None:
    """Record that the report's output is what the job `key` makes, which asks for `asked_for`.

    The two differ in their endings where the container that holds everything does not go with the one asked
    for.

    Raises:
        UnwritableError, DiskFullError: naming the record.
    """
    output = report.output
    tree = {
        "key": key,
        "output": output.name,
        "size_bytes": output.stat().st_size,
        "sha256": sha256_of(output),
        "report": _REPORT.dump_python(report, mode="json"),
    }
    write_whole(record_path(asked_for), json.dumps(tree, indent=2) + "\n")


def find_record(asked_for: Path, *, key: str) -> Report | None:
    """Return what came of the job `key`, which asks for `asked_for`, if its output is there as it left it."""
    try:
        tree: dict[str, Any] = json.loads(record_path(asked_for).read_text(encoding="utf-8"))
        output = asked_for.with_name(tree["output"])
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
