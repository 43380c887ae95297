"""Files that ask for too much are turned away in time, and nothing that a file names is opened."""

import socket
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests import bombs, corpus
from vidsr.config_sections import LimitsConfig
from vidsr.errors import InputError, MachineError, NotAVideoError
from vidsr.media import admit as module
from vidsr.media.admit import admit
from vidsr.media.copies import open_for_copying
from vidsr.media.index import build_index
from vidsr.media.limits import DEFAULT_MAX_PIXELS, REFERRING, Limits, openable_formats
from vidsr.media.probe import probe

LITTLE_MEMORY = 2**28


@pytest.fixture(scope="module")
def clip(corpus_folder: Path) -> Path:
    return corpus.make("odd_420", corpus_folder)


BOMBS: dict[str, tuple[Callable[[Path, Path], Path], Limits, str]] = {
    "pixels": (
        lambda _clip, path: bombs.huge_png(path, 32_768, num_rows=100),
        Limits(),
        "has a picture of 32768x32768, and limits.max_pixels is 67108864; if you trust the file, raise it: "
        "--set limits.max_pixels=1073741824 or VIDSR_LIMITS__MAX_PIXELS=1073741824",
    ),
    "streams": (
        lambda clip, path: bombs.with_streams(clip, path, 2000),
        Limits(),
        "has 2001 streams, and limits.max_streams is 500",
    ),
    "chapters": (
        lambda clip, path: bombs.with_chapters(clip, path, 20_000),
        Limits(),
        "has 20000 chapters, and limits.max_chapters is 10000",
    ),
    "tags": (
        lambda clip, path: bombs.with_tags(clip, path, [bytes(9_000_000).replace(b"\0", b"x")] * 2),
        Limits(),
        "bytes of tags, and limits.max_tag_bytes is 16777216",
    ),
    "time": (
        lambda clip, path: bombs.with_tags(clip, path, [b"x"] * 60_000),
        Limits(open_seconds=1),
        "takes longer to open than limits.open_seconds, 1; ",
    ),
    "memory": (
        lambda clip, path: bombs.with_chapters(clip, path, 300_000),
        Limits(open_memory_bytes=LITTLE_MEMORY),
        "takes more memory to open than limits.open_memory_bytes, 268435456; ",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows bounds no process")
@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_by_the_name_of_its_limit(kind: str, clip: Path, tmp_path: Path) -> None:
    make, limits, words = BOMBS[kind]
    path = make(clip, tmp_path / f"bomb{'.png' if kind == 'pixels' else '.mkv'}")
    assert path.stat().st_size < 20_000_000
    with pytest.raises(InputError) as caught:
        admit(path, limits)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_limit_that_is_raised_lets_the_file_in(clip: Path, tmp_path: Path) -> None:
    path = bombs.with_chapters(clip, tmp_path / "clip.mkv", 11)
    with pytest.raises(InputError, match="max_chapters is 10;"):
        admit(path, Limits(max_chapters=10))
    admit(path, Limits(max_chapters=11))
    assert probe(path).num_chapters == 11


@pytest.mark.parametrize(
    "name", ["cfr", "tracks_mkv", "cover_mp4", "no_times", "clock_wrap", "zeros", "still"]
)
def test_an_ordinary_file_is_let_in(name: str, corpus_folder: Path) -> None:
    admit(corpus.make(name, corpus_folder), Limits(open_memory_bytes=LITTLE_MEMORY, open_seconds=1))


def test_what_is_no_file_is_left_to_the_next(tmp_path: Path) -> None:
    admit(tmp_path / "missing.mp4", Limits())
    admit(tmp_path, Limits())


def test_the_defaults_of_the_configuration_are_those_of_the_limits() -> None:
    assert Limits(**LimitsConfig().model_dump()) == Limits()


def test_a_crash_in_the_other_process_is_told(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "opener.py"
    monkeypatch.setattr(module.opener, "__file__", str(program))
    program.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with pytest.raises(InputError, match=r"FFmpeg crashes when it opens this \(SIGSEGV\)"):
        admit(clip, Limits())
    program.write_text("import nothing_of_this_name\n")
    with pytest.raises(MachineError, match="nothing_of_this_name"):
        admit(clip, Limits())


def test_a_picture_that_grows_in_mid_stream_is_not_decoded(corpus_folder: Path, tmp_path: Path) -> None:
    """The first picture was admitted; one of the next claims a hundred million pixels."""
    assert DEFAULT_MAX_PIXELS < 12_000**2
    small, large, joined = (tmp_path / name for name in ("small.png", "large.png", "joined.mov"))
    bombs.huge_png(small, 64)
    bombs.huge_png(large, 12_000)
    with av.open(str(joined), "w") as out:
        stream = out.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "gray"
        out.start_encoding()
        for number, path in enumerate((small, small, large, small)):
            packet = av.Packet(path.read_bytes())
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            out.mux(packet)
    index = build_index(joined, probe(joined), on_frame=lambda _index, _thumbnail: None)
    assert (len(index.frames), index.decode_errors) == (3, 1)


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000" width="160" height="120" '
    'codecs="avc1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
SESSION = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
REFERENCES = {
    "list.ffconcat": "ffconcat version 1.0\nfile {}\n",
    "list.mp4": "ffconcat version 1.0\nfile {}\n",
    "list.m3u8": PLAYLIST,
    "list.mpd": DASH,
    "list.sdp": SESSION,
    "list.idx": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n",
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_list_of_other_files_is_not_followed(name: str, corpus_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(corpus.make("two_frames", corpus_folder).read_bytes())
    (tmp_path / "list.sub").write_bytes(bytes(4096))
    path = tmp_path / name
    path.write_text(REFERENCES[name].format("secret.mp4"))
    admit(path, Limits())
    with pytest.raises(NotAVideoError):
        probe(path)
    with pytest.raises(av.error.FFmpegError), open_for_copying(path):
        pass


def test_the_name_of_a_picture_is_no_pattern(corpus_folder: Path, tmp_path: Path) -> None:
    """FFmpeg would open f_1.png for a file that is called f_%d.png."""
    bombs.huge_png(tmp_path / "f_1.png", 16)
    bombs.huge_png(tmp_path / "f_%d.png", 32)
    admit(tmp_path / "f_%d.png", Limits())
    assert probe(tmp_path / "f_%d.png").video.width == 32


@pytest.mark.parametrize("name", ["list.ffconcat", "list.m3u8", "list.mpd"])
def test_no_address_is_asked(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        path.write_text(REFERENCES[name].format(f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"))
        admit(path, Limits())
        with pytest.raises(NotAVideoError):
            probe(path)
        with pytest.raises(TimeoutError):
            server.accept()


def test_formats_that_refer_to_others_are_not_opened() -> None:
    formats = openable_formats()
    assert not formats & (REFERRING | {"lavfi", "rtsp", "rtp", "sap", "x11grab"})
    assert {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "avi", "gif", "png_pipe"} <= formats
