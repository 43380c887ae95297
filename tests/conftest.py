"""What every test shares: random state is put back, and an unexpected logged error fails the test."""

import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

# Tests work on small tensors, where threads that meet after every operation cost more than they give; on a
# busy machine thirty times as much. Set before torch is imported; subprocesses inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _random_state_is_put_back() -> Iterator[None]:
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    yield
    random.setstate(state)
    np.random.set_state(numpy_state)  # noqa: NPY002


@pytest.fixture(autouse=True)
def _no_unexpected_error_is_logged(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> Iterator[None]:
    yield
    errors = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    if errors and "expects_logged_errors" not in request.fixturenames:
        pytest.fail(f"an error was logged: {errors[0]}")


@pytest.fixture
def expects_logged_errors() -> None:
    """Ask for this where a logged error is part of the promise."""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("VIDSR_") and "__" in name:
            monkeypatch.delenv(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        if os.environ.get("VIDSR_REQUIRE_GPU") == "1":
            pytest.fail("VIDSR_REQUIRE_GPU=1 and there is no CUDA device")
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests/corpus puts the inputs it makes, once a session."""
    return tmp_path_factory.mktemp("corpus")
