from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from av.packet import Packet
from hypothesis import given
from hypothesis import strategies as st

from vidsr.media.copies import (
    PRIMING,
    Placement,
    Trim,
    is_blank,
    language_of,
    payload_of,
    ticks_of,
    title_of,
)
from vidsr.media.packets import packets_of

MILLISECOND = Fraction(1, 1000)


@dataclass
class FakePacket:
    """What is asked of a packet; PyAV lets nobody set `is_discard`."""

    pts: int | None
    dts: int | None
    duration: int
    is_discard: bool
    time_base: Fraction = MILLISECOND


def packet(
    pts: int | None, dts: int | None = None, *, duration: int = 10, hidden: bool = False
) -> FakePacket:
    return FakePacket(pts=pts, dts=pts if dts is None else dts, duration=duration, is_discard=hidden)


def placed(packets: list[FakePacket], **options) -> list[tuple[int, int]]:
    options = {"tick": MILLISECOND, "offset": Fraction(0), "muxer": "mp4", **options}
    placement = Placement(**options)
    places = [placement.place(each) for each in packets]
    return [(place.pts, place.dts) for place in places if place is not None]


muxers = st.sampled_from(["mp4", "mov", "matroska", "webm"])
steps = st.lists(st.integers(1, 5000), min_size=1, max_size=40)


@given(start=st.integers(-5000, 5000), steps=steps, muxer=muxers)
def test_rising_times_stay_what_they_are(start: int, steps: list[int], muxer: str) -> None:
    times = [start + sum(steps[:count]) for count in range(len(steps))]
    assert placed([packet(time) for time in times], muxer=muxer) == [(time, time) for time in times]


@given(start=st.integers(0, 5000), steps=steps, offset=st.fractions(0, 5), muxer=muxers)
def test_every_packet_moves_by_the_offset(start: int, steps: list[int], offset: Fraction, muxer: str) -> None:
    tick = Fraction(1, 90000)
    times = [start + sum(steps[:count]) for count in range(len(steps))]
    for time, (pts, _) in zip(
        times, placed([packet(t) for t in times], tick=tick, offset=offset, muxer=muxer), strict=True
    ):
        assert abs(pts * tick - time * MILLISECOND - offset) <= tick / 2


@given(times=st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), min_size=1, max_size=40), muxer=muxers)
def test_whatever_comes_a_muxer_can_take_it(times: list[int | None], muxer: str) -> None:
    places = placed([packet(time) for time in times], muxer=muxer)
    assert len(places) == len(times)
    assert all(dts <= pts for pts, dts in places)
    least = 1 if muxer in {"mp4", "mov"} else 0
    assert all(after[1] - before[1] >= least for before, after in pairwise(places))


def test_a_packet_without_a_time_follows_the_one_before() -> None:
    assert placed([packet(100), packet(None), packet(130)]) == [(100, 100), (110, 110), (130, 130)]


def test_reordered_frames_without_dts_keep_their_times() -> None:
    # As Matroska gives them: the demuxer knows no dts for as many packets as frames are reordered by.
    packets = [packet(0), packet(40), packet(20, 0), packet(10, 10), packet(30, 20)]
    packets[0].dts = packets[1].dts = None
    places = placed(packets, muxer="matroska", reorder_depth=2)
    assert [pts for pts, _ in places] == [0, 40, 20, 10, 30]
    assert [dts for _, dts in places] == [-20, -10, 0, 10, 20]


def test_priming_is_kept_where_it_cannot_be_hidden() -> None:
    priming = packet(-21, duration=21, hidden=True)
    assert not Trim("matroska").leaves_out(priming)


def test_hidden_sound_is_left_out_where_it_cannot_be_hidden() -> None:
    start = round(-PRIMING / MILLISECOND) - 50
    packets = [packet(time, hidden=time < 0) for time in range(start, 20, 10)]
    trim = Trim("matroska")
    assert [each.pts for each in packets if not trim.leaves_out(each)] == [0, 10]
    assert trim.is_cut


def test_hidden_sound_is_kept_where_an_edit_list_hides_it() -> None:
    packets = [packet(time, hidden=time < 0) for time in range(-300, 20, 10)]
    trim = Trim("mp4")
    assert not any(trim.leaves_out(each) for each in packets)


@pytest.mark.parametrize(("flags", "length"), [(0xF1, 7), (0xF0, 9)])
def test_the_frame_of_a_transport_stream_is_no_payload(flags: int, length: int) -> None:
    header = bytes([0xFF, flags, *range(length - 2)])
    assert payload_of(Packet(header + b"sound"), "aac") == b"sound"
    assert payload_of(Packet(b"sound"), "aac") == b"sound"
    assert payload_of(Packet(header + b"sound"), "mp3") == header + b"sound"


class Unreadable:
    """A file that breaks off after two packets."""

    streams = ()

    def demux(self, streams: object) -> Iterator[Packet]:
        yield from (Packet(b"1"), Packet(), Packet(b"2"))
        raise av.error.InvalidDataError(1, "Invalid data found when processing input")


def test_a_file_ends_where_it_cannot_be_read() -> None:
    assert [bytes(each) for each in packets_of(Unreadable(), [])] == [b"1", b"2"]


def test_only_an_empty_subtitle_is_blank() -> None:
    assert is_blank(b"\0\0", "mov_text")
    assert not is_blank(b"\0\2Hi", "mov_text")
    assert not is_blank(b"\0\0", "aac")


def test_a_title_is_found_under_either_name() -> None:
    assert title_of({"title": "a"}) == title_of({"name": "a"}) == "a"
    assert title_of({}) == ""


def test_an_undetermined_language_is_none() -> None:
    assert language_of({"language": "und"}) == language_of({}) == ""
    assert language_of({"language": "fra"}) == "fra"


@given(
    ticks=st.integers(-(10**9), 10**9),
    tick=st.sampled_from([MILLISECOND, Fraction(1001, 30000), Fraction(1, 90000)]),
)
def test_whole_ticks_stay_whole(ticks: int, tick: Fraction) -> None:
    assert ticks_of(ticks * tick, tick) == ticks
