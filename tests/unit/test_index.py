"""The index: every frame, its time, its picture; and what is wrong with a file."""

import subprocess
import zlib
from fractions import Fraction

import numpy as np
import pytest

from tests.corpus import CLASSES, EVERY, ffmpeg, make
from vidsr.media.decode import open_source
from vidsr.media.frames import format_facts
from vidsr.media.index import THUMBNAIL_WIDTH, build_index
from vidsr.media.probe import probe
from vidsr.types import NO_PTS, FrameTable

MENDED = {
    "transport_stream": 0,
    "no_times": 1,
    "avi": 0,
    "gif": 0,
    "wrong_time": 1,
    "splice": 1,
    "two_pictures": 0,
}
"""Extra inputs whose frames all come out, and how many repairs are reported."""


def index(name, folder, on_frame=lambda index, thumbnail: None):
    path = make(name, folder)
    return build_index(path, probe(path), on_frame=on_frame)


@pytest.mark.parametrize("name", [*CLASSES, *MENDED])
def test_every_frame_is_there_at_its_own_time(name, corpus_folder):
    facts = EVERY[name]
    result = index(name, corpus_folder)
    times = [int(pts) * result.info.video.time_base for pts in result.frames.pts]
    assert len(times) == facts.num_frames
    assert max(abs(time - expected) for time, expected in zip(times, facts.times, strict=True)) <= facts.tick


@pytest.mark.parametrize("name", [*CLASSES, *MENDED])
def test_a_sound_file_needs_no_repair_and_shows_no_damage(name, corpus_folder):
    result = index(name, corpus_folder)
    # negative_start is sound, but FFmpeg gives no time to the frames before zero.
    num_repairs = 1 if name == "negative_start" else MENDED.get(name, 0)
    assert len(result.repairs) == num_repairs
    assert result.losses == ()
    assert not (result.frames.flags & FrameTable.CORRUPT).any()


def planes_by_ffmpeg(path, facts):
    """Return the CRC of each frame's first plane as the ffmpeg program (another build) decodes it."""
    command = [
        ffmpeg(), "-loglevel", "error", "-noautorotate", "-i", str(path), "-map", f"0:{facts.video_index}",
        "-fps_mode", "passthrough", "-f", "rawvideo", "-",
    ]  # fmt: skip
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    described = format_facts(facts.pix_fmt)
    shapes = [
        described.plane_shape(plane, height=facts.height, width=facts.width)
        for plane in range(described.num_planes)
    ]
    sizes = [rows * columns * np.dtype(described.dtype).itemsize for rows, columns in shapes]
    frame_size, plane_size = sum(sizes), sizes[0]
    return [zlib.crc32(raw[start : start + plane_size]) for start in range(0, len(raw), frame_size)]


@pytest.mark.parametrize("name", [*CLASSES, "transport_stream", "no_times", "avi"])
def test_the_crc_is_of_the_plane_that_ffmpeg_decodes(name, corpus_folder):
    expected = planes_by_ffmpeg(make(name, corpus_folder), EVERY[name])
    assert index(name, corpus_folder).frames.luma_crc.tolist() == expected


@pytest.mark.parametrize("name", ["cfr", "short_gop", "long_gop"])
def test_key_frames_are_marked(name, corpus_folder):
    keys = np.flatnonzero(index(name, corpus_folder).frames.flags & FrameTable.KEY).tolist()
    assert keys == {"cfr": [0, 25], "short_gop": list(range(50)), "long_gop": [0]}[name]


def test_durations_fill_the_time_up_to_the_end(corpus_folder):
    frames = index("vfr_mp4", corpus_folder).frames
    np.testing.assert_array_equal(frames.pts[1:], (frames.pts + frames.duration)[:-1])
    assert frames.duration[-1] > 0


def test_source_times_are_kept_as_they_were(corpus_folder):
    assert (index("no_times", corpus_folder).frames.source_pts == NO_PTS).all()
    sound = index("cfr", corpus_folder).frames
    np.testing.assert_array_equal(sound.source_pts, sound.pts)


