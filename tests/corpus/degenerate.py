"""Inputs that are hardly videos, cuts, names, and lengths."""

from fractions import Fraction

from tests.corpus.facts import RATE, CorpusClass, Outcome, grid

DEGENERATE: dict[str, CorpusClass] = {
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
    "gif": CorpusClass(
        suffix=".gif",
        commands=(
            (
                "-f lavfi -i testsrc2=s=160x120:r=10:d=1 "
                "-vf 'split[a][b];[a]palettegen[p];[b][p]paletteuse' {out}"
            ),
        ),
        times=grid(10, rate=10),
        codec="gif",
        pix_fmt="gbrap",
        tracks=(),
        is_plain=False,
        outcome=Outcome(says=("transparency is given up",)),
    ),
    "apng": CorpusClass(
        suffix=".apng",
        commands=("-f lavfi -i testsrc2=s=160x120:r=10:d=1 -plays 0 {out}",),
        is_plain=False,
        times=grid(10, rate=10),
        codec="apng",
        pix_fmt="gbrp",
        tracks=(),
    ),
    "sequence": CorpusClass(
        suffix="",
        is_sequence=True,
        commands=("-f lavfi -i testsrc2=s=160x120:r=10:d=1 {out}/f_%04d.png",),
        is_plain=False,
        times=grid(10),
        codec="png",
        pix_fmt="gbrp",
        tracks=(),
    ),
    "sequence_16": CorpusClass(
        suffix="",
        is_sequence=True,
        commands=("-f lavfi -i testsrc2=s=160x120:r=10:d=1 -pix_fmt rgb48be {out}/f_%04d.png",),
        is_plain=False,
        times=grid(10),
        codec="png",
        pix_fmt="gbrp16le",
        bit_depth=16,
        tracks=(),
        outcome=Outcome(says=("encoded with ffv1: h264 does not hold gbrp16le",)),
    ),
    "still": CorpusClass(
        suffix=".jpg",
        commands=("-f lavfi -i testsrc2=s=160x120 -frames:v 1 {out}",),
        is_plain=False,
        times=(Fraction(0),),
        codec="mjpeg",
        tracks=(),
        output_suffix=".png",
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
    "fade": CorpusClass(
        suffix=".mp4",
        commands=(
            (
                "-f lavfi -i testsrc2=s=160x120:r=25:d=1 -f lavfi -i smptebars=s=160x120:r=25:d=1 "
                "-filter_complex xfade=transition=fade:duration=0.5:offset=0.5 {x264} {out}"
            ),
        ),
        is_plain=False,
        times=grid(38),
        tracks=(),
    ),
    "black": CorpusClass(
        suffix=".mp4",
        commands=("-f lavfi -i color=black:s=160x120:r=25:d=1 {x264} {out}",),
        is_plain=False,
        times=grid(RATE),
        tracks=(),
    ),
    "pan": CorpusClass(
        suffix=".mp4",
        commands=(
            "-f lavfi -i mandelbrot=s=640x480:r=25:start_scale=1 -frames:v 1 {folder}/pan.png",
            ("-loop 1 -framerate 25 -i {folder}/pan.png -frames:v 50 -vf crop=160:120:8*n:4*n {x264} {out}"),
        ),
        tracks=(),
        is_plain=False,
    ),
    "noise": CorpusClass(
        suffix=".mp4",
        commands=("{picture} -vf noise=alls=40:allf=t+u {x264} {out}",),
        tracks=(),
        is_plain=False,
    ),
    "name_of_signs": CorpusClass(
        suffix=".mp4",
        file_name="sp ace 'q' [x] %d é漢.mp4",
        commands=("-i {two_frames} -c copy {out}",),
        needs=("two_frames",),
        is_plain=False,
        times=grid(2),
        tracks=(),
    ),
    "name_of_bytes": CorpusClass(
        # No text in UTF-8.
        suffix=".mp4",
        file_name=b"bad\xff\xfename.mp4".decode(errors="surrogateescape"),
        commands=("-i {two_frames} -c copy {out}",),
        needs=("two_frames",),
        is_plain=False,
        times=grid(2),
        tracks=(),
    ),
    "name_like_an_option": CorpusClass(
        suffix=".mp4",
        file_name="-dash.mp4",
        commands=("-i {two_frames} -c copy {out}",),
        needs=("two_frames",),
        is_plain=False,
        times=grid(2),
        tracks=(),
    ),
    "one_hour": CorpusClass(
        suffix=".mp4",
        commands=(
            (
                "-f lavfi -i color=gray:s=32x32:r=25:d=3600 -c:v libx264 -preset ultrafast -g 250 "
                "-pix_fmt yuv420p {out}"
            ),
        ),
        is_plain=False,
        is_slow=True,
        times=grid(3600 * RATE),
        width=32,
        height=32,
        tracks=(),
    ),
}
"""What is left."""
