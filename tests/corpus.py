"""Small inputs of every kind, made by the ffmpeg program of imageio-ffmpeg, and what is true of each.

`make(name, folder)` makes one, or returns the one that is there. What it should turn out to be is in
`CLASSES[name]`, taken from how it was made and not from what vidsr reads in it.
"""

import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import imageio_ffmpeg

WIDTH, HEIGHT, RATE, NUM_FRAMES = 160, 120, 25, 50
MILLISECOND = Fraction(1, 1000)

PICTURE = f"testsrc2=s={WIDTH}x{HEIGHT}:r={RATE}"
ABBREVIATIONS = {
    "picture": f"-f lavfi -i {PICTURE}:d=2",
    "sound": "-f lavfi -i sine=f=440:r=48000:d=2",
    "x264": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25",
    "aac": "-c:a aac",
    "vfr_source": f"-f lavfi -i testsrc2=s={WIDTH}x{HEIGHT}:r=60:d=2",
    "vfr_filter": r"-vf 'select=not(mod(n\,2))+lt(mod(n\,7)\,2)' -fps_mode vfr",
    "all_tracks": (
        "-i {cfr} -f lavfi -i sine=f=880:r=48000:d=2 -i {folder}/subtitles.srt -i {folder}/subtitles.srt "
        "-i {folder}/chapters.txt -map 0:v -map 0:a -map 1:a -map 2 -map 3 -map_metadata 4 -map_chapters 4 "
        "-c:v copy -c:a:0 copy -metadata:s:a:0 language=eng "
        "-metadata:s:a:1 language=fra -metadata:s:a:1 title=Commentary "
        "-metadata:s:s:0 language=eng -metadata:s:s:1 language=deu -metadata:s:s:1 title=Schilder "
        "-disposition:a:0 default -disposition:a:1 comment -disposition:s:0 0 -disposition:s:1 forced"
    ),
}
"""What {picture} and the like stand for in a command."""

TURNED_BY_90 = (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)
TURNED_AND_FLIPPED = (65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is true of a stream beside the picture."""

    kind: str
    codec: str
    language: str = ""
    title: str = ""
    dispositions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CorpusClass:
    """How an input is made and what is true of it."""

    suffix: str
    commands: tuple[str, ...]
    """Arguments of ffmpeg as in a shell, one text a run.

    {out} is the file, {folder} a place for files on the way.
    """
    needs: tuple[str, ...] = ()
    """Other inputs; {name} in the commands is the path of each."""
    files: tuple[tuple[str, str | bytes], ...] = ()
    """(name, content) of what else the commands read."""
    after: Callable[[Path], None] | None = None
    """Done to the file in the end."""
    times: tuple[Fraction, ...] = tuple(Fraction(n, RATE) for n in range(NUM_FRAMES))
    """When each frame is shown, in seconds."""
    tick: Fraction = Fraction(0)
    """Largest error of those times: half a tick of a container that cannot say them exactly."""
    codec: str = "h264"
    width: int = WIDTH
    height: int = HEIGHT
    pix_fmt: str = "yuv420p"
    bit_depth: int = 8
    matrix: int | None = None
    """None: not looked at."""
    full_range: bool | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    display_matrix: tuple[int, ...] | None = None
    tracks: tuple[Track, ...] = (Track(kind="audio", codec="aac", dispositions=("default",)),)
    """All streams but the picture."""
    num_chapters: int = 0
    cuts: tuple[int, ...] = ()
    """First frames of all shots but the first."""
    video_index: int = 0
    """Index of the stream that holds the picture."""

    @property
    def num_frames(self) -> int:
        """Frames that are shown."""
        return len(self.times)


def make(name: str, folder: Path) -> Path:
    """Make the input `name` in `folder`, once, and return its path."""
    facts = EVERY[name]
    path = folder / f"{name}{facts.suffix}"
    if path.exists():
        return path
    needed = {other: str(make(other, folder)) for other in facts.needs}
    for file_name, content in facts.files:
        (folder / file_name).write_bytes(content.encode() if isinstance(content, str) else content)
    unfinished = folder / f"{name}.unfinished{facts.suffix}"
    for command in facts.commands:
        arguments = shlex.split(command.format_map(_Unchanged(ABBREVIATIONS)))
        run([argument.format(out=unfinished, folder=folder, **needed) for argument in arguments])
    if facts.after is not None:
        facts.after(unfinished)
    return unfinished.rename(path)


def run(arguments: Sequence[str]) -> None:
    """Run ffmpeg."""
    command = [ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


@cache
def ffmpeg() -> str:
    """Return the path of the ffmpeg program."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


class _Unchanged(dict[str, str]):
    """Leaves {what} it does not know in the text."""

    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


def _vfr_times() -> tuple[Fraction, ...]:
    return tuple(Fraction(n, 60) for n in range(120) if n % 2 == 0 or n % 7 < 2)


def _splice(path: Path) -> None:
    path.write_bytes((path.parent / "splice_a.ts").read_bytes() + path.read_bytes())


def _truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])


