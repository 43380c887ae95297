"""Each runs a process of its own: what is promised is how it ends."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import ctypes, sys, threading, time
from vidsr.errors import Stopped
from vidsr.stopping import end_process, stop_on_signals

def hang():
    # A lock that is taken twice: no signal wakes who waits for it, as in many a native library.
    mutex = ctypes.create_string_buffer(64)
    library = ctypes.CDLL(None)
    library.pthread_mutex_lock(mutex)
    # Said when this thread is sure to be in the call.
    threading.Timer(0.5, print, ["ready"], {"flush": True}).start()
    library.pthread_mutex_lock(mutex)

def wait():
    print("ready", flush=True)
    time.sleep(60)

def clean_up_for_ever():
    try:
        wait()
    finally:
        print("cleaning", flush=True)
        # A call that lets no other thread of Python run.
        ctypes.PyDLL(None).sleep(60)

try:
    with stop_on_signals(grace_seconds=float(sys.argv[2])):
        globals()[sys.argv[1]]()
except Stopped as error:
    print("in good order", flush=True)
    end_process(error)
"""


def start(body: str, *, grace_seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, body, str(grace_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_the_body_in_good_order(number: signal.Signals) -> None:
    with start("wait", grace_seconds=30) as process:
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert output == "in good order\n"
    assert errors == f"vidsr: error: stopped by {number.name}; run the same command again to go on\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_a_native_call_that_never_returns(number: signal.Signals) -> None:
    with start("hang", grace_seconds=30) as process:
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert output == ""
    assert f"stopped by {number.name}" in errors


def test_the_second_signal_ends_a_cleaning_up_that_never_returns() -> None:
    with start("clean_up_for_ever", grace_seconds=30) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "cleaning\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT


def test_a_terminal_gets_its_cursor_back() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "wait", "30"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
    os.close(theirs)
    assert b"\x1b[?25h" in os.read(ours, 4096)
    os.close(ours)


def test_a_process_that_nobody_listens_to_ends_all_the_same() -> None:
    with start("wait", grace_seconds=30) as process:
        assert process.stderr is not None
        process.stderr.close()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    assert process.returncode == 143


def test_a_native_call_that_never_returns_is_ended_after_the_grace() -> None:
    with start("hang", grace_seconds=0.5) as process:
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 143
    assert time.monotonic() - started >= 0.5
    assert "stopped by SIGTERM" in errors
