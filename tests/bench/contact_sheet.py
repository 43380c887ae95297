"""A sheet to look at: what becomes of a face, skin, text, foliage, sky, line art, fur and brick.

    python tools/fetch_sheet_pictures.py --output PICTURES
    python -m tests.bench.contact_sheet --pictures PICTURES --output docs/contact_sheet.jpg [--weights FILE]

Each subject is reduced to a quarter and degraded by the set `light`, as follows from --seed and its row, then
enlarged by bicubic and by xpsr-s: its estimate, its default, and all of the diffused texture. The original is
beside them, and above them what was done and what the captioner measured. A table of PSNR is printed.
"""

import argparse
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.bench.drawings import line_art, printed_text
from tests.bench.end_to_end import machine
from tests.bench.methods import Restore, enlargements
from tests.bench.samples import picture, read_set
from tests.bench.targets import BICUBIC, DEFAULT, ESTIMATE
from tests.bench.threads import one_thread
from tests.bench.xpsr_s import at_full_strength, xpsr_s
from vidsr.evaluate.clips import read_picture
from vidsr.evaluate.image import Pixels, psnr
from vidsr.models.compact import weights
from vidsr.train.draw import Draw

SIDE = 256
"""Of a cell."""
GAP = 6
LINE = 20
"""Height of a line of text."""
SIZE_LIMIT = 700_000
"""Bytes of the file."""
QUALITIES = range(95, 40, -3)
BACKGROUND, TEXT = (255, 255, 255), (20, 20, 20)
ORIGINAL = "original"


class Window(NamedTuple):
    """A square of a picture."""

    top: int
    left: int
    side: int = SIDE


WHOLE = Window(0, 0)
"""Of what is no larger than a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A row of the sheet."""

    title: str
    source: str | Callable[[], Pixels]
    """Name of a picture of tools/fetch_sheet_pictures.py, or what draws one."""
    window: Window = WHOLE
    """What of it is restored."""
    shown: Window = WHOLE
    """What of that is shown, enlarged to the cell where it is smaller."""


FACE = Window(0, 96)
SUBJECTS = (
    Subject(title="face", source="astronaut.png", window=FACE),
    Subject(
        title="skin",
        source="astronaut.png",
        window=FACE,
        shown=Window(72, 66, 128),
    ),
    Subject(title="lettering on cloth", source="astronaut.png", window=Window(200, 112)),
    Subject(title="text, drawn", source=printed_text),
    Subject(title="foliage", source="china.jpg", window=Window(168, 384)),
    Subject(title="sky", source="rocket.jpg", window=Window(96, 128)),
    Subject(title="line art, drawn", source=line_art),
    Subject(title="fur", source="chelsea.png", window=Window(20, 120)),
    Subject(title="brick", source="brick.png", window=Window(128, 128)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A subject as every column shows it."""

    subject: Subject
    truth: str
    """Words for what was done."""
    measured: str
    """Words of the captioner."""
    columns: Mapping[str, Pixels]


def main(subjects: Sequence[Subject] = SUBJECTS) -> None:
    """Restore the subjects and write the sheet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--pictures", type=Path, required=True, help="folder of tools/fetch_sheet_pictures.py"
    )
    parser.add_argument("--output", type=Path, required=True, help="the JPEG to write")
    parser.add_argument("--weights", type=Path, default=weights.SHIPPED, help="of xpsr-s")
    parser.add_argument("--seed", type=int, default=2024, help="of the degradation")
    options = parser.parse_args()
    digest = weights.digest(options.weights)[:12]
    print(json.dumps({**machine(), "weights": digest, "seed": options.seed}))
    with one_thread():
        found = columns_of(options.weights)
        results = [
            restore(subject, found, pictures=options.pictures, draw=Draw(options.seed, row))
            for row, subject in enumerate(subjects)
        ]
    print(table(results))
    content = jpeg(lay_out(results))
    options.output.write_bytes(content)
    print(f"{options.output}: {len(content):,} bytes")


def columns_of(path: Path) -> dict[str, Restore]:
    """Return what enlarges, by the title of its column."""
    steps = weights.read_info(path).steps
    names = {"bicubic": BICUBIC, "estimate": ESTIMATE}
    if steps:
        names |= {"default": DEFAULT, "strength 1": f"xpsr-s {at_full_strength(steps)}"}
    methods = [*enlargements(), *xpsr_s(path, part_frames=1)]
    found = {method.name: method.restore for method in methods if method.restore is not None}
    return {title: found[name] for title, name in names.items()}


def restore(subject: Subject, found: Mapping[str, Restore], *, pictures: Path, draw: Draw) -> Result:
    """Degrade a subject and enlarge it by every method."""
    clean = cut(source_of(subject, pictures), subject.window)
    sample = picture(subject.title, clean, read_set("light"), draw)
    made = {title: method(sample).frames[0] for title, method in found.items()}
    return Result(
        subject=subject,
        truth=sample.true.low_level,
        measured=sample.measured.low_level,
        columns={**made, ORIGINAL: clean},
    )


def source_of(subject: Subject, pictures: Path) -> Pixels:
    """Return the whole picture that a subject is cut from."""
    if callable(subject.source):
        return subject.source()
    return read_picture(pictures / subject.source)


def cut(pixels: Pixels, window: Window) -> Pixels:
    """Return a square of a picture."""
    top, left, side = window
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def lay_out(results: Sequence[Result]) -> Image.Image:
    """Return the sheet: a row for each result with its title above, a column for each method."""
    titles = list(results[0].columns)
    width = GAP + len(titles) * (SIDE + GAP)
    row_height = LINE + SIDE + GAP
    sheet = Image.new("RGB", (width, LINE + GAP + len(results) * row_height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(LINE - 6)
    for column, title in enumerate(titles):
        draw.text((GAP + column * (SIDE + GAP), GAP // 2), title, fill=TEXT, font=font)
    for row, result in enumerate(results):
        top = LINE + GAP + row * row_height
        draw.text((GAP, top), heading(result), fill=TEXT, font=font)
        for column, title in enumerate(titles):
            cell = Image.fromarray(cut(result.columns[title], result.subject.shown))
            cell = cell.resize((SIDE, SIDE), Image.Resampling.NEAREST)
            sheet.paste(cell, (GAP + column * (SIDE + GAP), top + LINE))
    return sheet


def heading(result: Result) -> str:
    """Return what stands above a row."""
    return f"{result.subject.title}. Done: {result.truth}. Measured: {result.measured}."


def jpeg(sheet: Image.Image, *, limit: int = SIZE_LIMIT) -> bytes:
    """Return the sheet in the best quality that `limit` bytes have room for.

    Raises:
        ValueError: there is none.
    """
    for quality in QUALITIES:
        stream = io.BytesIO()
        sheet.save(stream, "JPEG", quality=quality, subsampling=0)
        if stream.tell() <= limit:
            return stream.getvalue()
    msg = f"the sheet takes more than {limit:,} bytes at quality {QUALITIES[-1]}; show fewer subjects"
    raise ValueError(msg)


def table(results: Sequence[Result]) -> str:
    """Return what was done to each subject, what was measured, and how near each column comes."""
    titles = [title for title in results[0].columns if title != ORIGINAL]
    lines = [
        f"| subject | done | measured | PSNR-Y: {' | '.join(titles)} |",
        "|---" * (3 + len(titles)) + "|",
    ]
    for result in results:
        figures = [f"{psnr(result.columns[title], result.columns[ORIGINAL]):.2f}" for title in titles]
        words = [result.subject.title, result.truth, result.measured]
        lines.append(f"| {' | '.join(words + figures)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