_SUBTITLES = "1\n00:00:00,200 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,500\n<i>World</i>\n"
_CHAPTERS = (
    ";FFMETADATA1\ntitle=Tricky\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Two\n"
)
_FONT = bytes(range(256)) * 4
_EXTRA_FILES = (("subtitles.srt", _SUBTITLES), ("chapters.txt", _CHAPTERS), ("font.ttf", _FONT))
_COVER = "-f lavfi -i color=red:s=64x64 -frames:v 1 {folder}/cover.png"
_AUDIO = CorpusClass.__dataclass_fields__["tracks"].default


def _tagged(matrix: str, range_name: str) -> str:
    """Make a picture whose samples really have the matrix and range of its tags."""
    convert = f"scale=out_color_matrix={matrix}:out_range={range_name}"
    tags = f"setparams=colorspace={matrix}:color_primaries={matrix}:color_trc={matrix}:range={range_name}"
    return f"-f lavfi -i {PICTURE}:d=1 -vf {convert},{tags} {{x264}} {{out}}"


def _encoded(pix_fmt: str, encoder: str = "libx264 -preset ultrafast", *, source: str = PICTURE) -> str:
    return f"-f lavfi -i {source}:d=1,format={pix_fmt} -c:v {encoder} {{out}}"


# testsrc2 makes even sizes only.
_ODD = f"testsrc=s=161x121:r={RATE}"
_ONE_SECOND = tuple(Fraction(n, RATE) for n in range(RATE))

