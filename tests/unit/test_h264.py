"""Frames that were lost before a file was written, by the numbers that H.264 gives them."""

import random
from pathlib import Path

import av
import pytest

from tests import corpus
from vidsr.media.h264 import FrameNumbers

SETTINGS = {
    "b_frames": "-preset veryfast -bf 3",
    "pyramid": "-preset veryfast -bf 8 -x264-params b-pyramid=normal:ref=4",
    "no_b_frames": "-preset ultrafast",
    "open_gop": "-preset veryfast -bf 3 -x264-params open-gop=1:keyint=10",
    "slices": "-preset veryfast -slices 4",
    "interlaced": "-preset veryfast -flags +ilme+ildct",
    "intra_refresh": "-preset veryfast -x264-params intra-refresh=1:keyint=10",
    "scaling_lists": "-preset veryfast -x264-params cqm=jvt",
    "rgb": "-preset veryfast -c:v libx264rgb -pix_fmt bgr24",
    "deep": "-preset veryfast -pix_fmt yuv422p10le",
}


def encoded(folder: Path, name: str, suffix: str) -> Path:
    path = folder / f"{name}{suffix}"
    picture = "-f lavfi -i testsrc2=s=96x64:r=25:d=2 -c:v libx264 -g 25"
    corpus.run([*f"{picture} {SETTINGS[name]}".split(), str(path)])
    return path


def numbers_of(path: Path, *, without: tuple[int, ...] = ()) -> FrameNumbers:
    with av.open(str(path)) as file:
        numbers = FrameNumbers(file.streams.video[0].codec_context.extradata)
        packets = [bytes(packet) for packet in file.demux(video=0) if packet.size]
    for number, packet in enumerate(packets):
        if number not in without:
            numbers.feed(packet)
    return numbers


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_whole_stream_misses_nothing(name: str, suffix: str, tmp_path: Path) -> None:
    assert numbers_of(encoded(tmp_path, name, suffix)).num_missing == 0


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
@pytest.mark.parametrize("name", ["no_b_frames", "slices", "interlaced", "scaling_lists", "rgb", "deep"])
def test_dropped_frames_are_counted(name: str, suffix: str, tmp_path: Path) -> None:
    """Nothing is built on B-frames, so they have no numbers of their own: at least the others are counted."""
    path = encoded(tmp_path, name, suffix)
    numbers = numbers_of(path, without=(5, 6, 7, 8, 9, 17, 18, 19, 20))
    assert numbers.num_holes == 2
    assert 2 <= numbers.num_missing <= 9


def test_every_reference_frame_is_counted(tmp_path: Path) -> None:
    path = encoded(tmp_path, "no_b_frames", ".mp4")
    assert numbers_of(path, without=(5, 6, 7)).num_missing == 3


def test_a_key_frame_begins_a_new_count(tmp_path: Path) -> None:
    path = encoded(tmp_path, "no_b_frames", ".mp4")
    assert numbers_of(path, without=tuple(range(22, 25))).num_missing == 0


@pytest.mark.parametrize("seed", range(20))
def test_garbage_is_read_without_an_error(seed: int) -> None:
    noise = random.Random(seed).randbytes(400)
    for extradata in (None, b"", b"\1", b"\1\x64\0\x1f\xff\xe1" + noise, b"\0\0\1\x67" + noise):
        numbers = FrameNumbers(extradata)
        for start in range(0, 400, 40):
            numbers.feed(noise[start:])
            numbers.feed(b"\0\0\1" + noise[start:])
