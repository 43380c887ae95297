"""Single pictures, pictures that move, and numbered pictures go the whole way."""

import random
import struct
import zlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

import vidsr
from tests import corpus
from tests.e2e.test_bad_input import BICUBIC, run_vidsr
from tests.overrides import QUICK
from vidsr.errors import ConfigError, UsageError
from vidsr.media.still import Beside, beside_of
from vidsr.media.verify import verify

TURNED_RIGHT = 6
"""EXIF's word for a picture that is to be turned to the right for display."""


def patches(mode: str, *, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Return a picture of a few flat fields, whose middles scaling leaves alone."""
    deep = np.kron(np.array([[0, 65535, 40000], [12345, 30000, 257]], dtype=np.uint16), np.ones((16, 16)))
    if mode == "I;16":
        return Image.fromarray(deep.astype(np.uint16))
    gray = Image.fromarray((deep / 257).astype(np.uint8))
    if mode == "L":
        return gray
    bands = [gray, gray.transpose(Image.Transpose.FLIP_LEFT_RIGHT), gray.rotate(180)]
    if mode == "RGBA":
        bands.append(gray.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    return Image.merge(mode, bands).resize(size, Image.Resampling.NEAREST)


def middles(picture: Image.Image) -> np.ndarray:
    values = np.asarray(picture)
    rows, columns = values.shape[0] // 4, values.shape[1] // 6
    return values[rows :: 2 * rows, columns :: 2 * columns]


def restored(source: Path, output: Path | None = None, **more) -> Path:
    report = vidsr.enhance(source, output, overrides=QUICK | more)
    assert report.exit_code == 0
    assert verify(source, report.output).ok
    return report.output


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
def test_a_picture_becomes_a_png_of_its_kind_without_loss(mode: str, tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    patches(mode).save(source)
    output = restored(source)
    assert output == tmp_path / "in_restored.png"
    with Image.open(source) as before, Image.open(output) as after:
        assert (after.mode, after.size) == (before.mode, (2 * before.width, 2 * before.height))
        np.testing.assert_array_equal(middles(before), middles(after))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "in_restored.png"]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".tiff"])
def test_every_kind_of_picture_file_becomes_a_png(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"in{suffix}"
    patches("RGB", size=(49, 33)).save(source, quality=100)
    with Image.open(restored(source)) as after:
        assert (after.format, after.size) == ("PNG", (98, 66))


def test_what_is_said_beside_the_picture_is_kept(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = TURNED_RIGHT, "a camera"
    for suffix in (".jpg", ".png", ".webp"):
        source = tmp_path / f"in{suffix}"
        patches("RGB").save(source, exif=exif, icc_profile=profile)
        with Image.open(restored(source, tmp_path / f"out{suffix}.png")) as after:
            assert after.info["icc_profile"] == profile
            assert dict(after.getexif()) == dict(exif)


def test_words_in_a_png_are_kept(tmp_path: Path) -> None:
    words = PngInfo()
    words.add_text("Title", "Fields")
    words.add_itxt("Author", "é漢")
    patches("RGB").save(tmp_path / "in.png", pnginfo=words)
    with Image.open(restored(tmp_path / "in.png")) as after:
        assert (after.text["Title"], after.text["Author"]) == ("Fields", "é漢")


def test_lost_words_are_noticed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    source = tmp_path / "in.png"
    patches("RGB").save(source, exif=exif)
    output = restored(source)
    with Image.open(output) as after:
        after.info.pop("exif", None)
        bare = BytesIO()
        Image.fromarray(np.asarray(after)).save(bare, "PNG")
    output.write_bytes(bare.getvalue())
    assert [difference.kind for difference in verify(source, output).differences] == ["payload"]


def test_a_profile_that_would_fill_memory_is_cut_off(tmp_path: Path) -> None:
    patches("RGB").save(tmp_path / "in.png")
    png = (tmp_path / "in.png").read_bytes()
    body = b"icc\0\0" + zlib.compress(bytes(64 * 2**20))
    chunk = struct.pack(">I", len(body)) + b"iCCP" + body + struct.pack(">I", zlib.crc32(b"iCCP" + body))
    (tmp_path / "in.png").write_bytes(png[:33] + chunk + png[33:])
    assert len(beside_of(tmp_path / "in.png").icc) == 16 * 2**20
    (tmp_path / "in.png").write_bytes(png[:33] + chunk[:40])
    assert beside_of(tmp_path / "in.png") == Beside(icc=beside_of(tmp_path / "in.png").icc)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_what_is_said_beside_a_broken_picture_is_read_without_an_error(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    path = tmp_path / f"in{suffix}"
    patches("RGB").save(path, exif=exif, icc_profile=b"a profile")
    whole = path.read_bytes()
    dice = random.Random(7)
    for _ in range(200):
        broken = bytearray(whole[: dice.randrange(len(whole))])
        for place in dice.choices(range(len(broken)), k=len(broken) // 20):
            broken[place] = dice.randrange(256)
        path.write_bytes(broken)
        beside_of(path)
    path.write_bytes(b"\xff\xd8\xff\xe2\0\x0eICC_PROFILE\0")
    assert beside_of(path) == Beside()


def test_a_picture_may_become_a_video_of_one_frame(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = TURNED_RIGHT
    patches("RGB").save(tmp_path / "in.jpg", exif=exif)
    output = restored(tmp_path / "in.jpg", tmp_path / "out.mp4")
    plan = vidsr.plan(tmp_path / "in.jpg", output, overrides=QUICK)
    assert any("EXIF, colour profile or texts are left out" in warning for warning in plan.warnings)
    with av.open(str(output)) as file:
        (frame,) = file.decode(video=0)
    assert frame.rotation == -90


def test_a_video_does_not_become_a_picture(corpus_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a picture holds one frame"):
        vidsr.enhance(corpus.make("cfr", corpus_folder), tmp_path / "out.png", overrides=QUICK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".png"])
def test_pictures_that_move_become_a_video_with_their_times(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"in{suffix}"
    waits = [200, 50, 700, 100]
    frames = [patches("RGB").rotate(90 * n) for n in range(len(waits))]
    frames[0].save(
        source,
        format="GIF" if suffix == ".gif" else "PNG",
        save_all=True,
        append_images=frames[1:],
        duration=waits,
    )
    output = restored(source)
    assert output.suffix == ".mkv"
    with av.open(str(output)) as file:
        times = [frame.pts * frame.time_base * 1000 for frame in file.decode(video=0)]
    assert times == [0, 200, 250, 950]


def test_numbered_pictures_become_a_video(tmp_path: Path) -> None:
    for n in range(5):
        patches("RGB").rotate(90 * n).save(tmp_path / f"f_{n + 8:04d}.png")
    output = restored(tmp_path / "f_%04d.png")
    assert output == tmp_path / "f_restored.mkv"
    with av.open(str(output)) as file:
        times = [frame.pts * frame.time_base for frame in file.decode(video=0)]
    assert times == [Fraction(n, 25) for n in range(5)]


@pytest.mark.parametrize(
    ("rate", "suffix"),
    [("24000/1001", "mp4"), ("24000/1001", "mov"), ("24000/1001", "mkv"), ("1/1000", "mp4"), ("1000", "mkv")],
)
def test_numbered_pictures_are_shown_at_the_rate_that_is_asked_for(
    rate: str, suffix: str, tmp_path: Path
) -> None:
    for n in range(5):
        patches("RGB").rotate(90 * n).save(tmp_path / f"{n}.png")
    source, output = tmp_path / "%d.png", tmp_path / f"out.{suffix}"
    vidsr.enhance(source, output, overrides=QUICK | {"plan.frame_rate": rate})
    with av.open(str(output)) as file:
        times = [frame.pts * frame.time_base for frame in file.decode(video=0)]
    # Matroska counts in milliseconds.
    tick = Fraction(1, 1000) if suffix == "mkv" else Fraction(0)
    assert len(times) == 5
    assert all(abs(time - n / Fraction(rate)) <= tick / 2 for n, time in enumerate(times))
    assert verify(source, output, frame_rate=Fraction(rate)).ok
    assert "time" in {difference.kind for difference in verify(source, output).differences}


def test_the_rate_of_pictures_is_an_option_of_run_plan_and_verify(tmp_path: Path) -> None:
    for n in range(2):
        patches("RGB").rotate(90 * n).save(tmp_path / f"{n}.png")
    at_film = ("--frame-rate", "24000/1001")
    assert run_vidsr("run", "%d.png", "-o", "out.mp4", *BICUBIC, *at_film, cwd=tmp_path).returncode == 0
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert [frame.pts * frame.time_base for frame in file.decode(video=0)] == [0, Fraction(1001, 24000)]
    assert run_vidsr("verify", "%d.png", "out.mp4", *at_film, cwd=tmp_path).returncode == 0
    assert run_vidsr("verify", "%d.png", "out.mp4", cwd=tmp_path).returncode == 1
    plan = run_vidsr("plan", "%d.png", "--pipeline", "preview", *at_film, cwd=tmp_path)
    assert "2 frames in 2 shots, 24000/1001 a second" in plan.stdout


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_file_has_no_rate_to_choose(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"in{suffix}"
    patches("RGB").save(source)
    words = rf"in{suffix}: plan\.frame_rate=25 is of numbered pictures"
    with pytest.raises(ConfigError, match=words):
        vidsr.enhance(source, overrides=QUICK | {"plan.frame_rate": 25})
    with pytest.raises(ConfigError, match=words):
        verify(source, source, frame_rate=Fraction(25))
    assert list(tmp_path.iterdir()) == [source]


def test_numbered_pictures_of_16_bits_keep_them(tmp_path: Path) -> None:
    for n in range(2):
        picture = f"-f lavfi -i testsrc2=s=48x32 -ss {n} -frames:v 1 -pix_fmt rgb48be"
        corpus.run([*picture.split(), str(tmp_path / f"{n}.png")])
    output = restored(tmp_path / "%d.png", tmp_path / "out.mkv", **{"encode.codec": "ffv1"})
    with av.open(str(output)) as file:
        assert {frame.format.name for frame in file.decode(video=0)} == {"gbrp16le"}


def test_a_changed_picture_is_another_input(tmp_path: Path) -> None:
    for n in range(2):
        patches("RGB").save(tmp_path / f"{n}.png")
    before = vidsr.plan(tmp_path / "%d.png", overrides=QUICK).input
    patches("RGB").rotate(90).save(tmp_path / "1.png")
    after = vidsr.plan(tmp_path / "%d.png", overrides=QUICK).input
    assert before.sha256 != after.sha256


def test_no_picture_of_the_sequence_is_overwritten(tmp_path: Path) -> None:
    patches("RGB").save(tmp_path / "0.png")
    before = (tmp_path / "0.png").read_bytes()
    with pytest.raises(UsageError, match="a picture holds one frame"):
        vidsr.enhance(tmp_path / "%d.png", tmp_path / "0.png", overrides=QUICK, overwrite=True)
    assert (tmp_path / "0.png").read_bytes() == before


@pytest.mark.parametrize(
    ("names", "words"), [([], "no picture whose name fits"), (["f_1.png", "f_3.png"], "picture 2 is missing")]
)
def test_a_sequence_that_is_not_whole_is_bad_input(names: list[str], words: str, tmp_path: Path) -> None:
    for name in names:
        patches("RGB").save(tmp_path / name)
    result = run_vidsr("run", "f_%d.png", *BICUBIC, cwd=tmp_path)
    assert result.returncode == 3
    assert words in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == names
