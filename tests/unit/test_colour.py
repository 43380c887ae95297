"""Colour: against the equations of H.273 computed here in double precision, and there and back again."""

import zlib
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.corpus import CLASSES, make
from vidsr.errors import ConfigError, InputError
from vidsr.media.colour import convert, from_rgb, output_pix_fmt, resolved_colour, to_packed, to_rgb
from vidsr.media.frames import format_facts, from_av, luma_crc, planar_format, to_av, to_planar
from vidsr.media.pictures import Pictures
from vidsr.media.probe import probe
from vidsr.types import Colour, Frame

SHARES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
PLANAR = (
    "gray", "gray10le", "gray12le", "gray16le", "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv440p",
    "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv444p16le", "yuva420p", "yuva444p12le",
    "gbrp", "gbrp10le", "gbrp16le", "gbrap", "gbrap16le",
)  # fmt: skip
SUPPORTED_BY_X264 = (
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "nv16", "nv21",
    "yuv420p10le", "yuv422p10le", "yuv444p10le", "nv20le", "gray", "gray10le",
)  # fmt: skip


def random_frame(pix_fmt, *, width=34, height=22, colour=None, seed=0):
    facts = format_facts(pix_fmt)
    rng = np.random.default_rng(seed)
    planes = tuple(
        rng.integers(0, facts.max_value + 1, facts.plane_shape(index, height=height, width=width)).astype(
            facts.dtype
        )
        for index in range(facts.num_planes)
    )
    return Frame(
        planes=planes,
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        colour=colour or Colour(),
        index=3,
        pts=77,
        time_base=Fraction(1, 90_000),
    )


def smooth_rgb(dtype, *, width=64, height=48):
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [0.5 + 0.3 * np.sin(columns / 11 + phase) * np.cos(rows / 9 - phase) for phase in (0.0, 0.6, 1.2)]
    return np.rint(np.stack(waves) * np.iinfo(dtype).max).astype(dtype)


def true_rgb(frame):
    """The equations, in double precision, of a 4:4:4 frame with a stated matrix and range."""
    bits, is_full = format_facts(frame.pix_fmt).bits, frame.colour.full_range
    red, blue = SHARES[frame.colour.matrix]
    y, cb, cr = (plane.astype(np.float64) for plane in frame.planes)
    step = 2 ** (bits - 8)
    if is_full:
        y, cb, cr = y / (2**bits - 1), (cb - 128 * step) / (2**bits - 1), (cr - 128 * step) / (2**bits - 1)
    else:
        y, cb, cr = (
            (y - 16 * step) / (219 * step),
            (cb - 128 * step) / (224 * step),
            (cr - 128 * step) / (224 * step),
        )
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b]), 0, 1)


@pytest.mark.parametrize("matrix", SHARES)
@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv444p10le", "yuv444p12le", "yuv444p16le"])
def test_rgb_is_what_the_equations_say(matrix, is_full, pix_fmt):
    frame = random_frame(pix_fmt, colour=Colour(matrix=matrix, full_range=is_full))
    pixels = to_rgb(frame)
    assert pixels.dtype == (np.uint8 if pix_fmt == "yuv444p" else np.uint16)
    error = np.abs(pixels - true_rgb(frame) * np.iinfo(pixels.dtype).max)
    # Half a level of rounding, and what single precision adds at 16 bits.
    assert error.max() < (0.501 if pixels.dtype == np.uint8 else 0.55)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p16le", "gray", "gray10le"])
@pytest.mark.parametrize("is_full", [False, True])
def test_black_and_white_are_exact(pix_fmt, is_full):
    facts = format_facts(pix_fmt)
    step = 1 << (facts.bits - 8)
    for value, expected in (
        (0 if is_full else 16 * step, 0),
        (facts.max_value if is_full else 235 * step, 1),
    ):
        frame = random_frame(pix_fmt, colour=Colour(matrix=1, full_range=is_full))
        planes = [
            np.full_like(plane, value if index == 0 else 128 * step)
            for index, plane in enumerate(frame.planes)
        ]
        pixels = to_rgb(replace(frame, planes=tuple(planes)))
        assert (pixels == expected * np.iinfo(pixels.dtype).max).all()


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv440p"])
@pytest.mark.parametrize("matrix", SHARES)
@pytest.mark.parametrize("is_full", [False, True])
def test_smooth_pictures_survive_the_way_there_and_back(pix_fmt, matrix, is_full):
    colour = Colour(matrix=matrix, full_range=is_full)
    pixels = smooth_rgb(np.uint8)
    frame = from_rgb(pixels, pix_fmt=pix_fmt, colour=colour, like=random_frame("gray"))
    error = np.abs(to_rgb(frame).astype(int) - pixels)
    # Roundings of three samples, of which chroma weighs up to 1.9 in a channel. At the edges of the picture
    # coarse chroma has nothing on one side to follow the waves with.
    assert error[:, 4:-4, 4:-4].max() <= 3
    assert error.mean() < 0.6
    if "44" in pix_fmt:
        assert error.max() <= 3


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le", "yuv420p12le", "yuv444p16le"])
def test_deep_smooth_pictures_survive_to_two_levels_of_their_depth(pix_fmt):
    colour = Colour(matrix=9, full_range=False)
    pixels = smooth_rgb(np.uint16)
    frame = from_rgb(pixels, pix_fmt=pix_fmt, colour=colour, like=random_frame("gray"))
    level = 65535 / format_facts(pix_fmt).max_value
    error = np.abs(to_rgb(frame).astype(float) - pixels)[:, 4:-4, 4:-4]
    # Coarse chroma cannot follow these waves to better than a thousandth.
    blur = 0 if "444" in pix_fmt else 0.001 * 65535
    assert error.max() <= 3 * level + blur


