"""A program of its own: opens a file within bounds of memory and time, and says what it asks for.

    python opener.py PATH '{"open_memory_bytes": ..., "open_seconds": ..., "options": {...}}'

It prints one line of JSON. Where the bounds are too narrow, or FFmpeg crashes, it ends without one.
"""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

import av
import av.logging
from av.container import InputContainer

MEMORY_EXIT = 12
"""Exit code where the memory did not suffice: ENOMEM."""
MANY_STREAMS = 1_000_000
"""More than FFmpeg's own thousand, so that they can be counted."""

_REFUSED_SIZE = re.compile(r"Picture size (\d+)x(\d+) ")


def main(path: str, bounds: Mapping[str, Any]) -> int:
    """Open `path` and print what it asks for; return the exit code."""
    _bound(bounds["open_memory_bytes"], bounds["open_seconds"])
    av.logging.set_level(av.logging.ERROR)
    options = {**bounds["options"], "max_streams": str(MANY_STREAMS)}
    with av.logging.Capture(local=False) as logs:
        try:
            with av.open(f"file:{path}", options=options, metadata_errors="replace") as file:
                asked = _asked(file)
        except MemoryError:
            return MEMORY_EXIT
        except (av.error.FFmpegError, OSError, ValueError):
            # Whoever opens it next says what is wrong with it.
            asked = {}
    sizes = [match.groups() for _, _, text in logs if (match := _REFUSED_SIZE.search(text))]
    if sizes:
        asked["size"] = max(
            ([int(side) for side in size] for size in sizes), key=lambda size: size[0] * size[1]
        )
    sys.stdout.write(json.dumps(asked) + "\n")
    return 0


def _asked(file: InputContainer) -> dict[str, Any]:
    tags = [file.metadata, *(stream.metadata for stream in file.streams)]
    chapters = file.chapters()
    tags += [chapter["metadata"] for chapter in chapters]
    sizes = [
        (stream.codec_context.width, stream.codec_context.height)
        for stream in file.streams.video
        if stream.codec_context
    ]
    return {
        "num_streams": len(file.streams),
        "num_chapters": len(chapters),
        "tag_bytes": sum(len(key) + len(value) for tag in tags for key, value in tag.items()),
        "size": max(sizes, key=lambda size: size[0] * size[1], default=(0, 0)),
    }


def _bound(memory_bytes: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows, where the caller's patience is the only bound
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
