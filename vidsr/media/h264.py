"""The numbers that H.264 gives its reference frames: a hole in them is a frame that was lost on the way.

The decoder fills such a hole with the frame before it and says nothing, and packets that were dropped leave
no other trace: without times at a fixed rate, what is missing may as well never have been recorded.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

_SLICE, _IDR_SLICE, _SPS = 1, 5, 7
_HEAD_BYTES = 64
"""Of a slice: more than its frame number needs."""
_SPS_BYTES = 1024
"""Of a parameter set: more than one has up to what is read of it."""
# Profiles whose parameter sets say more of the samples (H.264, 7.3.2.1.1).
_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbering:
    """How a stream numbers its frames."""

    bits: int
    has_colour_planes: bool
    may_have_holes: bool


class FrameNumbers:
    """Reads the packets of a stream, in its order, and counts the reference frames that are missing."""

    def __init__(self, extradata: bytes | None) -> None:
        """Start before the first packet.

        Args:
            extradata: of the stream; says how packets are divided, and may hold the parameter sets.
        """
        self.num_missing = 0
        self.num_holes = 0
        self._numbering: _Numbering | None = None
        self._last: int | None = None
        head = extradata or b""
        # An avcC box begins with 1; packets then have the length of each unit before it.
        is_box = len(head) > 6 and head[0] == 1
        self._length_size = (head[4] & 3) + 1 if is_box else 0
        for unit in _avcc_units(head) if is_box else _units(head):
            self._read(unit)

    def feed(self, packet: bytes) -> None:
        """Look at the next packet."""
        units = _measured_units(packet, self._length_size) if self._length_size else _units(packet)
        for unit in units:
            self._read(unit)

    def _read(self, unit: bytes) -> None:
        if not unit:
            return
        kind, is_reference = unit[0] & 31, bool(unit[0] & 96)
        if kind == _SPS:
            self._numbering = _numbering_of(_Bits(_unescaped(unit[1:_SPS_BYTES])))
        elif kind in {_SLICE, _IDR_SLICE} and self._numbering is not None:
            number = _frame_number(_Bits(_unescaped(unit[1:_HEAD_BYTES])), self._numbering)
            if number is not None:
                self._count(number, self._numbering, is_idr=kind == _IDR_SLICE)
                self._last = number if is_reference else self._last

    def _count(self, number: int, numbering: _Numbering, *, is_idr: bool) -> None:
        # A stream may also start counting anew by a command inside a slice.
        if is_idr or self._last is None or number <= 1 or numbering.may_have_holes:
            return
        missing = (number - self._last - 1) % (1 << numbering.bits)
        if number != self._last and missing:
            self.num_holes += 1
            self.num_missing += missing
            # What comes next may have the same number and tell of the same hole.
            self._last = (number - 1) % (1 << numbering.bits)


class _Bits:
    """Reads bits from the first one on; behind the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            return 0
        return (self._value >> self._left) & ((1 << count) - 1)

    def number(self) -> int:
        """Return an Exp-Golomb number (H.264, 9.1)."""
        zeros = next((count for count in range(33) if self.take(1)), 32)
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.number()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _numbering_of(bits: _Bits) -> _Numbering:
    """Read a sequence parameter set as far as the numbering of its frames."""
    profile, _, _ = bits.take(8), bits.take(16), bits.number()
    has_colour_planes = False
    if profile in _HIGH_PROFILES:
        chroma = bits.number()
        has_colour_planes = chroma == 3 and bool(bits.take(1))
        _, _, _ = bits.number(), bits.number(), bits.take(1)
        if bits.take(1):
            for index in range(12 if chroma == 3 else 8):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    frame_bits = bits.number() + 4
    _skip_picture_order(bits)
    bits.number()
    return _Numbering(
        bits=min(frame_bits, 16), has_colour_planes=has_colour_planes, may_have_holes=bool(bits.take(1))
    )


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    if not bits.take(1):
        return
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_picture_order(bits: _Bits) -> None:
    kind = bits.number()
    if kind == 0:
        bits.number()
    elif kind == 1:
        bits.take(1)
        _, _ = bits.signed(), bits.signed()
        for _ in range(min(bits.number(), 255)):
            bits.signed()


def _frame_number(bits: _Bits, numbering: _Numbering) -> int | None:
    """Return the frame number of a slice, None for all slices of a picture but the first."""
    is_first = bits.number() == 0
    _, _ = bits.number(), bits.number()
    if numbering.has_colour_planes:
        bits.take(2)
    return bits.take(numbering.bits) if is_first else None


def _unescaped(data: bytes) -> bytes:
    return data.replace(b"\0\0\3", b"\0\0")


def _units(data: bytes) -> Iterator[bytes]:
    """Yield the units between start codes; of slices, their head alone is needed."""
    starts = [-1]
    while (start := data.find(b"\0\0\1", starts[-1] + 1)) >= 0:
        starts.append(start)
    for start, stop in itertools.pairwise([*starts[1:], len(data)]):
        yield data[start + 3 : stop]


def _measured_units(data: bytes, length_size: int) -> Iterator[bytes]:
    position = 0
    while position + length_size < len(data):
        length = int.from_bytes(data[position : position + length_size])
        yield data[position + length_size : position + length_size + length]
        position += length_size + length


def _avcc_units(extradata: bytes) -> Iterator[bytes]:
    """Yield the sequence parameter sets of an avcC box."""
    position = 6
    for _ in range(extradata[5] & 31):
        length = int.from_bytes(extradata[position : position + 2])
        yield extradata[position + 2 : position + 2 + length]
        position += 2 + length
