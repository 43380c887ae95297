"""Turns a good file into a bad one, the same one for the same seed."""

import random
from collections.abc import Callable

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEAD_BYTES = 2048
"""Where most of a file's structure is."""

Mutator = Callable[[bytearray, random.Random], None]


def mutated(content: bytes, seed: int) -> bytes:
    """Return `content` with one to four kinds of damage."""
    rng = random.Random(seed)
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        rng.choice(MUTATORS)(changed, rng)
    return bytes(changed)


def _place(content: bytearray, rng: random.Random) -> int:
    """Return where to strike: at the beginning, at the end, or anywhere, each as often."""
    size = len(content)
    lowest, highest = rng.choice([(0, min(size, HEAD_BYTES)), (max(0, size - HEAD_BYTES), size), (0, size)])
    return rng.randrange(lowest, max(lowest + 1, highest))


def _flip_bits(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 64)):
        if content:
            content[_place(content, rng) % len(content)] ^= 1 << rng.randrange(8)


def _write_number(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 8)):
        place, length = _place(content, rng), rng.choice((1, 2, 4, 8))
        number = rng.choice(EXTREMES) & (1 << 8 * length) - 1
        content[place : place + length] = number.to_bytes(length, rng.choice(("big", "little")))


def _fill(content: bytearray, rng: random.Random) -> None:
    place, length = _place(content, rng), rng.randint(1, 4096)
    content[place : place + length] = rng.choice((bytes(length), rng.randbytes(length)))


def _cut_off(content: bytearray, rng: random.Random) -> None:
    del content[_place(content, rng) :]


def _leave_out(content: bytearray, rng: random.Random) -> None:
    place = _place(content, rng)
    del content[place : place + rng.randint(1, 4096)]


def _repeat(content: bytearray, rng: random.Random) -> None:
    place = _place(content, rng)
    content[place:place] = content[place : place + rng.randint(1, 4096)] * rng.randint(1, 4)


def _move(content: bytearray, rng: random.Random) -> None:
    start, length = _place(content, rng), rng.randint(1, 4096)
    block = bytes(content[start : start + length])
    del content[start : start + length]
    content[_place(content, rng) : 0] = block


MUTATORS: tuple[Mutator, ...] = (_flip_bits, _write_number, _fill, _cut_off, _leave_out, _repeat, _move)
