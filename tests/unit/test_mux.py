import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests import corpus
from tests.assembled import PART_FRAMES, assembled, encode, plan_for
from tests.corpus import CLASSES
from vidsr.errors import VerificationError
from vidsr.media.encode import EncodeSettings, SegmentWriter
from vidsr.media.mux import assemble, video_timescale
from vidsr.media.verify import verify
from vidsr.types import Plan

ROUND_TRIPS = (
    "b_frames", "vfr_mp4", "vfr_mkv", "vfr_mov", "vfr_hole", "late_video", "late_audio", "edit_list",
    "negative_start", "tracks_mkv", "tracks_mp4", "cover_mp4", "cover_mkv", "turned_90", "turned_180_flipped",
    "sar", "odd_444", "depth_10_422", "one_frame", "two_frames", "no_audio", "full_range",
)  # fmt: skip
CROSSINGS = [
    ("b_frames", ".mkv"), ("b_frames", ".mov"), ("vfr_mkv", ".mp4"), ("vfr_mp4", ".mkv"),
    ("late_video", ".mkv"), ("late_audio", ".mkv"), ("edit_list", ".mkv"), ("negative_start", ".mp4"),
    ("tracks_mkv", ".mp4"), ("tracks_mp4", ".mkv"), ("tracks_mp4", ".mov"), ("cover_mkv", ".mp4"),
    ("cover_mp4", ".mkv"),
    ("turned_180_flipped", ".mkv"), ("sar", ".mkv"),
]  # fmt: skip


ASSEMBLE_AND_REPORT = """
import resource, sys
from pathlib import Path
from tests.assembled import assembled
Path(sys.argv[2]).mkdir()
assembled(Path(sys.argv[1]), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def listing(path: Path, *streams: str, decode: bool = False) -> list[tuple[int, Fraction, str]]:
    """Return (stream, pts, checksum) of every packet as the ffmpeg program, not PyAV's FFmpeg, sees it."""
    maps = [argument for stream in streams for argument in ("-map", stream)]
    copy = [] if decode else ["-c", "copy"]
    command = [
        corpus.ffmpeg(), "-v", "error", "-copyts", "-i", path, *maps, *copy, "-avoid_negative_ts", "disabled",
        "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framecrc", "-",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    ticks, packets = {}, []
    for line in done.stdout.splitlines():
        if line.startswith("#tb"):
            stream, tick = line.removeprefix("#tb ").split(": ")
            ticks[int(stream)] = Fraction(tick)
        elif not line.startswith("#"):
            stream, _, pts, _, _, crc, *_ = (field.strip() for field in line.split(","))
            packets.append((int(stream), int(pts) * ticks[int(stream)], crc))
    return sorted(packets)


def sound(path: Path) -> dict[int, list[bytes]]:
    with av.open(str(path)) as file:
        packets: dict[int, list[bytes]] = {
            position: [] for position, stream in enumerate(file.streams.audio) if stream.codec_context
        }
        order = {stream.index: position for position, stream in enumerate(file.streams.audio)}
        for packet in file.demux(file.streams.audio):
            if packet.size:
                packets[order[packet.stream_index]].append(bytes(packet))
    return packets


def wanted_times(plan: Plan) -> list[Fraction]:
    return [int(pts) * plan.info.video.time_base + plan.output.offset for pts in plan.frames.pts]


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_every_frame_and_stream_comes_through(name: str, corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make(name, corpus_folder)
    plan, output = assembled(source, tmp_path)
    assert verify(source, output, plan=plan).differences == ()
    frames = listing(output, "0:v:0", decode=True)
    # Where the source's container cannot say the time exactly, the output's rounds as well.
    error = 2 * CLASSES[name].tick
    for (_, got, _), wanted in zip(frames, CLASSES[name].times, strict=True):
        assert abs(got - wanted - plan.output.offset) <= error


@pytest.mark.parametrize(("name", "suffix"), CROSSINGS)
def test_every_frame_and_stream_crosses_into_another_container(
    name: str, suffix: str, corpus_folder: Path, tmp_path: Path
) -> None:
    source = corpus.make(name, corpus_folder)
    plan, output = assembled(source, tmp_path, suffix=suffix)
    assert verify(source, output, plan=plan).differences == ()


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("hevc", ".mp4"),
        ("hevc", ".mkv"),
        ("av1", ".mp4"),
        ("av1", ".mkv"),
        ("ffv1", ".mkv"),
        ("prores", ".mov"),
        ("prores", ".mkv"),
    ],
)
def test_every_codec_goes_into_its_containers(
    codec: str, suffix: str, corpus_folder: Path, tmp_path: Path
) -> None:
    source = corpus.make("sar", corpus_folder)
    preset = {"av1": "10", "hevc": "fast"}.get(codec, "veryfast")
    plan, output = assembled(source, tmp_path, suffix=suffix, codec=codec, preset=preset)
    assert verify(source, output, plan=plan).differences == ()
    assert len(listing(output, "0:v:0", decode=True)) == len(plan.frames)


