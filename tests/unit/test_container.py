import shlex
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests import corpus
from tests.assembled import plan_for
from vidsr.errors import ConfigError, UsageError
from vidsr.media.container import container_family, decide_output, suffix_for
from vidsr.media.probe import probe
from vidsr.types import Plan


def made(name: str, folder: Path, **asked) -> Plan:
    return plan_for(corpus.make(name, folder), **asked)


def converted(plan: Plan) -> dict[str, str]:
    return {stream.codec: stream.target for stream in plan.streams if stream.action == "convert"}


def dropped(plan: Plan) -> dict[str, str]:
    return {stream.codec: stream.reason for stream in plan.streams if stream.action == "drop"}


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [
        ("cfr", "h264", ".mp4"),
        ("cfr", "hevc", ".mp4"),
        ("cfr", "av1", ".mp4"),
        ("cfr", "prores", ".mov"),
        ("cfr", "ffv1", ".mkv"),
        ("vfr_mov", "h264", ".mov"),
        ("vfr_mov", "av1", ".mp4"),
        ("vfr_mkv", "h264", ".mkv"),
        ("vfr_mkv", "prores", ".mkv"),
        ("transport_stream", "h264", ".mkv"),
        ("avi", "h264", ".mkv"),
        ("gif", "h264", ".mkv"),
        ("no_times", "h264", ".mkv"),
    ],
)
def test_the_container_is_the_sources_kind_where_it_holds_the_codec(
    name: str, codec: str, suffix: str, corpus_folder: Path
) -> None:
    assert suffix_for(probe(corpus.make(name, corpus_folder)), codec=codec, scale=2) == suffix


def test_a_change_of_container_is_said(corpus_folder: Path) -> None:
    assert "the output is mov: mp4 cannot hold prores" in made("cfr", corpus_folder, codec="prores").warnings
    assert made("cfr", corpus_folder).warnings == ()


