"""A picture classifier, MobileNetV2, and the one file its weights and its labels come in."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from vidsr.errors import CheckpointError, MissingWeightsError

FORMAT = "mobilenet-v2/1"
SIDE = 224
"""Of the pictures it was trained on, in pixels."""

_CLASSIFIER_INPUTS = 1280
# Of the [0, 1] picture, as torchvision has them for ImageNet.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
# Expansion, channels, how many blocks, stride of the first: table 2 of Sandler et al. (2018).
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """The classifier of Sandler et al. (2018), "MobileNetV2: inverted residuals and linear bottlenecks".

    Layers are named and work as torchvision's, so that its published weights fit. The MobileNetV2 of
    transformers computes the same with tf_padding=False and layer_norm_eps=1e-5, under other names.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        channels = 32
        layers: list[nn.Module] = [_convolution(3, channels, side=3, stride=2)]
        for expansion, width, num_blocks, first_stride in _STAGES:
            for position in range(num_blocks):
                stride = 1 if position else first_stride
                layers.append(_InvertedResidual(channels, width, expansion=expansion, stride=stride))
                channels = width
        layers.append(_convolution(channels, _CLASSIFIER_INPUTS))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(_CLASSIFIER_INPUTS, num_labels))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits [B, labels] of pictures [B, 3, H, W] that are normalised for ImageNet."""
        features = F.adaptive_avg_pool2d(self.features(image), 1)
        logits: Tensor = self.classifier(features.flatten(1))
        return logits


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, width: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = channels * expansion
        layers: list[nn.Module] = [_convolution(channels, hidden)] if expansion > 1 else []
        layers.append(_convolution(hidden, hidden, side=3, stride=stride, groups=hidden))
        layers += [nn.Conv2d(hidden, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.conv = nn.Sequential(*layers)
        self.is_residual = stride == 1 and channels == width

    def forward(self, features: Tensor) -> Tensor:
        change: Tensor = self.conv(features)
        return features + change if self.is_residual else change


def _convolution(channels: int, width: int, *, side: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    convolution = nn.Conv2d(
        channels, width, side, stride=stride, padding=side // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU6())


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where weights and labels are from."""

    weights: str
    weights_sha256: str
    """Of the file that the weights were taken from."""
    labels: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classifier:
    """The network and what its outputs are called."""

    network: MobileNetV2
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Put the network into the state in which it classifies."""
        self.network.eval()

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how likely each label is, [n, labels], for pictures RGB [n, SIDE, SIDE, 3]."""
        images = torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2) / 255
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
        with torch.inference_mode():
            likely: Tensor = self.network((images - mean) / deviation).softmax(1)
        return np.asarray(likely, dtype=np.float32)


def save(path: Path, classifier: Classifier, origin: Origin) -> None:
    """Write weights, labels and origin, whole or not at all; the same content gives the same bytes."""
    content = {"format": FORMAT, "labels": classifier.labels, "origin": asdict(origin)}
    tensors = {name: tensor.contiguous() for name, tensor in classifier.network.state_dict().items()}
    temporary = path.with_name(path.name + ".tmp")
    # One entry, because safetensors writes several in an order that changes from run to run.
    save_file(tensors, temporary, metadata={"classifier": json.dumps(content)})
    temporary.replace(path)


def load(path: Path) -> Classifier:
    """Build the network and fill it; every tensor must fit.

    Args:
        path: the file of tools/fetch_tag_weights.py.

    Raises:
        MissingWeightsError, CheckpointError: the file is not there, or is another.
    """
    if not path.is_file():
        msg = f"{path}: no such file; make it with `python tools/fetch_tag_weights.py --output {path}`"
        raise MissingWeightsError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            labels = _read_labels(file.metadata() or {})
            state: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{path}: not weights of {FORMAT} ({type(error).__name__}: {error}); wanted the file that "
            "tools/fetch_tag_weights.py makes"
        )
        raise CheckpointError(msg) from error
    network = MobileNetV2(len(labels))
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
    given = {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
    if wrong := sorted(name for name in wanted | given if wanted.get(name) != given.get(name)):
        msg = f"{path}: does not fit {FORMAT}: {len(wrong)} tensors differ, first {wrong[:3]}"
        raise CheckpointError(msg)
    network.load_state_dict(state)
    return Classifier(network=network, labels=labels)


def _read_labels(metadata: dict[str, str]) -> tuple[str, ...]:
    content = json.loads(metadata["classifier"])
    if content["format"] != FORMAT:
        msg = f"format {content['format']}"
        raise ValueError(msg)
    labels = content["labels"]
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        msg = "its labels are no list of text"
        raise TypeError(msg)
    return tuple(labels)
