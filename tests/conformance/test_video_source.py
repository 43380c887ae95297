"""What every way to get at frames by number promises, on every kind of input.

A new source or sampler is one entry in SOURCES or SAMPLERS.
"""

import random
import zlib

import numpy as np
import pytest

from tests.corpus import CLASSES, EVERY, make
from vidsr.media.colour import to_rgb
from vidsr.media.decode import PyAVSource
from vidsr.media.index import build_index
from vidsr.media.probe import probe
from vidsr.media.sample import DecordSampler, PyAVSampler, open_sampler
from vidsr.types import FrameTable

SOURCES = {
    "seeking": lambda path, info, table: PyAVSource(path, info, table, linear=False),
    "linear": lambda path, info, table: PyAVSource(path, info, table, linear=True),
}
SAMPLERS = {"pyav": PyAVSampler, "best": open_sampler}
READABLE = [*CLASSES, "transport_stream", "no_times", "avi", "gif", "wrong_time", "splice", "two_pictures"]
DAMAGED = ["truncated", "corrupt"]
BY_DECORD = [
    "cfr",
    "b_frames",
    "vfr_mp4",
    "vfr_mkv",
    "vfr_mov",
    "tracks_mkv",
    "odd_444",
    "rgb",
    "gray",
    "bt709",
    "cuts",
]
NOT_BY_DECORD = [
    "edit_list", "late_video", "negative_start", "turned_90", "depth_10_420", "transport_stream", "no_times",
    "gif", "two_pictures", "corrupt", "splice",
]  # fmt: skip


@pytest.fixture(scope="module")
def indexed(corpus_folder):
    """Return the path, the facts and the table of an input, indexed once."""
    known = {}

    def get(name):
        if name not in known:
            path = make(name, corpus_folder)
            result = build_index(path, probe(path), on_frame=lambda index, thumbnail: None)
            known[name] = (path, result.info, result.frames)
        return known[name]

    return get


@pytest.fixture(params=SOURCES)
def open_one(request):
    return SOURCES[request.param]


def check(frame, index, info, table):
    assert frame.index == index
    assert frame.pts == table.pts[index]
    assert frame.time_base == info.video.time_base
    assert zlib.crc32(frame.planes[0].tobytes()) == table.luma_crc[index]


@pytest.mark.parametrize("name", READABLE)
def test_all_frames_come_in_order_with_their_times(name, open_one, indexed):
    path, info, table = indexed(name)
    facts = EVERY[name]
    source = open_one(path, info, table)
    frames = list(source.frames(0, len(table)))
    source.close()
    assert len(frames) == facts.num_frames
    for index, frame in enumerate(frames):
        check(frame, index, info, table)
        assert (frame.width, frame.height, frame.pix_fmt) == (facts.width, facts.height, facts.pix_fmt)
        assert frame.colour == info.video.colour


@pytest.mark.parametrize(
    ("name", "open_one"),
    [
        *((name, source) for name in READABLE for source in SOURCES.values()),
        # A seek into damaged input gives other pictures: it is only ever decoded linearly.
        *((name, SOURCES["linear"]) for name in DAMAGED),
    ],
)
def test_any_range_gives_the_frames_of_a_run_through(name, open_one, indexed):
    """All planes: the CRC covers the first only."""
    path, info, table = indexed(name)
    source = open_one(path, info, table)
    straight = list(source.frames(0, len(table)))
    rng = random.Random(name)
    for _ in range(6):
        start = rng.randrange(len(table))
        stop = min(len(table), start + rng.randrange(1, 6))
        again = list(source.frames(start, stop))
        assert [frame.index for frame in again] == list(range(start, stop))
        for frame in again:
            for plane, expected in zip(frame.planes, straight[frame.index].planes, strict=True):
                np.testing.assert_array_equal(plane, expected)
    source.close()