@pytest.mark.parametrize(("codec", "family"), [("h264", "matroska"), ("av1", "webm")])
def test_webm_stays_webm_for_codecs_of_the_web(
    codec: str, family: str, corpus_folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in.webm"
    corpus.run(["-i", str(corpus.make("one_frame", corpus_folder)), "-c:v", "libvpx-vp9", str(source)])
    plan = plan_for(source, codec=codec)
    assert plan.output.container == family
    assert plan.warnings == (() if family == "webm" else ("the output is matroska: webm cannot hold h264",))


def test_quicktime_is_known_by_its_brand(corpus_folder: Path, tmp_path: Path) -> None:
    info = probe(corpus.make("vfr_mov", corpus_folder))
    assert container_family(info) == "mov"
    assert container_family(replace(info, path=str(tmp_path / "renamed.mp4"))) == "mov"


@pytest.mark.parametrize(
    ("suffix", "codec", "message"),
    [
        (".avi", "h264", r"output ending \.avi: wanted one of \.mp4"),
        ("", "h264", r"output ending \(none\)"),
        (".mp4", "ffv1", "mp4 cannot hold ffv1"),
        (".webm", "h264", "webm cannot hold h264"),
        (".mov", "av1", "mov cannot hold av1"),
    ],
)
def test_an_ending_that_cannot_be_is_refused(
    suffix: str, codec: str, message: str, corpus_folder: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        made("one_frame", corpus_folder, suffix=suffix, codec=codec)


@pytest.mark.parametrize("name", ["tracks_mkv", "tracks_mp4", "cover_mp4", "cover_mkv"])
def test_the_sources_own_container_keeps_every_stream(name: str, corpus_folder: Path) -> None:
    plan = made(name, corpus_folder)
    assert [stream.source_index for stream in plan.streams] == list(range(len(plan.info.streams)))
    assert plan.warnings == ()
    assert set(dropped(plan).values()) <= {"it repeats the chapters, which are copied"}
    assert [stream.action for stream in plan.streams].count("restore") == 1


def test_what_mp4_cannot_hold_becomes_the_nearest_it_can(corpus_folder: Path) -> None:
    plan = made("tracks_mkv", corpus_folder, suffix=".mp4")
    assert converted(plan) == {"subrip": "mov_text", "ass": "mov_text"}
    assert dropped(plan) == {"unknown": "mp4 cannot hold attachments"}
    assert plan.warnings == (
        "stream 3 (subtitle subrip, eng) is converted to mov_text: mp4 cannot hold subrip; "
        "name the output .mkv to keep it as it is",
        "stream 4 (subtitle ass, deu) is converted to mov_text: mp4 cannot hold ass; "
        "name the output .mkv to keep it as it is",
        "stream 5 (attachment unknown) is left out: mp4 cannot hold attachments; "
        "name the output .mkv to keep it",
    )


def test_what_matroska_cannot_hold_becomes_the_nearest_it_can(corpus_folder: Path) -> None:
    plan = made("tracks_mp4", corpus_folder, suffix=".mkv")
    assert converted(plan) == {"mov_text": "subrip"}
    assert len(plan.warnings) == 2


def test_streams_are_left_out_with_a_reason_where_that_is_asked_for(corpus_folder: Path) -> None:
    plan = made("tracks_mkv", corpus_folder, suffix=".mp4", on_incompatible="drop")
    assert converted(plan) == {}
    assert dropped(plan) == {
        "subrip": "mp4 cannot hold subrip",
        "ass": "mp4 cannot hold ass",
        "unknown": "mp4 cannot hold attachments",
    }
    assert plan.warnings[0] == (
        "stream 3 (subtitle subrip, eng) is left out: mp4 cannot hold subrip; name the output .mkv to keep it"
    )
    assert len(plan.warnings) == 3


def test_stopping_names_every_stream_and_the_ways_out(corpus_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"mp4 cannot hold stream 3 .*; stream 4 .*; stream 5 .*\.mkv"):
        made("tracks_mkv", corpus_folder, suffix=".mp4", on_incompatible="stop")
    assert made("tracks_mkv", corpus_folder, on_incompatible="stop").warnings == ()


def test_the_output_becomes_an_mkv_where_that_is_asked_for(corpus_folder: Path) -> None:
    plan = made("tracks_mkv", corpus_folder, suffix=".mp4", on_incompatible="mkv")
    assert plan.output.container == "matroska"
    assert {stream.action for stream in plan.streams} == {"restore", "copy"}
    assert plan.warnings[0].startswith("the output is matroska: mp4 cannot hold stream 3 (subtitle subrip")
    # What neither holds is no reason to change.
    assert made("cfr", corpus_folder, suffix=".mp4", on_incompatible="mkv").output.container == "mp4"


def test_a_container_that_nobody_names_costs_no_stream(corpus_folder: Path) -> None:
    """ProRes does not go into mp4, and covers do not go into mov."""
    plan = made("cover_mp4", corpus_folder, codec="prores")
    assert plan.output.container == "matroska"
    assert {stream.action for stream in plan.streams} == {"restore", "copy"}
    assert plan.warnings[-1].startswith("the output is matroska: mov cannot hold stream 2 (video png")
    assert made("cover_mp4", corpus_folder, codec="prores", suffix=".mov").output.container == "mov"


@pytest.mark.parametrize(
    ("name", "asked", "mode", "suffix"),
    [
        ("tracks_mkv", ".mp4", "mkv", ".mkv"),
        ("tracks_mkv", ".mp4", "convert", ".mp4"),
        ("tracks_mkv", ".MKV", "mkv", ".MKV"),
        ("cfr", ".mp4", "mkv", ".mp4"),
        ("cfr", None, "convert", ".mp4"),
    ],
)
def test_the_name_ends_as_the_container_does(
    name: str, asked: str | None, mode: str, suffix: str, corpus_folder: Path
) -> None:
    info = probe(corpus.make(name, corpus_folder))
    assert suffix_for(info, codec="h264", scale=2, suffix=asked, on_incompatible=mode) == suffix


def test_mov_says_what_it_forgets(corpus_folder: Path) -> None:
    warnings = made("tracks_mp4", corpus_folder, suffix=".mov").warnings
    assert any("loses its flag comment in mov" in warning for warning in warnings)
    assert any("loses its flag forced" in warning for warning in warnings)


@pytest.mark.parametrize(("suffix", "action"), [(".mp4", "copy"), (".mkv", "copy"), (".mov", "drop")])
@pytest.mark.parametrize("name", ["cover_mp4", "cover_mkv"])
def test_a_cover_is_kept_where_there_are_covers(
    name: str, suffix: str, action: str, corpus_folder: Path
) -> None:
    plan = made(name, corpus_folder, suffix=suffix)
    assert plan.streams[2].action == action
    assert len(plan.warnings) == (action == "drop")


def test_a_timecode_is_kept_as_a_tag(corpus_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mov"
    cfr = str(corpus.make("cfr", corpus_folder))
    corpus.run(["-i", cfr, "-c", "copy", "-timecode", "01:00:00:00", str(source)])
    plan = plan_for(source)
    assert plan.streams[2].reason == "the timecode is kept as a tag of the video stream"
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("name", "suffix", "offset"),
    [
        ("cfr", None, 0),
        ("late_video", None, 0),
        ("late_audio", None, 0),
        ("edit_list", None, 0),
        ("tracks_mkv", None, 0),
        ("negative_start", None, Fraction(1, 5)),
        ("negative_start", ".mp4", Fraction(1, 5)),
        # The priming of AAC, which this FFmpeg does not hand on from mp4 to Matroska.
        ("cfr", ".mkv", Fraction(1024, 48000)),
    ],
)
def test_the_offset_is_the_smallest_that_the_container_needs(
    name: str, suffix: str | None, offset: Fraction, corpus_folder: Path
) -> None:
    assert made(name, corpus_folder, suffix=suffix).output.offset == offset


def test_sound_that_is_heard_is_not_hidden_by_mp4(corpus_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    arguments = [*shlex.split(corpus.ABBREVIATIONS["picture"]), "-f", "lavfi", "-i", "sine=d=2"]
    shift = ["-filter:a", "asetpts=PTS-0.1/TB", "-c:a", "pcm_s16le", "-avoid_negative_ts", "disabled"]
    corpus.run([*arguments, *shift, "-copyts", "-c:v", "libx264", str(source)])
    assert plan_for(source, suffix=".mp4").output.offset >= Fraction(1, 11)


def test_what_an_edit_list_hides_does_not_push_the_picture_back(corpus_folder: Path) -> None:
    plan = made("edit_list", corpus_folder, suffix=".mkv")
    assert plan.output.offset < Fraction(1, 40)
    assert any("without what the source's edit list hides" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("cfr", "h264", "yuv420p"),
        ("yuv444", "h264", "yuv444p"),
        ("depth_10_420", "h264", "yuv420p10le"),
        ("depth_10_422", "h264", "yuv422p10le"),
        ("depth_10_420", "av1", "yuv420p10le"),
        ("cfr", "prores", "yuv422p10le"),
        ("yuv444", "prores", "yuv444p10le"),
        ("gray", "h264", "yuv420p"),
        ("gray", "ffv1", "gray"),
        ("rgb", "h264", "yuv444p"),
        ("rgb", "hevc", "yuv444p"),
        ("rgb", "ffv1", "bgr0"),
        ("odd_420", "h264", "yuv444p"),
        ("odd_420", "ffv1", "yuv420p"),
        ("full_range", "h264", "yuv420p"),
    ],
)
def test_the_pixel_format_loses_nothing_and_is_widely_shown(
    name: str, codec: str, pix_fmt: str, corpus_folder: Path
) -> None:
    assert made(name, corpus_folder, codec=codec).output.pix_fmt == pix_fmt


def test_an_even_scale_makes_odd_sizes_even(corpus_folder: Path) -> None:
    plan = made("odd_420", corpus_folder, scale=2)
    assert (plan.output.pix_fmt, plan.output.width, plan.output.height) == ("yuv420p", 322, 242)
    assert plan.warnings == ()
    assert "is odd, so the output is yuv444p" in made("odd_420", corpus_folder).warnings[0]


def test_an_odd_size_that_a_codec_cannot_take_is_refused(corpus_folder: Path) -> None:
    with pytest.raises(ConfigError, match="av1 takes no picture of 161x121, which is odd"):
        made("odd_420", corpus_folder, codec="av1")


def test_lost_transparency_is_said(corpus_folder: Path) -> None:
    assert any("transparency is given up" in warning for warning in made("gif", corpus_folder).warnings)


@pytest.mark.parametrize(
    ("name", "codec", "matrix", "full_range"),
    [
        ("bt601", "h264", 6, False),
        ("bt709", "h264", 1, False),
        ("full_range", "h264", 1, True),
        ("full_range", "prores", 1, False),
        ("cfr", "h264", 6, False),  # untagged and below 720 rows: read as BT.601, and said to be
        ("rgb", "h264", 6, False),
        ("rgb", "ffv1", 0, True),
    ],
)
def test_the_output_states_its_colour(
    name: str, codec: str, matrix: int, full_range: bool, corpus_folder: Path
) -> None:
    colour = made(name, corpus_folder, codec=codec).output.colour
    assert (colour.matrix, colour.full_range) == (matrix, full_range)


def test_the_display_matrix_grows_with_the_picture(corpus_folder: Path) -> None:
    plan = made("turned_90", corpus_folder)
    source = (*plan.info.video.display_matrix[:6], 160 << 16, 120 << 16, 1 << 30)
    moved = replace(plan.info, video=replace(plan.info.video, display_matrix=source))
    output = decide_output(moved, frames=plan.frames, suffix=None, codec="h264", scale=4).output
    assert output.display_matrix == (*source[:6], 640 << 16, 480 << 16, 1 << 30)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("cfr", 25), ("one_frame", 25), ("vfr_hole", Fraction(25 * 24, 49)), ("vfr_mp4", Fraction(660, 17))],
)
def test_the_rate_is_the_mean_over_the_video(name: str, rate: Fraction, corpus_folder: Path) -> None:
    plan = made(name, corpus_folder)
    span = plan.frames.pts[-1] - plan.frames.pts[0]
    if name.startswith("vfr"):
        rate = (len(plan.frames) - 1) / (int(span) * plan.info.video.time_base)
    assert abs(plan.output.frame_rate / rate - 1) < Fraction(1, 100)
