"""Peers for comparison: networks in ncnn's files, run by plain torch.

    network = NcnnNetwork(Path("runs/peers/realesrgan-x4plus.param"))
    large = network.enlarge(pixels)         # uint8 RGB [H, W, 3] to [4H, 4W, 3]

The files are fetched by tools/fetch_peers.py. A .param file is a list of layers in order, each with the names
of what it reads and writes; the .bin file holds their weights one after the other.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidsr.evaluate.image import Pixels

Operation = Callable[[Sequence[Tensor]], Tensor]

MAGIC = "7767517"
HALF_PRECISION = 0x01306B47
"""Before weights that are stored as float16; 0 stands before float32."""
ARRAY_KEY = -23300
"""A key of -23300 - k says that the value of k is a list, its length first."""
LEAKY_RELU = 2
NEAREST = 1
ARITHMETIC = (operator.add, operator.sub, operator.mul)
"""By ncnn's number for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One line of a .param file."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: dict[int, list[float]]

    def number(self, key: int, default: float = 0) -> float:
        """Return a parameter that is a single number."""
        return self.numbers.get(key, [default])[0]


class NcnnNetwork:
    """A network read from ncnn's files; it knows the layers that these peers are made of."""

    def __init__(self, param: Path) -> None:
        self._layers = read_layers(param)
        weights = _Weights(param.with_suffix(".bin"))
        self._operations = [_operation(layer, weights) for layer in self._layers]
        weights.check_end()
        self.num_parameters = weights.num_read

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Run the network on [B, 3, H, W], RGB in [0, 1]."""
        values = {"data": image}
        uses: dict[str, int] = {}
        for layer in self._layers:
            for name in layer.inputs:
                uses[name] = uses.get(name, 0) + 1
        for layer, operation in zip(self._layers, self._operations, strict=True):
            if layer.kind == "Input":
                continue
            result = operation([values[name] for name in layer.inputs])
            for name in layer.inputs:
                uses[name] -= 1
                if not uses[name]:
                    del values[name]
            values |= dict.fromkeys(layer.outputs, result)
        return result

    def enlarge(self, pixels: Pixels) -> Pixels:
        """Run the network on a picture."""
        return to_pixels(self(to_image(pixels))[0])


def to_image(pixels: Pixels) -> Tensor:
    """Return a picture as [1, 3, H, W], RGB in [0, 1]."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return image.contiguous(memory_format=torch.channels_last)


def to_pixels(image: Tensor) -> Pixels:
    """Return [3, H, W] in [0, 1] as a picture."""
    return (255 * image.clamp(0, 1)).round().byte().permute(1, 2, 0).contiguous().numpy()


def read_layers(param: Path) -> list[Layer]:
    """Read a .param file."""
    lines = param.read_text(encoding="ascii").splitlines()
    if lines[0].strip() != MAGIC:
        msg = f"{param}: not a text file of ncnn"
        raise ValueError(msg)
    return [_layer(line.split()) for line in lines[2:] if line.strip()]


def _layer(words: list[str]) -> Layer:
    kind, name, num_inputs, num_outputs = words[0], words[1], int(words[2]), int(words[3])
    names, settings = words[4 : 4 + num_inputs + num_outputs], words[4 + num_inputs + num_outputs :]
    numbers: dict[int, list[float]] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        is_array = int(key) <= ARRAY_KEY
        values = [float(part) for part in value.split(",")]
        numbers[ARRAY_KEY - int(key) if is_array else int(key)] = values[1:] if is_array else values
    return Layer(
        kind=kind,
        name=name,
        inputs=tuple(names[:num_inputs]),
        outputs=tuple(names[num_inputs:]),
        numbers=numbers,
    )


