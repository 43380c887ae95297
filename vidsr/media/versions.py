"""Which decoder this is: a plan holds for the one that made it."""

import av

LIBRARIES = ("libavcodec", "libavformat", "libswscale")


def media_versions() -> dict[str, str]:
    """Return the versions of PyAV and of the FFmpeg libraries in it."""
    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in LIBRARIES}
    return {"av": av.__version__, **libraries}
