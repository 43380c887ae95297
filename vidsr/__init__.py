"""Video restoration and upscaling with a diffusion model that reads.

    import vidsr

    report = vidsr.enhance("in.mp4", overrides={"restore.scale": 2})
    picture = vidsr.open_restorer("xpsr-s").restore_image(pixels)   # uint8 [H, W, 3] RGB

Importing this module is cheap: codecs, torch and models are imported by what uses them.
"""

from typing import TYPE_CHECKING, Any

from vidsr.errors import VidsrError
from vidsr.version import __version__

if TYPE_CHECKING:
    from vidsr.api import enhance, plan
    from vidsr.job.job import Job, Report
    from vidsr.restore.picture import open_restorer
    from vidsr.types import Prior

__all__ = ["Job", "Prior", "Report", "VidsrError", "__version__", "enhance", "open_restorer", "plan"]

_HOMES = {
    "Job": "vidsr.job.job",
    "Prior": "vidsr.types",
    "Report": "vidsr.job.job",
    "enhance": "vidsr.api",
    "open_restorer": "vidsr.restore.picture",
    "plan": "vidsr.api",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  # PEP 562: each name has its own type
    if name not in _HOMES:
        msg = f"module 'vidsr' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
