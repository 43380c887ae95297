"""Restores the sample clip and shows where the result is: what `make demo` runs.

Beside the video it writes a picture: the middle frame, enlarged by bicubic on the left, restored on the
right.
"""

from pathlib import Path

import av
from PIL import Image

import vidsr
from vidsr.events import listener_for

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "demo"


def main() -> None:
    """Restore, compare, report."""
    OUTPUT.mkdir(exist_ok=True)
    source = HERE / "sample.mp4"
    report = vidsr.enhance(
        source, OUTPUT / "sample_restored.mp4", overwrite=True, on_event=listener_for("auto")
    )
    picture = OUTPUT / "before_after.png"
    side_by_side(source, report.output, index=report.num_frames // 2).save(picture)
    print(f"restored video: {report.output} ({report.num_frames} frames in {report.seconds:.0f} s)")
    print(f"before and after: {picture}")


def side_by_side(source: Path, restored: Path, *, index: int) -> Image.Image:
    """Return frame `index` of both, the source enlarged to the size of the restored."""
    after = frame_at(restored, index)
    before = frame_at(source, index).resize(after.size, Image.Resampling.BICUBIC)
    both = Image.new("RGB", (2 * after.width, after.height))
    both.paste(before, (0, 0))
    both.paste(after, (after.width, 0))
    return both


def frame_at(path: Path, index: int) -> Image.Image:
    """Return frame `index` in presentation order."""
    with av.open(path) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == index:
                return frame.to_image()
    msg = f"{path}: has no frame {index}"
    raise IndexError(msg)


if __name__ == "__main__":
    main()
