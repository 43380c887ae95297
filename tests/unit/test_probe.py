"""What a header says, and who is turned away."""

import shutil
from pathlib import Path

import pytest

from tests.corpus import CLASSES, EVERY, EXTRAS, Track, make
from vidsr.errors import InputError, NotAVideoError
from vidsr.media.probe import probe

READABLE = {
    **CLASSES,
    **{name: EXTRAS[name] for name in ("two_pictures", "two_equal_pictures", "gif", "avi")},
}


@pytest.mark.parametrize("name", READABLE)
def test_the_picture_is_described_as_it_was_made(name, corpus_folder):
    facts = READABLE[name]
    video = probe(make(name, corpus_folder)).video
    assert (video.codec, video.width, video.height) == (facts.codec, facts.width, facts.height)
    assert (video.pix_fmt, video.bit_depth) == (facts.pix_fmt, facts.bit_depth)
    assert video.sample_aspect_ratio == facts.sample_aspect_ratio
    assert video.display_matrix == facts.display_matrix
    assert video.stream_index == facts.video_index
    if facts.matrix is not None:
        assert video.colour.matrix == facts.matrix
    if facts.full_range is not None:
        assert video.colour.full_range is facts.full_range


@pytest.mark.parametrize("name", READABLE)
def test_every_other_stream_is_described(name, corpus_folder):
    info = probe(make(name, corpus_folder))
    tracks = tuple(
        Track(
            kind=each.kind,
            codec=each.codec,
            language=each.language,
            title=each.title,
            dispositions=each.dispositions,
        )
        for each in info.streams
        if each.index != info.video.stream_index
    )
    assert tracks == READABLE[name].tracks
    assert info.num_chapters == READABLE[name].num_chapters


@pytest.mark.parametrize("name", ["cover_mp4", "cover_mkv"])
def test_a_cover_is_marked_and_never_the_picture(name, corpus_folder):
    info = probe(make(name, corpus_folder))
    covers = [stream for stream in info.streams if stream.is_cover]
    assert [cover.codec for cover in covers] == ["png"]
    assert info.video.stream_index != covers[0].index


def test_a_stream_can_be_chosen(corpus_folder):
    path = make("two_pictures", corpus_folder)
    assert (probe(path).video.width, probe(path, video_stream=0).video.width) == (160, 320)


def test_choosing_what_is_no_picture_names_those_that_are(corpus_folder):
    with pytest.raises(NotAVideoError, match="stream 1 is not a video stream; video streams: 0"):
        probe(make("cfr", corpus_folder), video_stream=1)


def test_the_average_rate_and_time_base_are_fractions(corpus_folder):
    video = probe(make("cfr", corpus_folder)).video
    assert video.average_rate_from_header == 25
    assert video.time_base.numerator == 1


@pytest.mark.parametrize("name", ["-dash.mp4", "a:b 'c' %d [x].mp4", "é漢.mp4"])
def test_a_strange_name_is_a_name(name, corpus_folder, tmp_path):
    path = tmp_path / name
    shutil.copy(make("one_frame", corpus_folder), path)
    assert probe(path).video.codec == "h264"


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _text(folder: Path) -> Path:
    (folder / "notes.txt").write_text("Nothing to see here.\n")
    return folder / "notes.txt"


def _text_that_ffmpeg_would_draw(folder: Path) -> Path:
    (folder / "notes.nfo").write_text("Nothing to see here.\n")
    return folder / "notes.nfo"


def _subtitles(folder: Path) -> Path:
    (folder / "a.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nHello\n")
    return folder / "a.srt"


def _zeros(folder: Path) -> Path:
    (folder / "zeros.mp4").write_bytes(bytes(4096))
    return folder / "zeros.mp4"


@pytest.mark.parametrize(
    ("make_input", "reason"),
    [
        (_missing, "no such file"),
        (lambda folder: folder, "is a folder"),
        (_empty, "the file is empty"),
        (_text, "not a media file"),
        (_text_that_ffmpeg_would_draw, "not a video"),
        (_subtitles, "there is no video in it, only subtitle"),
        (_zeros, "not a media file"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line_with_its_name(make_input, reason, tmp_path):
    path = make_input(tmp_path)
    with pytest.raises(NotAVideoError, match=reason) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == InputError.exit_code == 3


def _first_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_first_half, "the moov box is missing"),
        (lambda _: b"\0\0\0\x08ftyp" + bytes(4000), "the moov box is missing"),
        (lambda _: b"\0\0\0\x10free" + bytes(4000), "not a media file, or damaged at its beginning"),
    ],
)
def test_an_mp4_without_its_table_is_told_from_what_is_none(damage, words, corpus_folder, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(damage(make("cfr", corpus_folder).read_bytes()))
    with pytest.raises(NotAVideoError, match=words):
        probe(path)


def test_sound_alone_is_refused(corpus_folder):
    with pytest.raises(NotAVideoError, match="there is no video in it, only audio"):
        probe(make("audio_only", corpus_folder))


def test_every_class_is_probed_or_refused_above():
    assert set(READABLE) <= set(EVERY)
    assert len(CLASSES) >= 30
