"""Streams that the output cannot hold as they are: the words, the sound and the times are still all there."""

import hashlib
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.stream import Disposition

from tests import corpus
from tests.assembled import assembled
from vidsr.media.packets import STEADY
from vidsr.media.sound import HOLE, SoundFormat, heard, samples_of
from vidsr.media.texts import Cue, Texts, encode_texts, read_texts
from vidsr.media.verify import verify

SCRIPT = (
    "1\n00:00:00,200 --> 00:00:01,400\nHello\n\n"
    "2\n00:00:00,600 --> 00:00:00,900\n<i>World</i>\n\n"
    "3\n00:00:01,500 --> 00:00:01,900\nTwo\nlines, é漢\n"
)
SHOWN = [
    (200, 600, "Hello"),
    (600, 900, "Hello\n<i>World</i>"),
    (900, 1400, "Hello"),
    (1500, 1900, "Two\nlines, é漢"),
]
"""Milliseconds and words; mov_text shows one cue at a time."""
OVERLAPPING = [(200, 1400, "Hello"), (600, 900, "<i>World</i>"), (1500, 1900, "Two\nlines, é漢")]
EVENT = b"%d,0,Default,,0,0,0,,%s"


def by_ffmpeg(path: Path) -> list[tuple[int, int, str]]:
    """Return the cues of the first subtitle stream as the ffmpeg program reads them."""
    command = [corpus.ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:s:0", "-f", "srt", "-"]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    cues = []
    for block in text.strip().split("\n\n"):
        _, times, *lines = block.splitlines()
        start, stop = (_milliseconds(time) for time in times.split(" --> "))
        cues.append((start, stop, "\n".join(lines)))
    return cues


def _milliseconds(time: str) -> int:
    hours, minutes, seconds = time.replace(",", "").split(":")
    return int(hours) * 3_600_000 + int(minutes) * 60_000 + int(seconds)


def samples_by_ffmpeg(path: Path) -> str:
    """Return the digest of the first audio stream's samples as the ffmpeg program decodes them."""
    command = [corpus.ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:a:0", "-f", "s16le", "-"]
    return hashlib.sha256(subprocess.run(command, capture_output=True, check=True).stdout).hexdigest()


def with_texts(folder: Path, corpus_folder: Path, codec: str, suffix: str, script: str = SCRIPT) -> Path:
    (folder / "script.srt").write_text(script, encoding="utf-8")
    path = folder / f"in{suffix}"
    inputs = ["-i", str(corpus.make("no_audio", corpus_folder)), "-i", str(folder / "script.srt")]
    corpus.run([*inputs, "-map", "0", "-map", "1", "-c:v", "copy", "-c:s", codec, str(path)])
    return path


def with_sound(folder: Path, corpus_folder: Path, sound: str, suffix: str) -> Path:
    path = folder / f"in{suffix}"
    inputs = f"-f lavfi -i anoisesrc=d=2:r=44100:seed=1:a=0.3 -map 0 -map 1 -c:v copy {sound}"
    corpus.run(["-i", str(corpus.make("no_audio", corpus_folder)), *inputs.split(), str(path)])
    return path


@pytest.mark.parametrize(
    ("codec", "suffix", "output_suffix", "shown"),
    [
        ("srt", ".mkv", ".mp4", SHOWN),
        ("ass", ".mkv", ".mov", SHOWN),
        ("mov_text", ".mp4", ".mkv", SHOWN),
        ("webvtt", ".mkv", ".mp4", SHOWN),
        ("ass", ".mkv", ".webm", OVERLAPPING),
    ],
)
def test_subtitles_say_the_same_at_the_same_time(
    codec: str, suffix: str, output_suffix: str, shown: list, corpus_folder: Path, tmp_path: Path
) -> None:
    source = with_texts(tmp_path, corpus_folder, codec, suffix)
    video = {"codec": "av1", "preset": "10"} if output_suffix == ".webm" else {}
    plan, output = assembled(source, tmp_path, suffix=output_suffix, **video)
    assert plan.streams[1].action == "convert"
    assert plan.output.offset == 0
    assert by_ffmpeg(output) == (shown if codec != "mov_text" else by_ffmpeg(source))
    assert verify(source, output, plan=plan).differences == ()


@pytest.mark.parametrize(
    ("sound", "suffix", "output_suffix", "target"),
    [
        ("-c:a flac", ".mkv", ".mov", "alac"),
        ("-c:a pcm_mulaw -ar 8000", ".avi", ".mkv", "flac"),
        ("-c:a adpcm_ms -ac 2", ".avi", ".mp4", "alac"),
        ("-c:a pcm_s16le -ac 6", ".mkv", ".webm", "opus"),
    ],
)
def test_sound_is_heard_at_its_time_and_lossless_where_there_is_such_a_codec(
    sound: str, suffix: str, output_suffix: str, target: str, corpus_folder: Path, tmp_path: Path
) -> None:
    source = with_sound(tmp_path, corpus_folder, sound, suffix)
    video = {"codec": "av1", "preset": "10"} if output_suffix == ".webm" else {}
    plan, output = assembled(source, tmp_path, suffix=output_suffix, **video)
    assert (plan.streams[1].action, plan.streams[1].target) == ("convert", target)
    assert verify(source, output, plan=plan).differences == ()
    if target != "opus":
        assert samples_by_ffmpeg(output) == samples_by_ffmpeg(source)
    with av.open(str(output)) as file:
        first = next(file.decode(audio=0))
        error = abs(first.pts * first.time_base - plan.output.offset)
    assert error <= (Fraction(1, 100) if target == "opus" else 0)


def test_language_title_and_flags_go_with_what_is_converted(corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make("tracks_mkv", corpus_folder)
    plan, output = assembled(source, tmp_path, suffix=".mp4")
    assert [stream.target for stream in plan.streams] == ["", "", "", "mov_text", "mov_text", ""]
    with av.open(str(output)) as file:
        first, second = file.streams.subtitles
        assert (first.language, second.language) == ("eng", "deu")
        assert second.metadata["name"] == "Schilder"
        assert second.disposition & Disposition.forced


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        (SCRIPT.replace("Hello", "Hallo"), "payload", "cue 0 says something else"),
        (SCRIPT.replace("00:00:01,900", "00:00:01,800"), "time", "cue 3 is shown at another time"),
        (SCRIPT[: SCRIPT.index("3\n")], "payload", "4 cues, not 3"),
    ],
)
def test_other_words_are_noticed(
    script: str, kind: str, message: str, corpus_folder: Path, tmp_path: Path
) -> None:
    plan, output = assembled(with_texts(tmp_path, corpus_folder, "srt", ".mkv"), tmp_path, suffix=".mp4")
    (tmp_path / "other").mkdir()
    other = with_texts(tmp_path / "other", corpus_folder, "srt", ".mkv", script)
    (difference,) = verify(other, output, plan=plan).differences
    assert difference.kind == kind
    assert message in difference.message


def test_other_sound_is_noticed(corpus_folder: Path, tmp_path: Path) -> None:
    source = with_sound(tmp_path, corpus_folder, "-c:a flac", ".mkv")
    plan, output = assembled(source, tmp_path, suffix=".mov")
    (tmp_path / "other").mkdir()
    louder = with_sound(tmp_path / "other", corpus_folder, "-c:a flac -af volume=0.9", ".mkv")
    (difference,) = verify(louder, output, plan=plan).differences
    assert (difference.kind, "its samples are others" in difference.message) == ("payload", True)
    kept = replace(plan.streams[1], target="flac")
    (difference,) = verify(source, output, plan=replace(plan, streams=(plan.streams[0], kept))).differences
    assert "became alac, not flac" in difference.message


def test_sound_at_another_time_is_noticed(corpus_folder: Path, tmp_path: Path) -> None:
    source = with_sound(tmp_path, corpus_folder, "-c:a flac", ".mkv")
    plan, output = assembled(source, tmp_path, suffix=".mov")
    (tmp_path / "other").mkdir()
    later = with_sound(tmp_path / "other", corpus_folder, "-c:a flac -af asetpts=PTS+0.01/TB", ".mkv")
    assert [difference.kind for difference in verify(later, output, plan=plan).differences] == ["time"]


def test_a_hole_in_the_sound_is_silent_and_moves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "hole.mkv"
    command = r"-f lavfi -i sine=d=2:r=48000 -c:a pcm_s16le -bsf:a noise=drop=between(n\,20\,29)"
    corpus.run([*command.split(), str(path)])
    wanted = SoundFormat(samples="s16", rate_hz=48000, layout="mono")
    pieces = list(samples_of(path, 0, clock=STEADY, wanted=wanted))
    assert heard(iter(pieces), wanted).num_samples == 2 * 48000
    ends = [piece.seconds + Fraction(piece.frame.samples, 48000) for piece in pieces]
    assert [piece.seconds for piece in pieces[1:]] == ends[:-1]
    (silent,) = [piece for piece in pieces if not piece.frame.to_ndarray().any()]
    assert Fraction(silent.frame.samples, 48000) > HOLE


def test_cues_of_mov_text_do_not_overlap_and_lose_nothing() -> None:
    cues = [(0, 4, b"a"), (1, 2, b"b"), (1, 3, b"c"), (5, 6, b"d")]
    texts = Texts(
        header=b"",
        cues=tuple(
            Cue(start=Fraction(start), stop=Fraction(stop), event=EVENT % (n, word))
            for n, (start, stop, word) in enumerate(cues)
        ),
    )
    packets = list(encode_texts(texts, "mov_text"))
    assert [(int(p.start), int(p.stop), p.payload[2:].split(b"\0")[0]) for p in packets] == [
        (0, 1, b"a"), (1, 2, b"a\nb\nc"), (2, 3, b"a\nc"), (3, 4, b"a"), (5, 6, b"d"),
    ]  # fmt: skip


def test_styles_that_mov_text_has_are_kept(corpus_folder: Path, tmp_path: Path) -> None:
    source = with_texts(tmp_path, corpus_folder, "ass", ".mkv")
    texts = read_texts(source, 1, clock=STEADY)
    (italic,) = [packet for packet in encode_texts(texts, "mov_text") if b"World" in packet.payload]
    assert b"styl" in italic.payload


def test_a_cue_that_is_too_long_is_said_before_any_work(corpus_folder: Path, tmp_path: Path) -> None:
    """mov_text has 16 bits for the length of a cue."""
    script = SCRIPT.replace("Two", "x" * 70_000)
    source = with_texts(tmp_path, corpus_folder, "srt", ".mkv", script)
    plan, output = assembled(source, tmp_path, suffix=".mp4")
    assert (
        plan.warnings[1] == "stream 1 (subtitle subrip): 1 of its cues cannot be converted and are left out"
    )
    assert by_ffmpeg(output) == SHOWN[:3]
    assert verify(source, output, plan=plan).differences == ()


def test_a_cue_without_an_end_is_shown_until_the_next(corpus_folder: Path, tmp_path: Path) -> None:
    script = SCRIPT.replace("--> 00:00:01,400", "--> 00:00:00,200").replace(
        "--> 00:00:01,900", "--> 00:00:01,500"
    )
    source = with_texts(tmp_path, corpus_folder, "srt", ".mkv", script)
    stops = [cue.stop for cue in read_texts(source, 1, clock=STEADY).cues]
    assert stops == [Fraction(6, 10), Fraction(9, 10), Fraction(13, 2)]


def test_sound_that_changes_its_layout_is_heard_on(tmp_path: Path) -> None:
    parts = []
    for channels in (2, 6):
        parts.append(tmp_path / f"{channels}.ts")
        corpus.run([*f"-f lavfi -i sine=d=1:r=48000 -ac {channels} -c:a ac3".split(), str(parts[-1])])
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    wanted = SoundFormat(samples="s32", rate_hz=48000, layout="stereo")
    assert abs(heard(samples_of(path, 0, clock=STEADY, wanted=wanted), wanted).num_samples - 96000) < 4096


def test_a_cue_without_words_is_none(corpus_folder: Path, tmp_path: Path) -> None:
    """A muxer would leave it out, and the check would miss it."""
    events = ("0:00:00.20,0:00:00.90,Default,,0,0,0,,", "0:00:01.00,0:00:01.50,Default,,0,0,0,,Hello")
    head = "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
    fields = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
    script = f"{head}Format: {fields}\n"
    script += "".join(f"Dialogue: 0,{event}\n" for event in events)
    (tmp_path / "script.ass").write_text(script, encoding="utf-8")
    source, video = tmp_path / "source.mkv", corpus.make("cfr", corpus_folder)
    corpus.run(["-i", str(video), "-i", str(tmp_path / "script.ass"), "-c", "copy", str(source)])
    texts = read_texts(source, 2, clock=STEADY)
    assert [cue.event.split(b",", 8)[-1] for cue in texts.cues] == [b"Hello"]