CLASSES: dict[str, CorpusClass] = {
    "cfr": CorpusClass(suffix=".mp4", commands=("{picture} {sound} {x264} {aac} {out}",)),
    "b_frames": CorpusClass(
        suffix=".mp4",
        commands=("{picture} {sound} {x264} -preset veryfast -bf 3 {aac} {out}",),
    ),
    "vfr_mp4": CorpusClass(
        suffix=".mp4",
        commands=("{vfr_source} {sound} {vfr_filter} {x264} -bf 2 -video_track_timescale 90000 {aac} {out}",),
        times=_vfr_times(),
    ),
    "vfr_mkv": CorpusClass(
        suffix=".mkv",
        commands=("-i {vfr_mp4} -map 0 -c copy {out}",),
        needs=("vfr_mp4",),
        times=_vfr_times(),
        tick=MILLISECOND / 2,
    ),
    "vfr_mov": CorpusClass(
        suffix=".mov",
        commands=("-i {vfr_mp4} -map 0 -c copy -video_track_timescale 90000 {out}",),
        needs=("vfr_mp4",),
        times=_vfr_times(),
    ),
    "vfr_hole": CorpusClass(
        suffix=".mp4",
        commands=(r"{picture} {sound} -vf 'select=lt(t\,0.5)+gt(t\,1.5)' -fps_mode vfr {x264} {aac} {out}",),
        times=tuple(Fraction(n, RATE) for n in range(NUM_FRAMES) if 2 * n < RATE or 2 * n > 3 * RATE),
    ),
    "late_video": CorpusClass(
        suffix=".mp4",
        commands=("{sound} -itsoffset 0.4 {picture} -map 1:v -map 0:a {x264} {aac} {out}",),
        times=tuple(Fraction(n, RATE) + Fraction(2, 5) for n in range(NUM_FRAMES)),
    ),
    "late_audio": CorpusClass(
        suffix=".mp4",
        commands=("{picture} -itsoffset 0.3 {sound} {x264} {aac} {out}",),
    ),
    "edit_list": CorpusClass(
        # Copied from frame 12 on; the frames from the key frame before are in the file and not shown.
        suffix=".mp4",
        commands=("-ss 0.48 -i {long_gop} -map 0 -c copy {out}",),
        needs=("long_gop",),
        times=tuple(Fraction(n, RATE) for n in range(NUM_FRAMES - 12)),
    ),
    "negative_start": CorpusClass(
        suffix=".mkv",
        commands=("{picture} {sound} {x264} {aac} -output_ts_offset -0.2 -avoid_negative_ts disabled {out}",),
        times=tuple(Fraction(n, RATE) - Fraction(1, 5) for n in range(NUM_FRAMES)),
        tick=MILLISECOND / 2,
        tracks=(Track(kind="audio", codec="aac"),),
    ),
    "tracks_mkv": CorpusClass(
        suffix=".mkv",
        files=_EXTRA_FILES,
        commands=(
            (
                "{all_tracks} -c:a:1 libopus -c:s:0 srt -c:s:1 ass "
                "-attach {folder}/font.ttf -metadata:s:t mimetype=font/ttf "
                "-metadata:s:t filename=font.ttf {out}"
            ),
        ),
        needs=("cfr",),
        tick=MILLISECOND / 2,
        tracks=(
            Track(kind="audio", codec="aac", language="eng", dispositions=("default",)),
            Track(kind="audio", codec="opus", language="fra", title="Commentary", dispositions=("comment",)),
            Track(kind="subtitle", codec="subrip", language="eng"),
            Track(kind="subtitle", codec="ass", language="deu", title="Schilder", dispositions=("forced",)),
            Track(kind="attachment", codec="unknown"),
        ),
        num_chapters=2,
    ),
    "tracks_mp4": CorpusClass(
        suffix=".mp4",
        files=_EXTRA_FILES,
        commands=("{all_tracks} -c:a:1 aac -c:s mov_text {out}",),
        needs=("cfr",),
        tracks=(
            Track(kind="audio", codec="aac", language="eng", dispositions=("default",)),
            Track(kind="audio", codec="aac", language="fra", title="Commentary", dispositions=("comment",)),
            # The muxer makes the first of each kind the default.
            Track(kind="subtitle", codec="mov_text", language="eng", dispositions=("default",)),
            Track(
                kind="subtitle", codec="mov_text", language="deu", title="Schilder", dispositions=("forced",)
            ),
            # The titles of the chapters.
            Track(kind="data", codec="bin_data", language="eng"),
        ),
        num_chapters=2,
    ),
    "cover_mp4": CorpusClass(
        suffix=".mp4",
        commands=(
            _COVER,
            "-i {cfr} -i {folder}/cover.png -map 0 -map 1 -c copy -disposition:v:1 attached_pic {out}",
        ),
        needs=("cfr",),
        tracks=(*_AUDIO, Track(kind="video", codec="png", dispositions=("attached_pic",))),
    ),
    "cover_mkv": CorpusClass(
        suffix=".mkv",
        commands=(
            _COVER,
            (
                "-i {cfr} -attach {folder}/cover.png "
                "-metadata:s:t mimetype=image/png -metadata:s:t filename=cover.png -c copy {out}"
            ),
        ),
        needs=("cfr",),
        tick=MILLISECOND / 2,
        tracks=(*_AUDIO, Track(kind="video", codec="png", dispositions=("attached_pic",))),
    ),
    "turned_90": CorpusClass(
        suffix=".mp4",
        commands=("-display_rotation 90 -i {cfr} -map 0 -c copy {out}",),
        needs=("cfr",),
        display_matrix=TURNED_BY_90,
    ),
    "turned_180_flipped": CorpusClass(
        suffix=".mp4",
        commands=("-display_rotation 180 -display_hflip -i {cfr} -map 0 -c copy {out}",),
        needs=("cfr",),
        display_matrix=TURNED_AND_FLIPPED,
    ),
    "sar": CorpusClass(
        suffix=".mp4",
        commands=("{picture} {sound} -vf setsar=64/45 {x264} {aac} {out}",),
        sample_aspect_ratio=Fraction(64, 45),
    ),
    "odd_444": CorpusClass(
        suffix=".mp4",
        commands=(_encoded("yuv444p", source=_ODD),),
        times=_ONE_SECOND,
        width=161,
        height=121,
        pix_fmt="yuv444p",
        tracks=(),
    ),
    "odd_420": CorpusClass(
        suffix=".mkv",
        commands=(_encoded("yuv420p", "ffv1", source=_ODD),),
        times=_ONE_SECOND,
        tick=MILLISECOND / 2,
        codec="ffv1",
        width=161,
        height=121,
        tracks=(),
    ),
    "yuv444": CorpusClass(
        suffix=".mp4", commands=(_encoded("yuv444p"),), times=_ONE_SECOND, pix_fmt="yuv444p", tracks=()
    ),
    "depth_10_420": CorpusClass(
        suffix=".mp4",
        commands=(_encoded("yuv420p10le"),),
        times=_ONE_SECOND,
        pix_fmt="yuv420p10le",
        bit_depth=10,
        tracks=(),
    ),
    "depth_10_422": CorpusClass(
        suffix=".mp4",
        commands=(_encoded("yuv422p10le"),),
        times=_ONE_SECOND,
        pix_fmt="yuv422p10le",
        bit_depth=10,
        tracks=(),
    ),
    "one_frame": CorpusClass(
        suffix=".mp4",
        commands=("{picture} -frames:v 1 {x264} {out}",),
        times=(Fraction(0),),
        tracks=(),
    ),
    "two_frames": CorpusClass(
        suffix=".mp4",
        commands=("{picture} -frames:v 2 {x264} {out}",),
        times=(Fraction(0), Fraction(1, RATE)),
        tracks=(),
    ),
    "no_audio": CorpusClass(suffix=".mp4", commands=("{picture} {x264} {out}",), tracks=()),
    "full_range": CorpusClass(
        suffix=".mp4",
        commands=(_tagged("bt709", "pc"),),
        times=_ONE_SECOND,
        matrix=1,
        full_range=True,
        tracks=(),
    ),
    "bt601": CorpusClass(
        suffix=".mp4",
        commands=(_tagged("smpte170m", "tv"),),
        times=_ONE_SECOND,
        matrix=6,
        full_range=False,
        tracks=(),
    ),
    "bt709": CorpusClass(
        suffix=".mp4",
        commands=(_tagged("bt709", "tv"),),
        times=_ONE_SECOND,
        matrix=1,
        full_range=False,
        tracks=(),
    ),
    "gray": CorpusClass(
        suffix=".mkv",
        commands=(_encoded("gray", "ffv1"),),
        times=_ONE_SECOND,
        tick=MILLISECOND / 2,
        codec="ffv1",
        pix_fmt="gray",
        full_range=True,
        tracks=(),
    ),
    "rgb": CorpusClass(
        suffix=".mp4",
        commands=(_encoded("bgr24", "libx264rgb -preset ultrafast"),),
        times=_ONE_SECOND,
        pix_fmt="gbrp",
        matrix=0,
        full_range=True,
        tracks=(),
    ),
    "short_gop": CorpusClass(suffix=".mp4", commands=("{picture} {sound} {x264} -g 1 {aac} {out}",)),
    "long_gop": CorpusClass(
        suffix=".mp4",
        commands=("{picture} {sound} {x264} -preset veryfast -g 250 -sc_threshold 0 {aac} {out}",),
    ),
    "cuts": CorpusClass(
        suffix=".mp4",
        commands=(
            (
                "{picture} -f lavfi -i mandelbrot=s=160x120:r=25 "
                "-f lavfi -i color=white:s=160x120:r=25:d=1 -f lavfi -i rgbtestsrc=s=160x120:r=25:d=1 "
                "-filter_complex '[0]trim=end_frame=20,setsar=1[a];[1]trim=end_frame=15,setsar=1[b];"
                "[2]trim=end_frame=1,setsar=1[c];[3]trim=end_frame=14,setsar=1[d];"
                "[a][b][c][d]concat=n=4:v=1' {x264} {out}"
            ),
        ),
        cuts=(20, 35, 36),
        tracks=(),
    ),
}
"""Every kind of input that runs exactly."""

