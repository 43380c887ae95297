"""Settings under which a whole run takes a moment."""

QUICK = {
    "restore.restorer": "bicubic",
    "restore.scale": 2,
    "caption.captioner": "none",
    "encode.preset": "ultrafast",
}
QUICK_PARTS = QUICK | {"plan.part_frames": 8}
"""In several parts, also where a shot has few frames."""
