"""Make the project's sample clip: small, noisy and compressed, as old footage is.

    python tools/fetch_clips.py --only dog.mp4 --output runs/clips
    python tools/make_sample_clip.py runs/clips/dog.mp4 examples/sample.mp4

The picture is reduced by area to 320x180, gets noise from a fixed seed and is encoded with x264 at a low
quality. Every frame keeps its own time (the camera's rate varies) and the sound is copied packet by packet.
Global metadata are dropped: the camera wrote its place into them. The clip is an adaptation of
VID_20191220_170832.mp4, (c) 2019-2020 Joao Eriberto Mota Filho, CC-BY-SA-4.0, and is under that licence too.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
from packages import ToolError, check_digest, command, command_line, run_client

DOG_SHA256 = "9b0710a436413f75cc3cd1c1048aa3c4d7c28f76f51ef6a25413d0018d22ec99"
WIDTH, HEIGHT = 320, 180
NOISE_STRENGTH = 10
"""Of ffmpeg's filter `noise`, alike in all planes and new in every frame."""
CRF = 23
MAX_BYTES = 1_000_000


def encode(source: Path, target: Path) -> None:
    """Write the reduced, noisy, compressed copy of `source` to `target`."""
    noise = f"noise=all_seed=2:alls={NOISE_STRENGTH}:allf=t"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-nostdin", "-loglevel", "error", "-y", "-i", str(source.resolve())),
        *("-map", "0:v:0", "-map", "0:a:0", "-map_metadata", "-1", "-map_chapters", "-1"),
        *("-vf", f"scale={WIDTH}:{HEIGHT}:flags=area,{noise},format=yuv420p", "-fps_mode", "passthrough"),
        *("-c:v", "libx264", "-preset", "medium", "-crf", str(CRF), "-threads", "1"),
        *("-enc_time_base:v", "demux", "-video_track_timescale", "90000"),
        *("-c:a", "copy", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart"),
        str(target.resolve()),
    ]
    run_client(command, folder=target.parent)
    if (size_bytes := target.stat().st_size) > MAX_BYTES:
        msg = f"{target}: {size_bytes} bytes, more than {MAX_BYTES}"
        raise ToolError(msg)
    print(f"{target}: {size_bytes} bytes")


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = command_line(__doc__)
    parser.add_argument("source", type=Path, help="dog.mp4, as tools/fetch_clips.py writes it")
    parser.add_argument("target", type=Path, help="mp4 file to write")
    options = parser.parse_args(arguments)
    check_digest(options.source, DOG_SHA256)
    encode(options.source, options.target)


if __name__ == "__main__":
    sys.exit(main())
