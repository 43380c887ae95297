"""Restores one file after the other, and says what came of each.

Reads one path a line, writes one line of JSON a path: the exit code, or the exception that got away.
"""

import json
import sys
import tempfile
import traceback
from pathlib import Path

import vidsr

OVERRIDES = {
    "restore.restorer": "bicubic",
    "restore.scale": 2,
    "caption.captioner": "none",
    "encode.preset": "ultrafast",
    "encode.threads": 1,
    "plan.part_frames": 16,
    "limits.open_seconds": 20,
}
MEMORY_BYTES = 6 * 2**30


def main() -> None:
    """Work until there is no path left."""
    _bound()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_restore(Path(line.rstrip("\n")))) + "\n")
        sys.stdout.flush()


def _bound() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _restore(path: Path) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        try:
            report = vidsr.enhance(path, Path(folder) / "out.mkv", overrides=OVERRIDES)
            result: dict[str, object] = {"exit_code": report.exit_code, "message": ""}
        except vidsr.VidsrError as error:
            result = {"exit_code": error.exit_code, "message": str(error)}
        except BaseException:  # noqa: BLE001  # what is looked for
            result = {"exit_code": None, "message": traceback.format_exc()}
        return {**result, "left": sorted(left.name for left in Path(folder).iterdir())}


if __name__ == "__main__":
    main()
