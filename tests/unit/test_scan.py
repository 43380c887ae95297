"""Interlaced and telecined video is known by its flags and by its pictures, and what follows from both."""

from fractions import Fraction

import pytest

from tests.scans import make
from vidsr.media.filters import decide_filters
from vidsr.media.index import build_index
from vidsr.media.probe import probe
from vidsr.media.scan import Scan
from vidsr.types import Colour, VideoInfo

FOUND = {
    # is_flagged, is_combed, is_telecined, field_order
    "upper.mp4": (True, True, False, "upper"),
    "lower.mpg": (True, True, False, "lower"),
    "noisy.mp4": (True, True, False, "upper"),
    "telecine.mpg": (True, True, True, "upper"),
    "pan.mp4": (True, False, False, "upper"),
    "pan_telecine.mpg": (True, True, True, "upper"),
    "pan_interlaced.mpg": (True, True, False, "lower"),
    "ten_bits.mkv": (True, True, False, "upper"),
    "unflagged.mp4": (False, True, False, "upper"),
    "only_flagged.mpg": (True, False, False, "upper"),
    "progressive.mp4": (False, False, False, "upper"),
    "still.mpg": (True, False, False, "upper"),
}


@pytest.mark.parametrize("name", FOUND)
def test_each_scan_type_is_known(name, corpus_folder):
    path = make(name, corpus_folder)
    scan = build_index(path, probe(path), on_frame=lambda index, thumbnail: None).scan
    assert (scan.is_flagged, scan.is_combed, scan.is_telecined, scan.field_order) == FOUND[name], scan


def scan(*, flagged=100, combed=90, repeated=0, measured=99):
    return Scan(
        num_frames=100,
        num_flagged=flagged,
        num_measured=measured,
        num_upper_first=combed,
        num_lower_first=0,
        num_repeated=repeated,
    )


def video(pix_fmt="yuv420p"):
    return VideoInfo(
        stream_index=0,
        codec="h264",
        width=64,
        height=48,
        pix_fmt=pix_fmt,
        bit_depth=8,
        colour=Colour(),
        sample_aspect_ratio=Fraction(1),
        display_matrix=None,
        time_base=Fraction(1, 25),
        average_rate_from_header=None,
    )


@pytest.mark.parametrize(
    ("found", "deinterlace", "fields", "reason"),
    [
        (scan(), "auto", "deinterlace", "one frame for each"),
        (scan(), "off", "keep", "and left so: --deinterlace is off"),
        (scan(flagged=0), "auto", "keep", "looks interlaced, yet is not flagged"),
        (scan(flagged=0), "on", "deinterlace", "--deinterlace is on"),
        (scan(combed=0), "auto", "keep", "flagged as interlaced, yet progressive"),
        (scan(combed=0), "on", "deinterlace", "--deinterlace is on"),
        (scan(combed=0, measured=0), "auto", "keep", ""),
        (scan(combed=60, repeated=40), "auto", "film", "four frames for every five"),
        (scan(combed=60, repeated=40), "off", "keep", "and left so"),
        (scan(flagged=0, combed=0), "auto", "keep", ""),
        (scan(flagged=0, combed=0), "off", "keep", ""),
    ],
)
def test_flags_and_pictures_must_agree_unless_told_otherwise(found, deinterlace, fields, reason):
    filters = decide_filters(found, video(), deinterlace=deinterlace, hdr="keep")
    assert filters.fields == fields
    assert bool(filters.reasons) == bool(reason)
    assert not reason or reason in filters.reasons[0]


def test_film_of_ten_bits_is_deinterlaced_as_fieldmatch_knows_eight_only():
    filters = decide_filters(scan(repeated=40), video("yuv420p10le"), deinterlace="auto", hdr="keep")
    assert filters.fields == "deinterlace"
    assert "fieldmatch does not take yuv420p10le" in filters.reasons[0]


def test_pictures_in_rgb_are_left_alone():
    filters = decide_filters(scan(), video("gbrp"), deinterlace="on", hdr="keep")
    assert (filters.fields, filters.reasons) == ("keep", ("pictures in RGB are not deinterlaced",))