EXTRAS: dict[str, CorpusClass] = {
    "transport_stream": CorpusClass(
        suffix=".ts",
        # The first frame is shown two frames after it is decoded, and a stream begins at 0 with that.
        commands=("-i {b_frames} -map 0 -c copy -muxdelay 0 -muxpreload 0 {out}",),
        needs=("b_frames",),
        times=tuple(Fraction(n + 2, RATE) for n in range(NUM_FRAMES)),
        tracks=(Track(kind="audio", codec="aac"),),
    ),
    "no_times": CorpusClass(
        suffix=".h264",
        commands=("-i {b_frames} -map 0:v -c copy -f h264 {out}",),
        needs=("b_frames",),
        tracks=(),
    ),
    "avi": CorpusClass(
        suffix=".avi",
        commands=("{picture} -c:v mpeg4 -bf 2 -g 25 {out}",),
        times=tuple(Fraction(n + 1, RATE) for n in range(NUM_FRAMES)),
        codec="mpeg4",
        tracks=(),
    ),
    "gif": CorpusClass(
        suffix=".gif",
        commands=(
            (
                "-f lavfi -i testsrc2=s=160x120:r=10:d=1 "
                "-vf 'split[a][b];[a]palettegen[p];[b][p]paletteuse' {out}"
            ),
        ),
        times=tuple(Fraction(n, 10) for n in range(10)),
        codec="gif",
        pix_fmt="gbrap",
        tracks=(),
    ),
    "wrong_time": CorpusClass(
        # Frame 30 in decoding order says a time three frames too early.
        suffix=".mkv",
        commands=(
            r"-i {b_frames} -map 0:v -c copy -bsf:v 'setts=pts=if(eq(N\,30)\,PTS-DURATION*3\,PTS)' {out}",
        ),
        needs=("b_frames",),
        tick=MILLISECOND / 2,
        tracks=(),
    ),
    "truncated": CorpusClass(
        suffix=".mp4",
        commands=("-i {b_frames} -map 0 -c copy -movflags +faststart {out}",),
        needs=("b_frames",),
        after=_truncate,
    ),
    "corrupt": CorpusClass(
        suffix=".mkv",
        commands=(r"-i {b_frames} -map 0 -c copy -bsf:v 'noise=amount=if(between(n\,20\,30)\,20\,0)' {out}",),
        needs=("b_frames",),
    ),
    "size_change": CorpusClass(
        suffix=".ts",
        commands=(
            "{picture} {x264} -frames:v 10 -f mpegts {folder}/size_a.ts",
            (
                "-f lavfi -i testsrc2=s=320x240:r=25:d=1 {x264} -frames:v 10 "
                "-f mpegts -output_ts_offset 0.4 {folder}/size_b.ts"
            ),
            "-i 'concat:{folder}/size_a.ts|{folder}/size_b.ts' -c copy {out}",
        ),
        tracks=(),
    ),
    "splice": CorpusClass(
        # Two recordings one after the other: the clock starts anew in the middle.
        suffix=".ts",
        commands=(
            "{picture} {x264} -frames:v 25 -output_ts_offset 1000 -f mpegts {folder}/splice_a.ts",
            "{picture} {x264} -frames:v 25 -output_ts_offset 10 -f mpegts {out}",
        ),
        after=_splice,
        # A transport stream begins where its first packet says: 1.4 s of muxing delay, and 1000 s.
        times=tuple(Fraction(n, RATE) + Fraction(7, 5) + 1000 for n in range(NUM_FRAMES)),
        tracks=(),
    ),
    "two_pictures": CorpusClass(
        # The smaller one is the default.
        suffix=".mkv",
        commands=(
            (
                "-f lavfi -i testsrc=s=320x240:r=25:d=2 {picture} -map 0 -map 1 {x264} "
                "-disposition:v:0 0 -disposition:v:1 default {out}"
            ),
        ),
        video_index=1,
        tick=MILLISECOND / 2,
        tracks=(Track(kind="video", codec="h264"),),
    ),
    "two_equal_pictures": CorpusClass(
        # Neither is the default.
        suffix=".mkv",
        commands=(
            (
                "{picture} -f lavfi -i testsrc=s=320x240:r=25:d=2 -map 0 -map 1 {x264} "
                "-disposition:v:0 0 -disposition:v:1 0 {out}"
            ),
        ),
        width=320,
        height=240,
        video_index=1,
        tick=MILLISECOND / 2,
        tracks=(Track(kind="video", codec="h264"),),
    ),
    "audio_only": CorpusClass(suffix=".m4a", commands=("{sound} {aac} {out}",), times=()),
    "pan": CorpusClass(
        suffix=".mp4",
        commands=(
            "-f lavfi -i mandelbrot=s=640x480:r=25:start_scale=1 -frames:v 1 {folder}/pan.png",
            ("-loop 1 -framerate 25 -i {folder}/pan.png -frames:v 50 -vf crop=160:120:8*n:4*n {x264} {out}"),
        ),
        tracks=(),
    ),
    "noise": CorpusClass(
        suffix=".mp4",
        commands=("{picture} -vf noise=alls=40:allf=t+u {x264} {out}",),
        tracks=(),
    ),
}
"""Inputs that need mending, are damaged, or are refused."""

EVERY: dict[str, CorpusClass] = CLASSES | EXTRAS
