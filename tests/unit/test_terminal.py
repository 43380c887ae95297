"""Nothing that a file says is obeyed by a terminal."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests import corpus
from vidsr.events import Warned, listener_for
from vidsr.media.index import build_index
from vidsr.media.probe import probe
from vidsr.media.sample import DecordSampler, PyAVSampler, open_sampler
from vidsr.terminal import printable

ROOT = Path(__file__).resolve().parents[2]
EVIL = "a\x1b[2J\x1b]0;owned\x07b\r\n\x9b31m\u202emoc"
"""Clears the screen, renames the window, rings, goes back, starts a line, paints, and turns the writing."""
WRITTEN_OUT = r"a\x1b[2J\x1b]0;owned\x07b\r\n\x9b31m\u202emoc"
FAST = ("--set", "restore.restorer=bicubic", "--set", "restore.scale=2", "--set", "caption.captioner=none")


@pytest.fixture
def evil(corpus_folder: Path, tmp_path: Path) -> Path:
    """A video with such a title, in a file of such a name."""
    path = tmp_path / f"{EVIL.replace('/', '')}.mkv"
    source = corpus.make("cfr", corpus_folder)
    titled = ("-metadata", f"title={EVIL}", "-metadata:s:a:0", f"title={EVIL}")
    corpus.run(["-i", str(source), "-map", "0", "-c", "copy", *titled, f"file:{path}"])
    return path


def vidsr(*arguments: str, cwd: Path, on_terminal: bool = False) -> bytes:
    """Return what the command prints, to a terminal where that is asked for."""
    command = [sys.executable, "-m", "vidsr", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    if not on_terminal:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False)
        return done.stdout + done.stderr
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command, cwd=cwd, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    printed = b""
    try:
        while block := os.read(ours, 4096):
            printed += block
    except OSError:
        pass  # Linux says so when the last writer has gone
    os.close(ours)
    assert child.wait() == 0, printed
    return printed


def test_what_a_terminal_obeys_is_written_out() -> None:
    assert printable(EVIL) == WRITTEN_OUT
    assert printable("Grüße, 漢字 👩\u200d🚀 \\x1b") == "Grüße, 漢字 👩\u200d🚀 \\x1b"


@pytest.mark.parametrize("style", ["plain", "none"])
def test_a_warning_is_one_line(style: str) -> None:
    stream = io.StringIO()
    listener_for(style, stream=stream)(Warned(message=EVIL))
    assert stream.getvalue() == f"vidsr: warning: {WRITTEN_OUT}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("probe",),
        ("plan", *FAST),
        ("run", *FAST, "--progress", "plain"),
        ("run", *FAST, "--progress", "json"),
    ],
    ids=["probe", "plan", "run", "run as json"],
)
def test_no_command_passes_it_on(arguments: tuple[str, ...], evil: Path, tmp_path: Path) -> None:
    printed = vidsr(*arguments, evil.name, cwd=tmp_path).decode()
    assert not set(printed) & set("\x1b\x07\r\x9b\u202e"), printed
    assert r"\x1b[2J" in printed or r"\u001b[2J" in printed


def test_words_about_a_shot_are_written_out_on_a_terminal(corpus_folder: Path, tmp_path: Path) -> None:
    """The bar itself moves the cursor; what the words want is written out."""
    (tmp_path / "clip.mp4").write_bytes(corpus.make("two_frames", corpus_folder).read_bytes())
    (tmp_path / "words.yaml").write_text('- {shot: 0, start: 0, stop: 2, high_level: "a\\e[2Jb\\ac"}\n')
    # Words are read from the file, and bicubic does not look at them.
    arguments = ("run", *FAST[:4], "--priors", "words.yaml", "clip.mp4")
    printed = vidsr(*arguments, cwd=tmp_path, on_terminal=True)
    assert rb"a\x1b[2Jb\x07c" in printed
    assert b"\x1b[2J" not in printed
    assert b"\x07" not in printed


def test_an_error_names_the_file_in_one_line(tmp_path: Path) -> None:
    (tmp_path / f"{EVIL}.mp4").touch()
    printed = vidsr("run", f"{EVIL}.mp4", cwd=tmp_path).decode()
    assert len(printed.splitlines()) == 1
    assert not set(printed) & set("\x1b\x07\r\x9b\u202e"), printed


@pytest.mark.parametrize(("name", "kind"), [("plain.mp4", DecordSampler), ("a\x1b[2J.mp4", PyAVSampler)])
def test_decord_which_prints_names_itself_is_given_no_such_file(
    name: str, kind: type, corpus_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(corpus.make("cfr", corpus_folder).read_bytes())
    index = build_index(path, probe(path), on_frame=lambda _index, _thumbnail: None)
    with open_sampler(path, index.info, index.frames) as sampler:
        assert isinstance(sampler, kind)
