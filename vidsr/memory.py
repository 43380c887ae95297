"""How the process keeps its memory."""

import ctypes
import sys

MAX_HEAP_BLOCK = 32 * 2**20
"""Bytes up to which a block comes from the heap: the most that glibc allows, a 1080p picture in float32."""
MAX_HEAP_FREE = 2**30
"""Bytes that may lie free at the end of a heap before they go back to the system."""

# From <malloc.h>.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3


def keep_freed_blocks() -> None:
    """Have the C library keep the memory of freed pictures for the next ones.

    A pipeline frees and takes pictures of some megabytes all the time. glibc gives such blocks back to the
    system at once, which then has to clear each of their pages again: a tenth of a whole run. It is for the
    owner of the process, which a library is not, to decide on this, so only the command line calls it. Where
    the C library is another one nothing is done.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, MAX_HEAP_BLOCK)
        library.mallopt(_TRIM_THRESHOLD, MAX_HEAP_FREE)