def test_the_table_is_columns_of_25_bytes_a_frame(corpus_folder):
    frames = index("cfr", corpus_folder).frames
    columns = (frames.pts, frames.source_pts, frames.duration, frames.luma_crc, frames.flags)
    assert sum(column.itemsize for column in columns) == 25
    assert all(len(column) == len(frames) for column in columns)


@pytest.mark.parametrize("name", ["cfr", "odd_444", "depth_10_422", "gray", "rgb", "gif"])
def test_thumbnails_show_each_frame_in_order(name, corpus_folder):
    seen = []
    result = index(name, corpus_folder, on_frame=lambda index, thumbnail: seen.append((index, thumbnail)))
    assert [number for number, _ in seen] == list(range(len(result.frames)))
    facts = EVERY[name]
    height = round(facts.height * THUMBNAIL_WIDTH / facts.width)
    assert {thumbnail.shape for _, thumbnail in seen} == {(height, THUMBNAIL_WIDTH, 3)}
    assert all(thumbnail.dtype == np.uint8 for _, thumbnail in seen)
    assert (seen[0][1] != seen[-1][1]).any()


def test_thumbnails_are_blue_green_red(corpus_folder):
    path = make("cuts", corpus_folder)
    last = {}
    build_index(path, probe(path), on_frame=lambda index, thumbnail: last.update({index: thumbnail}))
    # The last shot is three bars: red, green and blue from the top.
    rows = last[len(last) - 1]
    height = len(rows)
    middles = [rows[height * share // 6, 64] for share in (1, 3, 5)]
    assert [int(np.argmax(middle)) for middle in middles] == [2, 1, 0]


def test_a_cut_off_file_gives_what_is_left_and_says_what_is_missing(corpus_folder):
    result = index("truncated", corpus_folder)
    assert 10 < len(result.frames) < 50
    assert any("the header promises video until 2.000 s in 50 frames" in line for line in result.losses)


def test_damaged_packets_are_counted_and_the_rest_keeps_its_times(corpus_folder):
    result = index("corrupt", corpus_folder)
    assert result.decode_errors >= 1
    assert 30 < len(result.frames) < 50
    assert (result.frames.flags & FrameTable.CORRUPT).any()
    times = {int(pts) * result.info.video.time_base for pts in result.frames.pts}
    assert times <= {Fraction(n, 25) for n in range(50)}


def test_damage_is_decoded_the_same_way_every_time(corpus_folder):
    tables = [index("corrupt", corpus_folder).frames for _ in range(6)]
    for table in tables[1:]:
        np.testing.assert_array_equal(table.luma_crc, tables[0].luma_crc)
        np.testing.assert_array_equal(table.flags, tables[0].flags)


def test_a_splice_is_named(corpus_folder):
    (line,) = index("splice", corpus_folder).repairs
    assert line.startswith("frame 25: the timeline jumps by")


def test_pictures_of_another_size_are_scaled_to_the_first_and_named(corpus_folder):
    result = index("size_change", corpus_folder)
    assert (result.info.video.width, result.info.video.height) == (160, 120)
    assert len(result.frames) == 20
    (line,) = result.repairs
    assert line == "frames 10 to 19 are 320x240 yuv420p: scaled to the 160x120 yuv420p of the first frame"


def test_pictures_of_another_size_are_decoded_as_the_index_saw_them(corpus_folder):
    path = make("size_change", corpus_folder)
    result = index("size_change", corpus_folder)
    with open_source(path, result.info, result.frames, linear=False) as source:
        assert [frame.width for frame in source.frames(8, 20)] == [160] * 12
        assert [frame.height for frame in source.frames(12, 14)] == [120] * 2


def test_a_long_hold_is_no_damage(corpus_folder):
    assert index("vfr_hole", corpus_folder).losses == ()
