"""Inputs whose frames come at all kinds of times."""

from fractions import Fraction
from pathlib import Path

from tests.corpus.facts import MILLISECOND, NUM_FRAMES, RATE, CorpusClass, Outcome, Track, grid

MUXING_DELAY = Fraction(7, 5)
"""Seconds at which ffmpeg begins a transport stream."""
CLOCK_PERIOD = Fraction(2**33, 90_000)
"""Seconds after which the clock of a transport stream begins anew."""
VFR_TIMES = tuple(Fraction(n, 60) for n in range(120) if n % 2 == 0 or n % 7 < 2)


def _splice(path: Path) -> None:
    path.write_bytes((path.parent / "splice_a.ts").read_bytes() + path.read_bytes())


TIMING: dict[str, CorpusClass] = {
    "cfr": CorpusClass(suffix=".mp4", commands=("{picture} {sound} {x264} {aac} {out}",)),
    "b_frames": CorpusClass(
        suffix=".mp4",
        commands=("{picture} {sound} {reordered} {aac} {out}",),
    ),
    "vfr_mp4": CorpusClass(
        suffix=".mp4",
        commands=("{vfr_source} {sound} {vfr_filter} {x264} -bf 2 -video_track_timescale 90000 {aac} {out}",),
        times=VFR_TIMES,
    ),
    "vfr_mkv": CorpusClass(
        suffix=".mkv",
        commands=("-i {vfr_mp4} -map 0 -c copy {out}",),
        needs=("vfr_mp4",),
        times=VFR_TIMES,
        tick=MILLISECOND / 2,
    ),
    "vfr_mov": CorpusClass(
        suffix=".mov",
        commands=("-i {vfr_mp4} -map 0 -c copy -video_track_timescale 90000 {out}",),
        needs=("vfr_mp4",),
        times=VFR_TIMES,
    ),
    "vfr_hole": CorpusClass(
        suffix=".mp4",
        commands=(r"{picture} {sound} -vf 'select=lt(t\,0.5)+gt(t\,1.5)' -fps_mode vfr {x264} {aac} {out}",),
        times=tuple(Fraction(n, RATE) for n in range(NUM_FRAMES) if 2 * n < RATE or 2 * n > 3 * RATE),
    ),
    "late_video": CorpusClass(
        suffix=".mp4",
        commands=("{sound} -itsoffset 0.4 {picture} -map 1:v -map 0:a {x264} {aac} {out}",),
        times=grid(NUM_FRAMES, start=Fraction(2, 5)),
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
        times=grid(NUM_FRAMES - 12),
    ),
    "negative_start": CorpusClass(
        suffix=".mkv",
        commands=("{picture} {sound} {x264} {aac} -output_ts_offset -0.2 -avoid_negative_ts disabled {out}",),
        times=grid(NUM_FRAMES, start=-Fraction(1, 5)),
        tick=MILLISECOND / 2,
        tracks=(Track(kind="audio", codec="aac"),),
        outcome=Outcome(says=("came without a time",)),
    ),
    "negative_b_frames": CorpusClass(
        # FFmpeg gives no time to the frames before zero, and their order is not that of their packets.
        suffix=".mkv",
        commands=(
            "{picture} {sound} {reordered} {aac} -output_ts_offset -0.2 -avoid_negative_ts disabled {out}",
        ),
        is_plain=False,
        times=grid(NUM_FRAMES, start=-Fraction(1, 5)),
        tick=MILLISECOND / 2,
        tracks=(Track(kind="audio", codec="aac"),),
        outcome=Outcome(says=("came without a time",)),
    ),
    "transport_stream": CorpusClass(
        suffix=".ts",
        # The first frame is shown two frames after it is decoded, and a stream begins at 0 with that.
        commands=("-i {b_frames} -map 0 -c copy -muxdelay 0 -muxpreload 0 {out}",),
        needs=("b_frames",),
        times=grid(NUM_FRAMES, start=Fraction(2, RATE)),
        tracks=(Track(kind="audio", codec="aac"),),
        is_plain=False,
    ),
    "no_times": CorpusClass(
        suffix=".h264",
        commands=("-i {b_frames} -map 0:v -c copy -f h264 {out}",),
        needs=("b_frames",),
        tracks=(),
        is_plain=False,
        outcome=Outcome(says=("came without a time",)),
    ),
    "avi": CorpusClass(
        suffix=".avi",
        commands=("{picture} -c:v mpeg4 -bf 2 -g 25 {out}",),
        times=grid(NUM_FRAMES, start=Fraction(1, RATE)),
        codec="mpeg4",
        tracks=(),
        is_plain=False,
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
        is_plain=False,
        outcome=Outcome(says=("had a time out of order",)),
    ),
    "clock_wrap": CorpusClass(
        # The clock's 33 bits run over after a second.
        suffix=".ts",
        commands=(
            "{picture} {sound} {x264} -c:a mp2 -output_ts_offset 95442.7 -muxdelay 0 -muxpreload 0 {out}",
        ),
        is_plain=False,
        times=grid(NUM_FRAMES, start=Fraction("95442.7") - CLOCK_PERIOD),
        tick=Fraction(1, 90_000),
        tracks=(Track(kind="audio", codec="mp2"),),
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
        times=grid(NUM_FRAMES, start=1000 + MUXING_DELAY),
        tracks=(),
        is_plain=False,
        outcome=Outcome(says=("the timeline jumps",)),
    ),
    "splice_with_sound": CorpusClass(
        suffix=".ts",
        commands=(
            (
                "{picture} {sound} {x264} -c:a mp2 -frames:v 25 -t 1 -output_ts_offset 1000 "
                "-f mpegts {folder}/splice_a.ts"
            ),
            "{picture} {sound} {x264} -c:a mp2 -frames:v 25 -t 1 -output_ts_offset 10 -f mpegts {out}",
        ),
        after=_splice,
        is_plain=False,
        times=grid(NUM_FRAMES, start=1000 + MUXING_DELAY),
        tick=Fraction(1, 90_000),
        tracks=(Track(kind="audio", codec="mp2"),),
        outcome=Outcome(says=("the timeline jumps",)),
    ),
    "rate_24000_1001": CorpusClass(
        suffix=".mp4",
        commands=("-f lavfi -i testsrc2=s=160x120:r=24000/1001:d=1 {x264} {out}",),
        times=grid(24, rate=Fraction(24_000, 1001)),
        tracks=(),
    ),
    "rate_1_2": CorpusClass(
        suffix=".mp4",
        commands=("-f lavfi -i testsrc2=s=160x120:r=1/2:d=10 {x264} {out}",),
        times=grid(5, rate=Fraction(1, 2)),
        tracks=(),
    ),
    "rate_240": CorpusClass(
        suffix=".mp4",
        commands=("-f lavfi -i testsrc2=s=160x120:r=240:d=0.2 {x264} {out}",),
        times=grid(48, rate=240),
        tracks=(),
    ),
    "fragmented": CorpusClass(
        suffix=".mp4",
        commands=("{picture} {x264} -movflags frag_keyframe+empty_moov+default_base_moof {out}",),
        tracks=(),
    ),
    "short_gop": CorpusClass(suffix=".mp4", commands=("{picture} {sound} {x264} -g 1 {aac} {out}",)),
    "long_gop": CorpusClass(
        suffix=".mp4",
        commands=("{picture} {sound} {reordered} -g 250 -sc_threshold 0 {aac} {out}",),
    ),
}
"""When."""