@pytest.mark.parametrize("pix_fmt", ["gbrp", "gbrap", "gbrp16le"])
def test_rgb_passes_through_unchanged(pix_fmt):
    frame = random_frame(pix_fmt)
    back = from_rgb(to_rgb(frame), pix_fmt=pix_fmt, colour=frame.colour, like=frame)
    for before, after in zip(frame.planes, back.planes, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("pix_fmt", "is_full"), [("gray", True), ("gray", False), ("gray10le", True), ("gray16le", None)]
)
def test_gray_passes_through_unchanged(pix_fmt, is_full):
    frame = random_frame(pix_fmt, colour=Colour(full_range=is_full))
    facts = format_facts(pix_fmt)
    if is_full is False:
        # Values beyond black and white are cut off on the way.
        frame = replace(frame, planes=(np.clip(frame.planes[0], 16, 235),))
    pixels = to_rgb(frame)
    assert (pixels[0] == pixels[1]).all()
    assert (pixels[0] == pixels[2]).all()
    back = from_rgb(pixels, pix_fmt=pix_fmt, colour=frame.colour, like=frame)
    np.testing.assert_array_equal(back.planes[0], frame.planes[0], err_msg=str(facts))


def test_ten_bits_of_rgb_come_back_exactly():
    frame = random_frame("gbrp10le")
    pixels = to_rgb(frame)
    assert pixels.max() == 65535
    back = from_rgb(pixels, pix_fmt="gbrp10le", colour=Colour(), like=frame)
    np.testing.assert_array_equal(np.stack(back.planes), np.stack(frame.planes))


@pytest.mark.parametrize(
    ("height", "pix_fmt", "matrix", "is_full"),
    [(719, "yuv420p", 6, False), (720, "yuv420p", 1, False), (48, "gray", 6, True), (48, "gbrp", 0, True)],
)
def test_what_is_not_stated_is_decided_by_size_and_format(height, pix_fmt, matrix, is_full):
    resolved = resolved_colour(Colour(), pix_fmt=pix_fmt, height=height)
    assert (resolved.matrix, resolved.full_range) == (matrix, is_full)


def test_what_is_stated_stays():
    colour = Colour(matrix=9, primaries=9, transfer=16, full_range=True, chroma_location=3)
    assert resolved_colour(colour, pix_fmt="yuv420p10le", height=100) == colour


def test_a_matrix_that_is_no_matrix_is_refused():
    with pytest.raises(InputError, match="colour matrix 14"):
        to_rgb(random_frame("yuv420p", colour=Colour(matrix=14, full_range=False)))


@pytest.mark.parametrize("location", [0, 1, 2, 3])
def test_chroma_lies_where_its_siting_says(location):
    """A ramp of blue along the rows, sampled at the sited positions, has to come out as that ramp."""
    offset = 0.5 if location == 2 else 0.0
    ramp = 60 + 4 * (np.arange(16) * 2 + offset)
    planes = (
        np.full((32, 32), 128, np.uint8),
        np.tile(ramp, (16, 1)).astype(np.uint8),
        np.full((16, 16), 128, np.uint8),
    )
    colour = Colour(matrix=6, full_range=True, chroma_location=location)
    frame = replace(random_frame("yuv420p", width=32, height=32, colour=colour), planes=planes)
    blue = to_rgb(frame)[2, 16].astype(float)
    expected = 128 + 1.772 * (60 + 4 * np.arange(32) - 128)
    inside = slice(6, 26)
    assert np.abs(np.clip(expected, 0, 255) - blue)[inside].max() < 2


