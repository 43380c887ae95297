from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import Packet

from tests import corpus
from tests.assembled import PART_FRAMES, assembled
from vidsr.errors import NotAVideoError
from vidsr.media.chapters import placed_chapters
from vidsr.media.compare import compare_chapters
from vidsr.media.copies import copied_metadata, is_chapter_track, is_timecode_track
from vidsr.media.verify import verify
from vidsr.types import Plan

VIDEO, SOUND, COMMENTARY, SUBTITLES, SIGNS, ATTACHMENT = 0, 1, 2, 3, 4, 5


@dataclass(frozen=True, kw_only=True)
class Made:
    source: Path
    plan: Plan
    output: Path


@dataclass(kw_only=True)
class Mutation:
    """How a copy differs from a good output."""

    packet: Callable[[Packet, int], Packet | list[Packet] | None] = lambda packet, _number: packet
    """Given each packet and its number within its stream; several take the place of one."""
    stream: Callable[[Any], None] = lambda _stream: None
    """Given each stream of the copy."""
    without: tuple[int, ...] = ()
    twice: tuple[int, ...] = ()
    chapters: Callable[[list[Any]], list[Any]] = lambda chapters: chapters
    attachment: Callable[[bytes], bytes] = lambda content: content
    counts: dict[int, int] = field(default_factory=dict)


def mutated(made: Made, path: Path, mutation: Mutation) -> Path:
    """Copy an output, all but what `mutation` changes."""
    options = {"default_mode": "passthrough", "avoid_negative_ts": "disabled"}
    with (
        av.open(str(made.output)) as file,
        av.open(str(path), "w", format=made.plan.output.container, container_options=options) as out,
    ):
        copies = {}
        for stream in file.streams:
            if stream.index in mutation.without or is_chapter_track(stream) or is_timecode_track(stream):
                continue
            if stream.type == "attachment":
                out.add_attachment(stream.name, stream.mimetype, mutation.attachment(stream.data))
            elif stream.disposition & av.stream.Disposition.attached_pic:
                out.add_attachment(
                    "cover.png", "image/png", mutation.attachment(_picture(made.output, stream.index))
                )
            else:
                for _ in range(2 if stream.index in mutation.twice else 1):
                    copies[stream.index] = out.add_stream_from_template(stream, opaque=True)
                    copies[stream.index].metadata.update(copied_metadata(stream))
                    copies[stream.index].disposition = stream.disposition
                    mutation.stream(copies[stream.index])
        out.metadata.update(file.metadata)
        out.set_chapters(mutation.chapters(file.chapters()))
        for packet in file.demux([file.streams[index] for index in copies]):
            if packet.size:
                _copy(out, packet, copies, mutation)
    return path


def _picture(path: Path, index: int) -> bytes:
    with av.open(str(path)) as file:
        return next(bytes(packet) for packet in file.demux(file.streams[index]))


def _copy(out: Any, packet: Packet, copies: dict[int, Any], mutation: Mutation) -> None:
    index = packet.stream_index
    number = mutation.counts.get(index, 0)
    mutation.counts[index] = number + 1
    changed = mutation.packet(packet, number)
    for each in changed if isinstance(changed, list) else [changed]:
        if each is not None:
            each.stream = copies[index]
            out.mux_one(each)


def altered(packet: Packet, content: bytes) -> Packet:
    """Return the packet with other content."""
    made = Packet(content)
    made.stream, made.time_base, made.is_keyframe = packet.stream, packet.time_base, packet.is_keyframe
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    for side_data in packet.iter_sidedata():
        made.set_sidedata(side_data)
    return made


def only(stream: int, number: int | None, change: Callable[[Packet], Packet | None]) -> Mutation:
    """Change packet `number` of `stream`, all of its packets where that is None."""

    def apply(packet: Packet, at: int) -> Packet | None:
        return change(packet) if packet.stream_index == stream and number in {None, at} else packet

    return Mutation(packet=apply)


