"""Pictures that nobody photographed: printed text and line art, drawn the same each time."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidsr.evaluate.image import Pixels

SIDE = 256
FINENESS = 4
"""Drawn this many times as large, then averaged down: edges as a camera would see them."""
PAPER, INK = (246, 243, 236), (24, 22, 30)
LINES = (
    (34, "Every frame"),
    (26, "keeps its own time,"),
    (20, "every other stream is"),
    (15, "copied, and the result is verified"),
    (12, "before it appears. It runs offline, on a CPU,"),
    (10, "with a model that ships in the package: 0123456789"),
    (8, "After the reduction these letters are two pixels high."),
)

Point = tuple[float, float]


def printed_text() -> Pixels:
    """Draw a page with lines of 34 to 8 pixels, [SIDE, SIDE, 3]."""
    page, draw = _paper()
    top = 10.0
    for size, line in LINES:
        draw.text(_at((10, top)), line, fill=INK, font=_font(size))
        top += 1.35 * size
    draw.rectangle(_scaled((10, 210), (246, 246)), fill=(150, 30, 40))
    draw.text(_at((20, 214)), "light on dark", fill=PAPER, font=_font(22))
    return _reduced(page)


def line_art() -> Pixels:
    """Draw a house, a tree and a sun with lines of several widths, flat colours and hatching."""
    page, draw = _paper()
    draw.rectangle(_scaled((0, 196), (SIDE, SIDE)), fill=(196, 214, 160))
    for turn in range(16):
        angle = math.tau * turn / 16
        near, far = ((200 + r * math.cos(angle), 48 + r * math.sin(angle)) for r in (28, 44))
        _line(draw, 1.0 + turn % 2, near, far)
    _circle(draw, (200, 48), 22, fill=(250, 206, 80))
    _shape(draw, (40, 112), (156, 112), (156, 212), (40, 212), fill=(236, 180, 150))
    _shape(draw, (26, 114), (98, 56), (170, 114), fill=(178, 64, 56))
    for step in range(1, 16):
        left, bottom = 34 + 8 * step, 112
        height = min(left - 26, 170 - left) * 58 / 72
        _line(draw, 1.0, (left, bottom), (left, bottom - height + 3))
    _shape(draw, (84, 160), (112, 160), (112, 212), (84, 212), fill=(120, 84, 60))
    for left in (52, 122):
        _shape(draw, (left, 130), (left + 22, 130), (left + 22, 152), (left, 152), fill=(176, 208, 232))
        _line(draw, 1.5, (left + 11, 130), (left + 11, 152))
        _line(draw, 1.5, (left, 141), (left + 22, 141))
    _shape(draw, (204, 150), (212, 150), (214, 216), (202, 216), fill=(120, 84, 60))
    for centre, radius in (((196, 134), 20), ((220, 130), 19), ((208, 112), 21)):
        _circle(draw, centre, radius, fill=(104, 160, 92))
    for start in range(178, 240, 7):
        _line(draw, 0.7, (start, 158), (start + 14, 142))
    for row in range(4):
        points = [(x, 224 + 8 * row + 3 * math.sin(x / (6 + 3 * row))) for x in range(0, SIDE + 1, 2)]
        draw.line(_scaled(*points), fill=INK, width=round((0.6 + 0.4 * row) * FINENESS))
    return _reduced(page)


def _paper() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("RGB", (SIDE * FINENESS, SIDE * FINENESS), PAPER)
    return page, ImageDraw.Draw(page)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * FINENESS)


def _at(point: Point) -> Point:
    return (point[0] * FINENESS, point[1] * FINENESS)


def _scaled(*points: Point) -> list[Point]:
    return [_at(point) for point in points]


def _line(draw: ImageDraw.ImageDraw, width: float, *points: Point) -> None:
    draw.line(_scaled(*points), fill=INK, width=round(width * FINENESS), joint="curve")


def _shape(draw: ImageDraw.ImageDraw, *points: Point, fill: tuple[int, int, int]) -> None:
    draw.polygon(_scaled(*points), fill=fill)
    _line(draw, 2.0, *points, points[0])


def _circle(draw: ImageDraw.ImageDraw, centre: Point, radius: float, *, fill: tuple[int, int, int]) -> None:
    x, y = centre
    box = _scaled((x - radius, y - radius), (x + radius, y + radius))
    draw.ellipse([*box[0], *box[1]], fill=fill, outline=INK, width=2 * FINENESS)


def _reduced(page: Image.Image) -> Pixels:
    return np.array(page.reduce(FINENESS))