@pytest.mark.parametrize("pix_fmt", PLANAR)
def test_a_frame_becomes_ffmpegs_and_back_without_change(pix_fmt):
    colour = Colour(matrix=1, primaries=1, transfer=1, full_range=False)
    frame = random_frame(pix_fmt, width=35, height=21, colour=colour)
    picture = to_av(frame)
    assert (picture.pts, picture.time_base) == (77, Fraction(1, 90_000))
    assert (picture.colorspace, picture.color_primaries, picture.color_trc, picture.color_range) == (
        1,
        1,
        1,
        1,
    )
    back = from_av(picture, index=3, pts=77, time_base=frame.time_base, colour=colour)
    assert (back.pix_fmt, back.width, back.height) == (pix_fmt, 35, 21)
    for before, after in zip(frame.planes, back.planes, strict=True):
        assert after.flags.c_contiguous
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("packed", "planar"),
    [
        ("rgb24", "gbrp"), ("bgr24", "gbrp"), ("bgra", "gbrap"), ("bgr0", "gbrp"), ("rgb48le", "gbrp16le"),
        ("gbrp10be", "gbrp10le"), ("gray16be", "gray16le"), ("gray10be", "gray10le"),
        ("yuv420p10be", "yuv420p10le"),
        ("nv12", "yuv420p"), ("nv21", "yuv420p"), ("p010le", "yuv420p10le"), ("yuyv422", "yuv422p"),
        ("uyvy422", "yuv422p"), ("p210le", "yuv422p10le"), ("rgba64le", "gbrap16le"),
    ],
)  # fmt: skip
def test_other_layouts_become_planar_without_loss(packed, planar):
    assert planar_format(packed) == planar
    frame = random_frame(planar)
    picture = to_packed(frame, pix_fmt=packed)
    assert picture.format.name == packed
    back = from_av(picture, index=0, pts=0, time_base=frame.time_base, colour=frame.colour)
    for before, after in zip(frame.planes, back.planes, strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_layout_of_other_samples_is_refused():
    with pytest.raises(ValueError, match="nv12 is not a layout of yuv444p"):
        to_packed(random_frame("yuv444p"), pix_fmt="nv12")


def test_full_range_formats_lose_their_letter():
    picture = av.VideoFrame(16, 16, "yuvj420p")
    frame = from_av(picture, index=0, pts=0, time_base=Fraction(1), colour=Colour(full_range=True))
    assert frame.pix_fmt == "yuv420p"


@pytest.mark.parametrize("width", [32, 35, 64])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gray"])
def test_the_crc_leaves_row_padding_out(pix_fmt, width):
    frame = random_frame(pix_fmt, width=width)
    picture = to_av(frame)
    assert luma_crc(picture) == zlib.crc32(frame.planes[0].tobytes())


def test_pictures_stored_bottom_up_are_turned_over():
    frame = random_frame("yuv420p")
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add("buffer", video_size="34x22", pix_fmt="yuv420p", time_base="1/25"),
        graph.add("vflip"),
        graph.add("buffersink"),
    ).configure()
    graph.vpush(to_av(frame))
    flipped = graph.vpull()
    assert flipped.planes[0].line_size < 0
    back = from_av(flipped, index=0, pts=0, time_base=frame.time_base, colour=frame.colour)
    for before, after in zip(frame.planes, back.planes, strict=True):
        np.testing.assert_array_equal(before[::-1], after)
    assert luma_crc(flipped) == zlib.crc32(back.planes[0].tobytes())


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_becomes_rgb_of_its_depth(name, corpus_folder):
    path = make(name, corpus_folder)
    info = probe(path)
    with Pictures(path, info) as pictures:
        picture = next(iter(pictures))
        frame = from_av(picture, index=0, pts=0, time_base=info.video.time_base, colour=info.video.colour)
    pixels = to_rgb(frame)
    facts = CLASSES[name]
    assert pixels.shape == (3, facts.height, facts.width)
    assert pixels.dtype == (np.uint8 if facts.bit_depth == 8 else np.uint16)
    assert pixels.std() > 0.02 * np.iinfo(pixels.dtype).max