def moved(milliseconds: int) -> Callable[[Packet], Packet]:
    def apply(packet: Packet) -> Packet:
        ticks = round(Fraction(milliseconds, 1000) / packet.time_base)
        packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks
        return packet

    return apply


def shown_later(packet: Packet) -> Packet:
    packet.pts += 20
    return packet


def lasting(packet: Packet) -> Packet:
    packet.duration = 3000
    return packet


def flipped(packet: Packet) -> Packet:
    content = bytearray(bytes(packet))
    content[len(content) // 2] ^= 1
    return altered(packet, bytes(content))


def zeroed(packet: Packet) -> Packet:
    return altered(packet, bytes(packet.size))


def swapped(first: int) -> Mutation:
    """Let packets `first` and the next one of the sound change their contents, not their times."""
    held: list[Packet] = []

    def apply(packet: Packet, at: int) -> Packet | list[Packet] | None:
        if packet.stream_index != SOUND or at not in {first, first + 1}:
            return packet
        if at == first:
            held.append(packet)
            return None
        (before,) = held
        return [altered(before, bytes(packet)), altered(packet, bytes(before))]

    return Mutation(packet=apply)


def on_stream(index: int, change: Callable[[Any], None]) -> Mutation:
    return Mutation(stream=lambda stream: change(stream) if stream.index == index else None)


def with_tag(key: str, value: str) -> Callable[[Any], None]:
    return lambda stream: stream.metadata.update({key: value})


def with_flags(flags: int) -> Callable[[Any], None]:
    return lambda stream: setattr(stream, "disposition", flags)


def turned(stream: Any) -> None:
    stream.set_display_matrix((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))


def later(chapters: list[Any]) -> list[Any]:
    # Not the first one, which mp4 lets begin with the video.
    *before, last = chapters
    return [*before, {**last, "start": last["start"] + round(Fraction(1, 200) / last["time_base"])}]


def renamed(chapters: list[Any]) -> list[Any]:
    return [*chapters[:-1], {**chapters[-1], "metadata": {"title": "Another"}}]


MUTATIONS: dict[str, tuple[str, Callable[[], Mutation]]] = {
    "a frame is lost": ("frames", lambda: only(VIDEO, 30, lambda _packet: None)),
    "the last frame is lost": ("frames", lambda: only(VIDEO, 49, lambda _packet: None)),
    "a frame is late": ("time", lambda: only(VIDEO, 20, shown_later)),
    "the picture is late": ("time", lambda: only(VIDEO, None, moved(5))),
    "the picture lasts": ("duration", lambda: only(VIDEO, 49, lasting)),
    "the picture cannot be decoded": ("decode", lambda: only(VIDEO, None, zeroed)),
    "the first frame of a part cannot be decoded": ("decode", lambda: only(VIDEO, PART_FRAMES, zeroed)),
    "the last frame of a part cannot be decoded": ("decode", lambda: only(VIDEO, PART_FRAMES - 1, zeroed)),
    "the last frame of all cannot be decoded": ("decode", lambda: only(VIDEO, 49, zeroed)),
    "the picture is turned": ("geometry", lambda: on_stream(VIDEO, turned)),
    "sound is missing": ("stream", lambda: Mutation(without=(COMMENTARY,))),
    "subtitles are missing": ("stream", lambda: Mutation(without=(SUBTITLES,))),
    "an attachment is missing": ("stream", lambda: Mutation(without=(ATTACHMENT,))),
    "a stream is there twice": ("stream", lambda: Mutation(twice=(SUBTITLES,))),
    "a packet of sound is lost": ("payload", lambda: only(SOUND, 10, lambda _packet: None)),
    "the last packet of sound is lost": ("payload", lambda: only(SOUND, 94, lambda _packet: None)),
    "a bit of sound is another": ("payload", lambda: only(SOUND, 10, flipped)),
    "a subtitle is another": ("payload", lambda: only(SUBTITLES, 1, flipped)),
    "two packets of sound are swapped": ("payload", lambda: swapped(10)),
    "sound is late": ("time", lambda: only(SOUND, None, moved(5))),
    "a subtitle is late": ("time", lambda: only(SUBTITLES, 1, moved(5))),
    "a subtitle stays": ("duration", lambda: only(SUBTITLES, 1, lasting)),
    "the language is another": ("language", lambda: on_stream(SOUND, with_tag("language", "deu"))),
    "a language is lost": ("language", lambda: on_stream(SUBTITLES, with_tag("language", "und"))),
    "the title is another": ("title", lambda: on_stream(COMMENTARY, with_tag("title", "Music"))),
    "a flag is lost": ("disposition", lambda: on_stream(COMMENTARY, with_flags(0))),
    "a flag is new": ("disposition", lambda: on_stream(SUBTITLES, with_flags(64))),
    "a chapter is lost": ("chapter", lambda: Mutation(chapters=lambda chapters: chapters[:1])),
    "chapters are lost": ("chapter", lambda: Mutation(chapters=lambda _chapters: [])),
    "a chapter is late": ("chapter", lambda: Mutation(chapters=later)),
    "a chapter has another title": ("chapter", lambda: Mutation(chapters=renamed)),
    "an attachment is another": ("attachment", lambda: Mutation(attachment=lambda file: file[:-1] + b"?")),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    source = corpus.make("tracks_mkv", corpus_folder)
    plan, output = assembled(source, tmp_path_factory.mktemp("verify"), preset="ultrafast")
    return Made(source=source, plan=plan, output=output)


def test_a_plain_copy_of_a_good_output_is_good(made: Made, tmp_path: Path) -> None:
    copy = mutated(made, tmp_path / "copy.mkv", Mutation())
    assert verify(made.source, copy, plan=made.plan).differences == ()
    assert verify(made.source, copy).differences == ()


@pytest.mark.parametrize("name", MUTATIONS)
def test_it_is_noticed_that(name: str, made: Made, tmp_path: Path) -> None:
    kind, make_mutation = MUTATIONS[name]
    copy = mutated(made, tmp_path / "copy.mkv", make_mutation())
    report = verify(made.source, copy, plan=made.plan)
    assert kind in {difference.kind for difference in report.differences}
    assert not report.ok


@pytest.fixture(scope="module")
def made_mp4(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    source = corpus.make("tracks_mp4", corpus_folder)
    plan, output = assembled(source, tmp_path_factory.mktemp("verify_mp4"), preset="ultrafast")
    return Made(source=source, plan=plan, output=output)


def test_a_plain_copy_of_a_good_mp4_is_good(made_mp4: Made, tmp_path: Path) -> None:
    copy = mutated(made_mp4, tmp_path / "copy.mp4", Mutation())
    assert verify(made_mp4.source, copy, plan=made_mp4.plan).differences == ()


@pytest.mark.parametrize(
    "name",
    [name for name in MUTATIONS if "attachment" not in name and name != "a subtitle stays"],
)
def test_in_mp4_it_is_noticed_that(name: str, made_mp4: Made, tmp_path: Path) -> None:
    kind, make_mutation = MUTATIONS[name]
    copy = mutated(made_mp4, tmp_path / "copy.mp4", make_mutation())
    differences = verify(made_mp4.source, copy, plan=made_mp4.plan).differences
    assert kind in {difference.kind for difference in differences}


@pytest.mark.parametrize(
    "name",
    ["a frame is lost", "a frame is late", "the picture is turned", "sound is missing", "sound is late"],
)
def test_without_a_plan_it_is_noticed_that(name: str, made: Made, tmp_path: Path) -> None:
    kind, make_mutation = MUTATIONS[name]
    copy = mutated(made, tmp_path / "copy.mkv", make_mutation())
    assert kind in {difference.kind for difference in verify(made.source, copy).differences}


def test_frames_that_an_edit_list_hides_are_not_counted(corpus_folder: Path) -> None:
    source = corpus.make("edit_list", corpus_folder)
    # Of itself it is a good output, but for the matrix, which it does not state.
    assert [difference.kind for difference in verify(source, source).differences] == ["colour"]


def test_a_lost_frame_is_told_with_both_counts(made: Made, tmp_path: Path) -> None:
    copy = mutated(made, tmp_path / "copy.mkv", only(VIDEO, 30, lambda _packet: None))
    messages = [difference.message for difference in verify(made.source, copy, plan=made.plan).differences]
    assert "the output shows 49 frames, not 50" in messages


def test_a_difference_names_the_stream_and_the_packet(made: Made, tmp_path: Path) -> None:
    copy = mutated(made, tmp_path / "copy.mkv", only(SOUND, 10, flipped))
    (difference,) = verify(made.source, copy, plan=made.plan).differences
    assert difference.message == "stream 1 (audio aac): 1 packets hold other bytes, the first is packet 10"


def test_another_cover_is_noticed(corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make("cover_mkv", corpus_folder)
    plan, output = assembled(source, tmp_path, preset="ultrafast")
    made = Made(source=source, plan=plan, output=output)
    change = Mutation(attachment=lambda content: content[:-1] + bytes([content[-1] ^ 1]))
    copy = mutated(made, tmp_path / "copy.mkv", change)
    assert {difference.kind for difference in verify(source, copy, plan=plan).differences} == {"cover"}


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_a_timecode_that_is_lost_is_noticed(suffix: str, corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make("tracks_mov", corpus_folder)
    plan, output = assembled(source, tmp_path, suffix=suffix, preset="ultrafast")
    made = Made(source=source, plan=plan, output=output)
    assert verify(source, output, plan=plan).ok
    lost = on_stream(
        VIDEO, lambda stream: [stream.metadata.pop(key, None) for key in ("timecode", "TIMECODE")]
    )
    (difference,) = verify(source, mutated(made, tmp_path / "copy", lost), plan=plan).differences
    assert difference.message == "stream 0 (video h264): its timecode is not stated, not 01:00:00:00"


@pytest.mark.parametrize(
    ("field_name", "value", "message"),
    [
        ("matrix", 9, "is tagged with matrix 6, not 9"),
        ("primaries", 9, "is tagged with primaries 2, not 9"),
        ("transfer", 16, "is tagged with transfer 2, not 16"),
        ("full_range", True, "is tagged with range limited, not full"),
    ],
)
def test_a_wrong_colour_tag_is_noticed(field_name: str, value: Any, message: str, made: Made) -> None:
    colour = replace(made.plan.output.colour, **{field_name: value})
    wanted = replace(made.plan, output=replace(made.plan.output, colour=colour))
    (difference,) = verify(made.source, made.output, plan=wanted).differences
    assert (difference.kind, difference.message) == ("colour", f"the restored video {message}")


def test_pixels_of_another_shape_are_noticed(made: Made) -> None:
    wanted = replace(made.plan, output=replace(made.plan.output, sample_aspect_ratio=Fraction(64, 45)))
    (difference,) = verify(made.source, made.output, plan=wanted).differences
    assert difference.message == "the restored video has pixels of 1, not 64/45"


def test_a_wrong_colour_tag_is_noticed_without_a_plan(corpus_folder: Path, tmp_path: Path) -> None:
    source, output = corpus.make("bt601", corpus_folder), tmp_path / "out.mp4"
    corpus.run(["-i", str(source), "-vf", "setparams=colorspace=bt709", "-c:v", "libx264", str(output)])
    (difference,) = verify(source, output).differences
    assert difference.message == "the restored video is tagged with matrix 1, not 6"


def test_another_size_is_noticed(made: Made) -> None:
    wanted = replace(made.plan, output=replace(made.plan.output, width=corpus.WIDTH * 2))
    (difference,) = verify(made.source, made.output, plan=wanted).differences
    assert difference.message == "the restored video is 160x120, not 320x120"


def test_a_size_that_is_no_multiple_is_noticed_without_a_plan(corpus_folder: Path, tmp_path: Path) -> None:
    source, output = corpus.make("no_audio", corpus_folder), tmp_path / "out.mp4"
    scale = "scale=240:180:out_color_matrix=smpte170m,setparams=colorspace=smpte170m:range=tv"
    corpus.run(["-i", str(source), "-vf", scale, "-c:v", "libx264", str(output)])
    (difference,) = verify(source, output).differences
    assert difference.message == "the restored video is 240x180, not 1 to 4 times the source's"


def test_an_output_of_another_program_passes_if_it_is_right(corpus_folder: Path, tmp_path: Path) -> None:
    source, output = corpus.make("b_frames", corpus_folder), tmp_path / "out.mp4"
    scale = "scale=320:240:out_color_matrix=smpte170m,setparams=colorspace=smpte170m:range=tv"
    corpus.run(["-i", str(source), "-vf", scale, "-c:v", "libx264", "-c:a", "copy", str(output)])
    assert verify(source, output).differences == ()


def test_what_a_plan_leaves_out_is_not_missed(corpus_folder: Path, tmp_path: Path) -> None:
    source = corpus.make("tracks_mkv", corpus_folder)
    plan, output = assembled(source, tmp_path, suffix=".mp4", preset="ultrafast", on_incompatible="drop")
    assert verify(source, output, plan=plan).ok
    kept = tuple(replace(entry, action="copy") if entry.action == "drop" else entry for entry in plan.streams)
    differences = verify(source, output, plan=replace(plan, streams=kept)).differences
    assert [difference.kind for difference in differences] == ["stream"] * 3


@pytest.mark.parametrize("content", [None, b"", b"no video at all"])
def test_what_is_no_video_is_not_the_output(content: bytes | None, made: Made, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    if content is not None:
        output.write_bytes(content)
    assert [difference.kind for difference in verify(made.source, output, plan=made.plan).differences] == [
        "decode"
    ]
    with pytest.raises(NotAVideoError):
        verify(made.source, output)


def test_a_truncated_output_is_noticed(made: Made, tmp_path: Path) -> None:
    content = made.output.read_bytes()
    copy = tmp_path / "copy.mkv"
    copy.write_bytes(content[: len(content) * 9 // 10])
    kinds = {difference.kind for difference in verify(made.source, copy, plan=made.plan).differences}
    assert {"frames", "payload"} <= kinds


@dataclass(frozen=True, kw_only=True)
class Chaptered:
    """What stands for a file of which only the chapters are asked for."""

    starts: tuple[int, ...]
    tick: Fraction

    def chapters(self) -> list[dict[str, Any]]:
        return [
            {"start": start, "end": start + 5, "time_base": self.tick, "metadata": {}}
            for start in self.starts
        ]


def test_a_chapter_may_lie_between_two_ticks_of_the_source() -> None:
    """A chapter is moved in its own ticks, of 100 ns in some files of mov; Matroska's has 1 ns."""
    source = Chaptered(starts=(0,), tick=Fraction(1, 10**7))
    moved, late = (Chaptered(starts=(start,), tick=Fraction(1, 10**9)) for start in (21_333_300, 21_333_500))
    offset = Fraction(1024, 48_000)
    assert list(compare_chapters(source, moved, offset=offset)) == []
    assert [each.kind for each in compare_chapters(source, late, offset=offset)] == ["chapter"]


def test_chapters_go_in_the_order_of_their_starts_and_apart() -> None:
    """Damaged files have them below zero, out of order, and two at once."""
    source = Chaptered(starts=(400, 100, 100, -50), tick=Fraction(1, 100))
    placed = placed_chapters(source, offset=Fraction(1, 10))
    assert [(chapter["start"], chapter["end"]) for chapter in placed] == [
        (0, 0), (110, 115), (111, 115), (410, 415),
    ]  # fmt: skip