@pytest.mark.parametrize("name", ["vfr_mp4", "vfr_mov", "late_video", "b_frames"])
def test_mp4_and_mov_hold_the_very_times(name: str, corpus_folder: Path, tmp_path: Path) -> None:
    plan, output = assembled(corpus.make(name, corpus_folder), tmp_path)
    assert [pts for _, pts, _ in listing(output, "0:v:0", decode=True)] == wanted_times(plan)


@pytest.mark.parametrize("name", ["b_frames", "late_audio", "tracks_mkv", "tracks_mp4", "cover_mp4"])
def test_sound_is_the_same_to_the_byte_and_the_tick(name: str, corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make(name, corpus_folder)
    _, output = assembled(source, tmp_path)
    assert sound(output) == sound(source)
    assert listing(output, "0:a") == listing(source, "0:a")


@pytest.mark.parametrize("suffixes", [(".mkv", ".mov"), (".mov", ".mkv"), (".mov", ".mov"), (".avi", ".mkv")])
def test_sound_without_packets_of_its_own_is_the_same(
    suffixes: tuple[str, str], corpus_folder: Path, tmp_path: Path
) -> None:
    """Containers cut PCM into packets as they like."""
    source = tmp_path / f"pcm{suffixes[0]}"
    cfr = str(corpus.make("cfr", corpus_folder))
    corpus.run(["-i", cfr, "-c:v", "copy", "-af", "asetnsamples=700", "-c:a", "pcm_s16le", str(source)])
    plan, output = assembled(source, tmp_path, suffix=suffixes[1])
    assert verify(source, output, plan=plan).differences == ()
    assert [b"".join(each) for each in sound(output).values()] == [
        b"".join(each) for each in sound(source).values()
    ]


def test_frames_are_reordered_across_the_borders_of_parts(corpus_folder: Path, tmp_path: Path) -> None:
    plan, output = assembled(corpus.make("b_frames", corpus_folder), tmp_path)
    with av.open(str(output)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    assert len(plan.frames) > PART_FRAMES
    assert any(packet.pts != packet.dts for packet in packets[PART_FRAMES:])
    assert [packet.dts for packet in packets] == sorted({packet.dts for packet in packets})
    assert sum(packet.is_keyframe for packet in packets) >= math.ceil(len(plan.frames) / PART_FRAMES)


def test_the_last_frame_lasts(corpus_folder: Path, tmp_path: Path) -> None:
    plan, output = assembled(corpus.make("vfr_mp4", corpus_folder), tmp_path)
    with av.open(str(output)) as file:
        stream = file.streams.video[0]
        duration = stream.duration * stream.time_base
    last = int(plan.frames.pts[-1] + plan.frames.duration[-1] - plan.frames.pts[0])
    assert duration == last * plan.info.video.time_base


def test_the_index_comes_before_the_content(corpus_folder: Path, tmp_path: Path) -> None:
    content = assembled(corpus.make("cfr", corpus_folder), tmp_path)[1].read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(("codec", "tag"), [("h264", "avc1"), ("hevc", "hvc1")])
def test_mp4_calls_codecs_what_players_expect(
    codec: str, tag: str, corpus_folder: Path, tmp_path: Path
) -> None:
    _, output = assembled(corpus.make("cfr", corpus_folder), tmp_path, codec=codec, preset="ultrafast")
    with av.open(str(output)) as file:
        assert file.streams.video[0].codec_context.codec_tag == tag


def test_prores_keeps_its_grade(corpus_folder: Path, tmp_path: Path) -> None:
    _, output = assembled(corpus.make("cfr", corpus_folder), tmp_path, codec="prores", preset="lt")
    with av.open(str(output)) as file:
        assert file.streams.video[0].codec_context.codec_tag == "apcs"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_streams_are_interleaved_by_time(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"long{suffix}"
    picture = "-f lavfi -i testsrc2=s=32x32:r=5:d=40 -f lavfi -i sine=d=40 -c:v libx264 -c:a aac"
    corpus.run([*picture.split(), str(source)])
    _, output = assembled(source, tmp_path, preset="ultrafast")
    with av.open(str(output)) as file:
        packets = [packet for packet in file.demux() if packet.size]
    packets.sort(key=lambda packet: packet.pos)
    latest = -math.inf
    for packet in packets:
        seconds = float(packet.pts * packet.time_base)
        assert seconds > latest - 2
        latest = max(latest, seconds)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_second_picture_keeps_its_reordered_frames(
    suffix: str, corpus_folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "two.mkv"
    first, second = (str(corpus.make(name, corpus_folder)) for name in ("no_audio", "b_frames"))
    corpus.run(["-i", first, "-i", second, "-map", "0:v", "-map", "1:v", "-c", "copy", str(source)])
    plan, output = assembled(source, tmp_path, suffix=suffix)
    assert [entry.action for entry in plan.streams] == ["restore", "copy"]
    assert verify(source, output, plan=plan).differences == ()
    assert listing(output, "0:v:1", decode=True) == listing(source, "0:v:1", decode=True)


def test_tags_of_the_file_are_kept_and_those_of_the_old_encoder_are_not(
    corpus_folder: Path, tmp_path: Path
) -> None:
    _, output = assembled(corpus.make("tracks_mkv", corpus_folder), tmp_path)
    with av.open(str(output)) as file:
        assert file.metadata["title"] == "Tricky"
        video = {key.lower() for key in file.streams.video[0].metadata}
    assert not {"encoder", "bps"} & video


def test_tags_that_are_no_unicode_are_kept_byte_by_byte(corpus_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "latin.mkv"
    cfr = corpus.make("cfr", corpus_folder)
    corpus.run([*("-i", str(cfr)), *("-c", "copy"), *("-metadata", "comment=caf\udce9"), str(source)])
    _, output = assembled(source, tmp_path)
    with av.open(str(output), metadata_errors="surrogateescape") as file:
        assert {key.lower(): value for key, value in file.metadata.items()}["comment"] == "caf\udce9"


def test_the_same_segments_make_the_same_file(corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make("tracks_mkv", corpus_folder)
    plan = plan_for(source)
    segments = encode(plan, tmp_path / "segments", settings=EncodeSettings(preset="ultrafast"))
    outputs = [tmp_path / name for name in ("1.part", "2.part")]
    for output in outputs:
        assemble(plan=plan, source=source, segments=segments, output=output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


@pytest.mark.parametrize("name", ["with:colon %d 'quoted' é.mp4", "-dash.mp4", "bad\udcff.mp4"])
def test_a_name_may_look_like_anything(name: str, corpus_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(corpus.make("cfr", corpus_folder).read_bytes())
    plan = plan_for(source)
    segments = encode(plan, tmp_path / "segments", settings=EncodeSettings(preset="ultrafast"))
    output = source.with_name(f"out {name}.part")
    assemble(plan=plan, source=source, segments=segments, output=output)
    assert verify(source, output, plan=plan).ok


def test_a_segment_too_few_is_noticed(corpus_folder: Path, tmp_path: Path) -> None:
    plan = plan_for(corpus.make("cfr", corpus_folder))
    segments = encode(plan, tmp_path / "segments", settings=EncodeSettings(preset="ultrafast"))
    with pytest.raises(VerificationError, match="3 segments hold 48 frames, the plan has 50"):
        assemble(plan=plan, source=Path(plan.input.path), segments=segments[:3], output=tmp_path / "out.part")


def test_a_segment_of_other_settings_is_noticed(corpus_folder: Path, tmp_path: Path) -> None:
    plan = plan_for(corpus.make("cfr", corpus_folder))
    segments = list(encode(plan, tmp_path / "segments", settings=EncodeSettings(preset="veryfast")))
    others = encode(plan, tmp_path / "others", settings=EncodeSettings(preset="ultrafast"))
    segments[1] = others[1]
    with pytest.raises(VerificationError, match="was encoded with other settings than the first"):
        assemble(plan=plan, source=Path(plan.input.path), segments=segments, output=tmp_path / "out.part")


def test_a_segment_without_a_frame_is_noticed(corpus_folder: Path, tmp_path: Path) -> None:
    plan = plan_for(corpus.make("cfr", corpus_folder))
    segments = encode(plan, tmp_path / "segments", settings=EncodeSettings(preset="ultrafast"))
    with av.open(str(segments[0])) as file, av.open(str(tmp_path / "hole.mkv"), "w") as out:
        stream = out.add_stream_from_template(file.streams.video[0], opaque=True)
        for packet in file.demux(video=0):
            if packet.size and packet.pts != 5:
                packet.stream = stream
                out.mux_one(packet)
    segments = [tmp_path / "hole.mkv", *segments[1:]]
    with pytest.raises(VerificationError, match="does not hold each of its 15 frames once"):
        assemble(plan=plan, source=Path(plan.input.path), segments=segments, output=tmp_path / "out.part")


def test_a_full_disk_is_an_error_of_the_system(corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make("vfr_mkv", corpus_folder)
    plan = plan_for(source)
    segments = encode(plan, tmp_path / "segments", settings=EncodeSettings(preset="ultrafast"))
    output = tmp_path / "out.part"
    output.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        assemble(plan=plan, source=source, segments=segments, output=output)


@pytest.mark.parametrize(
    ("time_base", "scale"),
    [(Fraction(1, 90000), 90000), (Fraction(1001, 30000), 30000), (Fraction(1, 10**9), 10**6)],
)
def test_mp4_counts_in_the_sources_ticks(time_base: Fraction, scale: int) -> None:
    assert video_timescale(time_base) == scale


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    peaks = []
    for seconds in (4, 100):
        source = tmp_path / f"{seconds}.mkv"
        picture = f"-f lavfi -i color=s=16x16:r=1:d={seconds} -f lavfi -i sine=r=192000:d={seconds}"
        corpus.run([*picture.split(), "-c:v", "libx264", "-c:a", "pcm_s16le", str(source)])
        done = subprocess.run(
            [sys.executable, "-c", ASSEMBLE_AND_REPORT, source, tmp_path / str(seconds)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        peaks.append(int(done.stdout))
    assert source.stat().st_size > 36_000_000
    # The muxer interleaves over ten seconds, 3.8 MB here.
    assert peaks[1] - peaks[0] < 12_000_000


def test_a_stream_of_seconds_apart_frames_keeps_its_pace(corpus_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "slides.mp4"
    corpus.run(["-f", "lavfi", "-i", "testsrc2=s=64x64:r=1/2:d=40", "-c:v", "libx264", str(source)])
    plan, output = assembled(source, tmp_path)
    assert [pts for _, pts, _ in listing(output, "0:v:0", decode=True)] == wanted_times(plan)
    assert verify(source, output, plan=plan).ok


def test_a_single_writer_is_enough(corpus_folder: Path, tmp_path: Path) -> None:
    """One segment for the whole video is as good as many."""
    from vidsr.media.decode import open_source

    source = corpus.make("b_frames", corpus_folder)
    plan = plan_for(source)
    writer = SegmentWriter(
        tmp_path / "all.mkv", settings=EncodeSettings(preset="veryfast"), output=plan.output
    )
    frames = open_source(source, plan.info, plan.frames, linear=True)
    for frame in frames.frames(0, len(plan.frames)):
        writer.write(frame)
    frames.close()
    writer.close()
    assemble(plan=plan, source=source, segments=[tmp_path / "all.mkv"], output=tmp_path / "out.part")
    assert verify(source, tmp_path / "out.part", plan=plan).ok
