"""Fetch the pictures of the contact sheet out of packages.

    python tools/fetch_sheet_pictures.py --output runs/sheet
    python -m tests.bench.contact_sheet --pictures runs/sheet --output docs/contact_sheet.jpg

None is among what the models were trained on. Each is free to publish, and the package says so itself: the
words are looked for before a picture is taken, and its digest is checked. pictures.json has the credits.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from packages import Fetched, ToolError, check_digest, command, command_line, fetch_python, find_file

ENDINGS = (".png", ".jpg", "README.txt", "_fetchers.py")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture, and what its package says about it."""

    name: str
    """Path in the package; its last part is the name in the output folder."""
    package: str
    version: str
    sha256: str
    licence: str
    credits: str
    stated_in: str
    """The file of the package that states the licence."""
    statement: str
    """Its words there."""


SKIMAGE = {"package": "scikit-image", "version": "0.26.0", "stated_in": "skimage/data/_fetchers.py"}
PICTURES = (
    Picture(
        name="skimage/data/astronaut.png",
        sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        licence="public domain",
        credits="Eileen Collins, NASA",
        statement="No known copyright restrictions, released into the public domain.",
        **SKIMAGE,
    ),
    Picture(
        name="skimage/data/chelsea.png",
        sha256="596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        licence="CC0-1.0",
        credits="Chelsea the cat, Stefan van der Walt",
        statement="No copyright restrictions.  CC0 by the photographer (Stefan van der Walt).",
        **SKIMAGE,
    ),
    Picture(
        name="skimage/data/rocket.jpg",
        sha256="c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        licence="public domain",
        credits="Falcon 9 with DSCOVR, SpaceX",
        statement="The image was captured by SpaceX and `released in the public domain",
        **SKIMAGE,
    ),
    Picture(
        name="skimage/data/brick.png",
        sha256="7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        licence="CC0-1.0",
        credits="Bricks25, CC0Textures",
        statement="view.php?tex=Bricks25>`_ and licensed\n    under the Creative Commons CC0 License",
        **SKIMAGE,
    ),
    Picture(
        name="sklearn/datasets/images/china.jpg",
        package="scikit-learn",
        version="1.9.1",
        sha256="8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        licence="CC-BY-2.0",
        credits="china, danielbuechele",
        stated_in="sklearn/datasets/images/README.txt",
        statement="Image: china.jpg\nReleased under a creative commons license. [1]\n"
        "Attribution: Some rights reserved by danielbuechele [2]",
    ),
)


def take(picture: Picture, fetched: Fetched, output: Path) -> None:
    """Copy a picture to the folder `output`, if it is what it was and its package says what it said."""
    if picture.statement not in find_file(fetched, picture.stated_in).read_text(encoding="utf-8"):
        msg = (
            f"{fetched.name} {fetched.version}: {picture.stated_in} does not say {picture.statement!r}; "
            f"do not publish {picture.name}"
        )
        raise ToolError(msg)
    path = find_file(fetched, picture.name)
    check_digest(path, picture.sha256)
    shutil.copyfile(path, output / path.name)


def collect(work: Path, output: Path) -> None:
    """Write the pictures and pictures.json to `output`."""
    output.mkdir(parents=True, exist_ok=True)
    packages = {
        package: fetch_python(package, version, work, form="wheel", endings=ENDINGS)
        for package, version in {(picture.package, picture.version) for picture in PICTURES}
    }
    for picture in PICTURES:
        take(picture, packages[picture.package], output)
        print(f"{output / Path(picture.name).name}: {picture.credits}, {picture.licence}")
    content = json.dumps([asdict(picture) for picture in PICTURES], indent=1)
    (output / "pictures.json").write_text(content + "\n")


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write the pictures to")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        collect(Path(scratch), options.output)


if __name__ == "__main__":
    sys.exit(main())
