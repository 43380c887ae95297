"""Pictures that do not have the shape of the first one."""

from fractions import Fraction

import numpy as np
import pytest

from vidsr.media.colour import to_rgb
from vidsr.media.fit import ShapeChanges, fitted
from vidsr.media.frames import from_av, to_av
from vidsr.types import Colour, Frame, VideoInfo


def video(colour):
    return VideoInfo(
        stream_index=0,
        codec="h264",
        width=64,
        height=48,
        pix_fmt="yuv420p",
        bit_depth=8,
        colour=colour,
        sample_aspect_ratio=Fraction(1),
        display_matrix=None,
        time_base=Fraction(1, 25),
        average_rate_from_header=None,
    )


def flat(samples, colour, *, width=96, height=80):
    planes = tuple(
        np.full((height // step, width // step), value, np.uint8)
        for value, step in zip(samples, (1, 2, 2), strict=True)
    )
    return Frame(
        planes=planes,
        pix_fmt="yuv420p",
        width=width,
        height=height,
        colour=colour,
        index=0,
        pts=7,
        time_base=Fraction(1, 25),
    )


def test_a_picture_of_the_right_shape_is_left_alone():
    picture = to_av(flat((90, 110, 150), Colour(), width=64, height=48))
    assert fitted(picture, video(Colour())) is picture


@pytest.mark.parametrize("is_full", [False, True])
def test_colours_stay_where_the_matrix_changes_with_the_size(is_full):
    own, first = Colour(matrix=1, full_range=False), Colour(matrix=6, full_range=is_full)
    frame = flat((90, 110, 150), own)
    shown = fitted(to_av(frame), video(first))
    assert (shown.width, shown.height, shown.pts) == (64, 48, 7)
    after = to_rgb(from_av(shown, index=0, pts=7, time_base=Fraction(1, 25), colour=first))
    # Three samples are rounded, of which chroma weighs up to 1.9.
    assert np.abs(after.astype(int)[:, 8:-8, 8:-8] - to_rgb(frame)[:, :1, :1]).max() <= 2


def test_samples_stay_where_the_matrix_is_none_that_is_known():
    colour = Colour(matrix=8)
    shown = fitted(to_av(flat((90, 110, 150), colour)), video(colour))
    planes = from_av(shown, index=0, pts=7, time_base=Fraction(1, 25), colour=colour).planes
    assert [int(plane[20, 20]) for plane in planes] == [90, 110, 150]


def test_every_run_of_other_shapes_has_a_line():
    small, large = (to_av(flat((90, 110, 150), Colour(), width=width, height=48)) for width in (64, 80))
    changes = ShapeChanges(video(Colour()))
    for index, picture in enumerate((small, large, small, large, large)):
        changes.note(index, picture)
    assert changes.lines() == [
        "frame 1 is 80x48 yuv420p: scaled to the 64x48 yuv420p of the first frame",
        "frames 3 to 4 are 80x48 yuv420p: scaled to the 64x48 yuv420p of the first frame",
    ]