class _Weights:
    """Reads a .bin file from its start to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = path.read_bytes()
        self._position = 0
        self.num_read = 0

    def tagged(self, count: int) -> Tensor:
        """Read weights that say how they are stored; they end at a multiple of four bytes."""
        tag = int(np.frombuffer(self._bytes, np.uint32, 1, self._position)[0])
        self._position += 4
        if tag == HALF_PRECISION:
            values = np.frombuffer(self._bytes, np.float16, count, self._position).astype(np.float32)
            self._position += (2 * count + 3) // 4 * 4
        elif tag == 0:
            return self.plain(count)
        else:
            msg = f"{self._path}: weights stored as {tag:#x} are not known here"
            raise ValueError(msg)
        self.num_read += count
        return torch.from_numpy(values)

    def plain(self, count: int) -> Tensor:
        """Read float32."""
        values = np.frombuffer(self._bytes, np.float32, count, self._position).copy()
        self._position += 4 * count
        self.num_read += count
        return torch.from_numpy(values)

    def check_end(self) -> None:
        if self._position != len(self._bytes):
            msg = f"{self._path}: {len(self._bytes) - self._position} bytes are left over"
            raise ValueError(msg)


def _operation(layer: Layer, weights: _Weights) -> Operation:
    makers: dict[str, Callable[[Layer, _Weights], Operation]] = {
        "Input": lambda layer, weights: _first,
        "Split": lambda layer, weights: _first,
        "Concat": lambda layer, weights: lambda values: torch.cat(list(values), dim=1),
        "Convolution": _convolution,
        "PReLU": _prelu,
        "Eltwise": _weighted_sum,
        "BinaryOp": _binary,
        "MemoryData": _constant,
        "Sigmoid": lambda layer, weights: lambda values: values[0].sigmoid(),
        "Swish": lambda layer, weights: lambda values: F.silu(values[0]),
        "Interp": _interpolation,
        "PixelShuffle": lambda layer, weights: (
            lambda values: F.pixel_shuffle(values[0], int(layer.number(0, 1)))
        ),
    }
    if layer.kind not in makers:
        msg = f"layer {layer.name}: {layer.kind} is not known here"
        raise ValueError(msg)
    return makers[layer.kind](layer, weights)


def _first(values: Sequence[Tensor]) -> Tensor:
    return values[0]


def _convolution(layer: Layer, weights: _Weights) -> Operation:
    out, side, padding = int(layer.number(0)), int(layer.number(1)), int(layer.number(4))
    weight = weights.tagged(int(layer.number(6))).reshape(out, -1, side, side)
    weight = weight.contiguous(memory_format=torch.channels_last)
    bias = weights.plain(out) if layer.number(5) else None
    activation = int(layer.number(9))
    if activation not in {0, LEAKY_RELU}:
        msg = f"layer {layer.name}: activation {activation} is not known here"
        raise ValueError(msg)
    slope = layer.number(10) if activation else 1.0

    def run(values: Sequence[Tensor]) -> Tensor:
        found = F.conv2d(values[0], weight, bias, padding=padding)
        return F.leaky_relu(found, slope) if activation else found

    return run


def _prelu(layer: Layer, weights: _Weights) -> Operation:
    slopes = weights.plain(int(layer.number(0)))
    return lambda values: F.prelu(values[0], slopes)


def _weighted_sum(layer: Layer, weights: _Weights) -> Operation:
    del weights
    if layer.number(0) != 1:
        msg = f"layer {layer.name}: only sums are known here"
        raise ValueError(msg)
    factors = layer.numbers.get(1) or [1.0] * len(layer.inputs)
    return lambda values: torch.stack([f * v for f, v in zip(factors, values, strict=True)]).sum(0)


def _binary(layer: Layer, weights: _Weights) -> Operation:
    del weights
    kind = int(layer.number(0))
    if kind >= len(ARITHMETIC):
        msg = f"layer {layer.name}: of two operands only sum, difference and product are known here"
        raise ValueError(msg)
    combine, second = ARITHMETIC[kind], layer.number(2)
    if layer.number(1):
        return lambda values: combine(values[0], second)
    return lambda values: combine(values[0], values[1])


def _constant(layer: Layer, weights: _Weights) -> Operation:
    width, height, channels = (int(layer.number(key)) for key in (0, 1, 2))
    value = weights.plain(width * height * channels).reshape(1, channels, height, width)
    return lambda values: value


def _interpolation(layer: Layer, weights: _Weights) -> Operation:
    del weights
    if layer.number(0) != NEAREST:
        msg = f"layer {layer.name}: only the nearest sample is known here"
        raise ValueError(msg)
    factors = (layer.number(1), layer.number(2))
    return lambda values: F.interpolate(values[0], scale_factor=factors, mode="nearest")