def test_pictures_of_one_scene_agree_whatever_matrix_and_range_they_are_stored_in(corpus_folder):
    """The same test picture stored as BT.601, BT.709 and full range: three YUVs, one RGB."""
    found = {}
    for name in ("bt601", "bt709", "full_range"):
        path = make(name, corpus_folder)
        info = probe(path)
        with Pictures(path, info) as pictures:
            picture = next(iter(pictures))
            found[name] = to_rgb(
                from_av(picture, index=0, pts=0, time_base=info.video.time_base, colour=info.video.colour)
            ).astype(int)
    for name in ("bt601", "full_range"):
        # Compressed each in its own way; a wrong matrix alone makes a mean of 5 and more.
        assert np.abs(found[name] - found["bt709"]).mean() < 2.5


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("yuv420p", "yuv420p"), ("yuv422p", "yuv422p"), ("yuv444p", "yuv444p"), ("gray", "gray"),
        ("yuv420p10le", "yuv420p10le"), ("yuv422p10le", "yuv422p10le"), ("yuv411p", "yuv422p"),
        ("yuv440p", "yuv444p"), ("gbrp", "yuv444p"), ("gbrap", "yuv444p"), ("yuva420p", "yuv420p"),
        ("yuv420p9le", "yuv420p10le"),
    ],
)  # fmt: skip
def test_the_encoder_gets_a_format_that_holds_every_sample(source, expected):
    assert output_pix_fmt(source, SUPPORTED_BY_X264) == expected


def test_alpha_is_kept_where_the_encoder_can():
    assert output_pix_fmt("yuva444p12le", ["yuv422p10le", "yuv444p12le", "yuva444p12le"]) == "yuva444p12le"


def test_gray_takes_the_coarsest_chroma_where_there_is_no_gray():
    assert output_pix_fmt("gray10le", ["yuv444p10le", "yuv420p10le", "yuv420p"]) == "yuv420p10le"


@pytest.mark.parametrize("source", ["yuv420p12le", "gbrp16le"])
def test_a_format_that_would_lose_bits_is_refused(source):
    with pytest.raises(ConfigError, match=f"holds {source} without loss"):
        output_pix_fmt(source, SUPPORTED_BY_X264)


def test_finer_chroma_leaves_luma_untouched():
    frame = random_frame("yuv420p", colour=Colour(matrix=1, full_range=False))
    wide = convert(frame, pix_fmt="yuv422p", colour=frame.colour)
    assert wide.pix_fmt == "yuv422p"
    np.testing.assert_array_equal(wide.planes[0], frame.planes[0])


def test_more_bits_hold_the_same_samples():
    frame = random_frame("yuv420p", colour=Colour(matrix=1, full_range=False))
    deep = convert(frame, pix_fmt="yuv420p10le", colour=frame.colour)
    np.testing.assert_array_equal(deep.planes[0], frame.planes[0].astype(np.uint16) * 4)


def test_nothing_is_converted_where_nothing_differs():
    frame = random_frame("yuv420p")
    same = convert(frame, pix_fmt="yuv420p", colour=Colour())
    assert all(before is after for before, after in zip(frame.planes, same.planes, strict=True))
    assert same.colour.matrix == 6


@pytest.mark.parametrize("target", ["yuv444p", "yuva444p", "gbrp"])
def test_a_change_of_family_keeps_the_picture(target):
    pixels = smooth_rgb(np.uint8)
    frame = from_rgb(pixels, pix_fmt="gbrp", colour=Colour(), like=random_frame("gray"))
    changed = convert(frame, pix_fmt=target, colour=Colour(matrix=1, full_range=False))
    assert np.abs(to_rgb(changed).astype(int) - pixels).max() <= 2


def test_gray_of_either_range_becomes_the_same_picture_in_colour():
    ramp = np.tile(np.arange(16, 236, dtype=np.uint8), (8, 1))
    for is_full in (False, True):
        frame = replace(
            random_frame("gray", width=220, height=8, colour=Colour(full_range=is_full)), planes=(ramp,)
        )
        coloured = convert(frame, pix_fmt="yuv420p", colour=Colour(matrix=6, full_range=is_full))
        np.testing.assert_array_equal(coloured.planes[0], ramp)
        assert (coloured.planes[1] == 128).all()


def test_alpha_is_enlarged_with_the_picture():
    like = random_frame("gbrap", width=16, height=8)
    half = replace(like, planes=(*like.planes[:3], np.full((8, 16), 128, np.uint8)))
    large = from_rgb(np.zeros((3, 16, 32), np.uint8), pix_fmt="yuva444p10le", colour=Colour(), like=half)
    assert large.planes[3].shape == (16, 32)
    assert (large.planes[3] == round(128 * 1023 / 255)).all()


def test_a_frame_without_alpha_is_opaque():
    opaque = from_rgb(
        np.zeros((3, 8, 8), np.uint8), pix_fmt="gbrap", colour=Colour(), like=random_frame("yuv420p")
    )
    assert (opaque.planes[3] == 255).all()


def test_planar_pictures_are_not_copied_again():
    picture = to_av(random_frame("yuv420p"))
    assert to_planar(picture) is picture
