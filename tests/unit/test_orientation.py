"""What an output cannot state of shape and turn is decided in the plan, and said."""

from dataclasses import replace
from fractions import Fraction

import pytest

from tests import corpus
from tests.corpus.facts import TURNED_AND_FLIPPED, TURNED_BY_90
from vidsr.media.orientation import kept_aspect, kept_matrix, orientation_lost
from vidsr.media.probe import probe

SKEWED = (65_536, 1000, 0, 0, 65_536, 0, 0, 0, 1 << 30)


@pytest.fixture(scope="module")
def video(corpus_folder):
    return probe(corpus.make("two_frames", corpus_folder)).video


@pytest.mark.parametrize("matrix", [None, TURNED_BY_90, TURNED_AND_FLIPPED])
@pytest.mark.parametrize("muxer", ["mp4", "matroska"])
def test_a_turn_and_a_flip_are_kept(matrix, muxer, video):
    turned = replace(video, display_matrix=matrix)
    assert kept_matrix(turned, muxer=muxer) == matrix
    assert orientation_lost(turned, muxer=muxer) == []


def test_another_matrix_is_kept_by_mp4_alone(video):
    skewed = replace(video, display_matrix=SKEWED)
    assert kept_matrix(skewed, muxer="mp4") == SKEWED
    assert kept_matrix(skewed, muxer="matroska") is None
    assert orientation_lost(skewed, muxer="matroska") == [
        "the display matrix is no turn or flip, and matroska holds no other: it is left out"
    ]


@pytest.mark.parametrize("ratio", [Fraction(64, 45), Fraction(1, 100), Fraction(100)])
def test_a_shape_of_pixels_is_kept(ratio, video):
    assert kept_aspect(replace(video, sample_aspect_ratio=ratio)) == ratio


@pytest.mark.parametrize("ratio", [Fraction(1, 2_097_153), Fraction(101)])
def test_a_shape_that_is_none_is_square_and_said(ratio, video):
    shaped = replace(video, sample_aspect_ratio=ratio)
    assert kept_aspect(shaped) == 1
    assert orientation_lost(shaped, muxer="mp4") == [
        f"pixels of {ratio} are no shape that pixels have: taken for square"
    ]