@pytest.mark.parametrize("name", ["cfr", "b_frames", "vfr_mkv", "edit_list", "one_frame"])
def test_a_source_that_starts_anywhere_agrees(name, open_one, indexed):
    path, info, table = indexed(name)
    for start in {0, len(table) // 2, len(table) - 1}:
        source = open_one(path, info, table)
        (frame,) = source.frames(start, start + 1)
        check(frame, start, info, table)
        source.close()


def test_an_empty_range_is_empty(open_one, indexed):
    source = open_one(*indexed("cfr"))
    assert list(source.frames(7, 7)) == []
    source.close()


def test_a_range_may_be_left_half_way(open_one, indexed):
    path, info, table = indexed("cfr")
    source = open_one(path, info, table)
    frames = source.frames(0, 30)
    check(next(frames), 0, info, table)
    check(next(frames), 1, info, table)
    check(next(source.frames(10, 12)), 10, info, table)
    check(next(source.frames(2, 3)), 2, info, table)
    source.close()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", [*READABLE, *DAMAGED])
def test_a_sample_shows_the_frame_that_was_asked_for(name, sampler, indexed):
    path, info, table = indexed(name)
    with PyAVSource(path, info, table, linear=True) as source:
        straight = [to_rgb(frame) for frame in source.frames(0, len(table))]
    if straight[0].dtype == np.uint16:
        straight = [np.rint(pixels / 257).astype(np.uint8) for pixels in straight]
    last = len(table) - 1
    wanted = [last, 0, last // 2, last // 3, last // 3]
    with SAMPLERS[sampler](path, info, table) as opened:
        pictures = opened.pictures(wanted)
    assert len(pictures) == len(wanted)
    for index, picture in zip(wanted, pictures, strict=True):
        assert picture.dtype == np.uint8
        assert picture.shape == (3, info.video.height, info.video.width)
        near = range(max(0, index - 3), min(last, index + 3) + 1)
        errors = {other: np.abs(picture.astype(int) - straight[other]).mean() for other in near}
        # Frames of a still picture differ by what compression left.
        assert errors[index] < min(errors.values()) + 0.05
        # decord enlarges chroma without a filter: sharp, coloured test pictures show that at its worst.
        assert errors[index] < 8


def test_no_sample_is_no_picture(indexed):
    for sampler in SAMPLERS.values():
        with sampler(*indexed("cfr")) as opened:
            assert opened.pictures([]) == []


@pytest.mark.parametrize("name", BY_DECORD)
def test_decord_reads_what_it_reads_right(name, indexed):
    pytest.importorskip("decord")
    with open_sampler(*indexed(name)) as opened:
        assert isinstance(opened, DecordSampler)


@pytest.mark.parametrize("name", NOT_BY_DECORD)
def test_decord_is_kept_from_what_it_gets_wrong(name, indexed):
    with open_sampler(*indexed(name)) as opened:
        assert isinstance(opened, PyAVSampler)


def test_decord_is_kept_from_damage(indexed):
    path, info, table = indexed("cfr")
    flags = table.flags | FrameTable.CORRUPT
    damaged = FrameTable(
        pts=table.pts,
        source_pts=table.source_pts,
        duration=table.duration,
        luma_crc=table.luma_crc,
        flags=flags,
    )
    with open_sampler(path, info, damaged) as opened:
        assert isinstance(opened, PyAVSampler)


def test_where_decord_fails_pyav_stands_in(indexed, monkeypatch):
    decord = pytest.importorskip("decord")

    def fails(self, indices):
        msg = "cannot"
        raise decord.DECORDError(msg)

    monkeypatch.setattr(decord.VideoReader, "get_batch", fails)
    path, info, table = indexed("cfr")
    with open_sampler(path, info, table) as opened, PyAVSampler(path, info, table) as exact:
        assert isinstance(opened, DecordSampler)
        np.testing.assert_array_equal(opened.pictures([3])[0], exact.pictures([3])[0])
