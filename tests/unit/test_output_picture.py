"""Which codec and format the picture is written in, so that nothing of it is lost."""

from fractions import Fraction

import pytest

from vidsr.errors import ConfigError
from vidsr.media.hdr import hdr_options
from vidsr.media.output_picture import choose_codec, plan_picture
from vidsr.types import Colour, FrameTable, HdrMetadata, MediaInfo, StreamInfo, VideoInfo


def info(pix_fmt, *, codec="h264", transfer=2, width=64, height=48, matrix=2, hdr=None):
    stream = StreamInfo(index=0, kind="video", codec=codec, time_base=Fraction(1, 25))
    video = VideoInfo(
        stream_index=0,
        codec=codec,
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        bit_depth=8,
        colour=Colour(transfer=transfer, matrix=matrix),
        sample_aspect_ratio=Fraction(1),
        display_matrix=None,
        time_base=Fraction(1, 25),
        average_rate_from_header=Fraction(25),
        hdr=hdr,
    )
    return MediaInfo(
        path="in.mkv",
        container="matroska,webm",
        streams=(stream,),
        video=video,
        duration_seconds_from_header=1.0,
        num_chapters=0,
    )


def chosen(media, *, muxer=None, codec="auto"):
    """Return codec, pixel format and all that is said."""
    import numpy as np

    frames = FrameTable(
        pts=np.arange(3, dtype=np.int64),
        source_pts=np.arange(3, dtype=np.int64),
        duration=np.ones(3, dtype=np.int32),
        luma_crc=np.zeros(3, dtype=np.uint32),
        flags=np.ones(3, dtype=np.uint8),
    )
    facts, reasons = choose_codec(media, codec, muxer=muxer, scale=2)
    plan, losses = plan_picture(
        media, facts, frames=frames, muxer=muxer or "matroska", scale=2, offset=Fraction(0)
    )
    return facts.name, plan.pix_fmt, " | ".join([*reasons, *losses])


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "written"),
    [
        ("yuv420p", "h264", "yuv420p"),
        ("yuv422p10le", "h264", "yuv422p10le"),
        ("gray", "h264", "yuv420p"),
        ("gray10le", "h264", "yuv420p10le"),
        ("gbrp", "h264", "yuv444p"),
        ("yuv420p9le", "h264", "yuv420p10le"),
        ("yuv420p12le", "hevc", "yuv420p12le"),
        ("yuv422p12le", "hevc", "yuv422p12le"),
        ("gray12le", "hevc", "yuv420p12le"),
        ("gbrp12le", "hevc", "yuv444p12le"),
        ("yuv420p16le", "ffv1", "yuv420p16le"),
        ("gray16le", "ffv1", "gray16le"),
        ("gbrp16le", "ffv1", "gbrp16le"),
        ("yuva444p10le", "prores", "yuva444p10le"),
        ("yuva420p", "prores", "yuva444p10le"),
        ("yuva444p12le", "ffv1", "yuva444p12le"),
        ("gbrap16le", "ffv1", "gbrap16le"),
    ],
)
def test_no_bit_and_no_transparency_is_lost(pix_fmt, codec, written):
    name, pix_fmt, said = chosen(info(pix_fmt))
    assert (name, pix_fmt) == (codec, written)
    assert ("encoded with" in said) == (codec != "h264")


def test_hdr_goes_where_players_look_for_it():
    for transfer in (16, 18):
        assert chosen(info("yuv420p10le", transfer=transfer))[0] == "hevc"
    # Asked for by name, H.264 it is.
    assert chosen(info("yuv420p10le", transfer=16), codec="h264")[0] == "h264"


def test_the_container_that_is_asked_for_narrows_the_choice():
    assert chosen(info("yuv420p"), muxer="webm")[0] == "av1"
    assert chosen(info("yuva444p10le"), muxer="mov")[0] == "prores"
    with pytest.raises(ConfigError, match=r"a codec of mp4 holds yuv420p16le only with a loss; name"):
        chosen(info("yuv420p16le"), muxer="mp4")


def test_transparency_that_the_container_cannot_hold_is_given_up_and_named():
    name, _, said = chosen(info("yuva420p"), muxer="mp4")
    assert name == "h264"
    assert "transparency is given up" in said


def test_prores_stays_prores_in_mov_and_its_two_bits_are_named():
    name, pix_fmt, said = chosen(info("yuva444p12le", codec="prores"), muxer="mov")
    assert (name, pix_fmt) == ("prores", "yuva444p10le")
    assert "12 bits become 10" in said


def test_transparency_that_only_skips_samples_asks_for_nothing():
    assert chosen(info("gbrap", codec="gif"))[0] == "h264"


@pytest.mark.parametrize(
    ("height", "matrix", "pix_fmt", "is_said"),
    [
        (720, 2, "yuv420p", True),
        (1080, 2, "yuv422p10le", True),
        (576, 2, "yuv420p", False),
        (720, 1, "yuv420p", False),
        (720, 2, "gbrp", False),
    ],
)
def test_hd_without_a_matrix_is_taken_for_bt709_and_that_is_said(height, matrix, pix_fmt, is_said):
    said = chosen(info(pix_fmt, height=height, width=64, matrix=matrix))[2]
    assert ("does not say its colour matrix: taken for BT.709" in said) == is_said


def test_metadata_of_single_frames_are_given_up_and_named():
    said = chosen(info("yuv420p10le", transfer=16, hdr=HdrMetadata(dynamic=("HDR10+", "Dolby Vision"))))[2]
    assert "the HDR10+ metadata of its frames are given up" in said
    assert "the Dolby Vision metadata" in said


def test_no_metadata_make_no_option():
    facts, _ = choose_codec(info("yuv420p"), "hevc", muxer=None, scale=2)
    assert hdr_options(facts, None) == hdr_options(facts, HdrMetadata()) == {}
