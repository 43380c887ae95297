"""What several of these tests need: a clip, and XPSR's weights, installed as a user installs them."""

from pathlib import Path

import pytest

from tests import corpus
from tests.e2e.test_bad_input import run_vidsr
from tests.golden.checkpoint import write_checkpoint


@pytest.fixture(scope="session")
def clip(corpus_folder: Path) -> Path:
    """Several shots of a few frames each; some modules have another clip of their own."""
    return corpus.make("cuts", corpus_folder)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed weights of XPSR, small and random, added from the published layout."""
    folder = tmp_path_factory.mktemp("store")
    checkpoint = write_checkpoint(folder / "published")
    models = {"VIDSR_MODELS": str(folder / "models")}
    done = run_vidsr("models", "add", "xpsr", "--from", checkpoint, cwd=folder, more=models)
    assert done.returncode == 0, done.stderr
    return folder / "models"


@pytest.fixture
def installed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDSR_MODELS", str(store))
