import re
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import corpus
from vidsr.media.shape import FILLER, display_size, shape_matroska, shape_mp4

RATIO = Fraction(64, 45)


def remux(source: Path, output: Path, muxer: str, *, title: str) -> Path:
    """Copy the pictures of `source`, the shape of whose pixels is lost, between two tracks of sound."""
    with av.open(str(source)) as file, av.open(str(output), "w", format=muxer) as out:
        streams = [file.streams.audio[0], file.streams.video[0]]
        copies = {stream.index: out.add_stream_from_template(stream, opaque=True) for stream in streams}
        copies[streams[1].index].codec_context.sample_aspect_ratio = Fraction(1)
        copies[streams[1].index].metadata["title"] = title
        for packet in file.demux(streams):
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux_one(packet)
    return output


@pytest.fixture
def source(corpus_folder: Path) -> Path:
    return corpus.make("cfr", corpus_folder)


@given(
    width=st.integers(16, 8192),
    height=st.integers(16, 8192),
    ratio=st.fractions(Fraction(1, 4), 4, max_denominator=99),
)
def test_a_display_size_has_the_ratio_and_is_not_smaller(width: int, height: int, ratio: Fraction) -> None:
    shown_width, shown_height = display_size(width, height, ratio)
    wanted = width * ratio / height
    assert shown_height >= height
    # Half a pixel of a width that has no exact partner.
    assert abs(shown_width - wanted * shown_height) <= Fraction(1, 2)


def test_common_shapes_are_exact() -> None:
    for width, height, ratio in ((720, 576, RATIO), (1440, 1080, Fraction(4, 3)), (720, 480, Fraction(8, 9))):
        shown_width, shown_height = display_size(width, height, ratio)
        assert Fraction(shown_width, shown_height) == width * ratio / height


@pytest.mark.parametrize("title", ["", "A title"])
def test_matroska_says_the_shape_and_keeps_the_title(title: str, source: Path, tmp_path: Path) -> None:
    path = remux(source, tmp_path / "out.mkv", "matroska", title=title + FILLER)
    size = path.stat().st_size
    shape_matroska(path, size=display_size(corpus.WIDTH, corpus.HEIGHT, RATIO))
    assert path.stat().st_size == size
    with av.open(str(path)) as file:
        assert [stream.type for stream in file.streams] == ["audio", "video"]
        assert file.streams.video[0].metadata.get("title", "") == title
        assert sum(1 for _ in file.decode(video=0)) == corpus.NUM_FRAMES
    assert _ratio_by_ffmpeg(path) == RATIO


def test_the_checksum_of_the_tracks_is_right(source: Path, tmp_path: Path) -> None:
    path = remux(source, tmp_path / "out.mkv", "matroska", title=FILLER)
    shape_matroska(path, size=(512, 270))
    content = path.read_bytes()
    # Tracks begins with its id, a size (two bytes long here) and a CRC-32 of all that follows. The first such
    # id is in the list of what the file holds.
    identity = b"\x16\x54\xae\x6b"
    tracks = content.index(identity, content.index(identity) + 4) + 4
    assert content[tracks] >> 6 == 1
    stop = tracks + 2 + (int.from_bytes(content[tracks : tracks + 2]) & 0x3FFF)
    assert content[tracks + 2 : tracks + 4] == b"\xbf\x84"
    assert content[tracks + 4 : tracks + 8] == zlib.crc32(content[tracks + 8 : stop]).to_bytes(4, "little")


def test_mp4_widens_the_presentation_of_the_right_track(source: Path, tmp_path: Path) -> None:
    path = remux(source, tmp_path / "out.mp4", "mp4", title="")
    before = path.read_bytes()
    shape_mp4(path, track=1, sample_aspect_ratio=RATIO)
    after = path.read_bytes()
    changed = [index for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    header = before.rindex(b"tkhd")
    assert all(header < index < header + 96 for index in changed)
    width = after.index((round(corpus.WIDTH * RATIO * 65536)).to_bytes(4), header)
    assert int.from_bytes(after[width + 4 : width + 8]) == corpus.HEIGHT << 16


def _ratio_by_ffmpeg(path: Path) -> Fraction:
    said = subprocess.run([corpus.ffmpeg(), "-i", path], capture_output=True, text=True, check=False).stderr
    # What the picture says of itself comes first, what the container says last.
    width, height = re.findall(r"SAR (\d+):(\d+)", said)[-1]
    return Fraction(int(width), int(height))
