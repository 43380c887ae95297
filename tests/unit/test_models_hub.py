"""Downloads: only what belongs to a model, whole, and with the right error where that fails."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from huggingface_hub import constants

from tests.golden.checkpoint import BASE, XPSR, write_checkpoint
from tests.hub_server import COMMIT, Hub, serve
from tests.tiny_llava import write_llava
from vidsr.errors import CheckpointError, MissingWeightsError, OutputExistsError, TransientError, UsageError
from vidsr.models import install, model_folder, store
from vidsr.models.vision_language import VisionLanguageModel
from vidsr.models.xpsr.base import load_text, load_vae
from vidsr.models.xpsr.checkpoint import find_folders, load_controlnet, load_unet

LLAVA = "some/llava"
XPSR_ID = "some/xpsr"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "root")


@pytest.fixture(scope="module")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def hub(written: Path, tiny_llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the base, XPSR in a numbered checkpoint, and a language model; and an empty store."""
    llava = shutil.copytree(tiny_llava, tmp_path / "llava")
    (llava / "modeling_llava.py").write_text("raise SystemExit")
    (llava / "training_args.bin").write_bytes(b"a pickle")
    base = shutil.copytree(written / BASE, tmp_path / "base")
    (base / "v1-5-pruned.ckpt").write_bytes(b"a pickle")
    shutil.copytree(written / XPSR / "unet", base / "unet")
    shutil.copyfile(
        base / "vae" / "config.json", base / "vae" / "diffusion_pytorch_model.bin"
    )  # a second choice
    with serve() as server:
        server.repositories = {store.BASE_ID: base, XPSR_ID: written / "xpsr", LLAVA: llava}
        _point_at(server.endpoint, monkeypatch)
        monkeypatch.setenv("VIDSR_MODELS", str(tmp_path / "models"))
        yield server


def _point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what HF_ENDPOINT does, which is read once, at the import; no test may ask the true hub."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )


def _names() -> list[str]:
    return sorted(path.name for path in store.root().iterdir()) if store.root().exists() else []


def test_a_language_model_is_pulled_under_its_id(hub: Hub) -> None:
    model = install.pull(LLAVA).model
    assert model == store.verify(LLAVA) == store.locate(LLAVA, kind="mllm")
    assert model.sources == (f"hub:{LLAVA}@{COMMIT}",)
    given = hub.repositories[LLAVA] / "model.safetensors"
    assert (model.path / "model.safetensors").read_bytes() == given.read_bytes()


def test_only_what_belongs_to_a_model_is_downloaded(hub: Hub) -> None:
    install.pull(LLAVA)
    assert sorted(hub.fetched) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    hub.fetched.clear()
    install.pull(store.BASE_ID)
    large = [name for name in hub.fetched if not name.endswith((".json", ".txt"))]
    assert sorted(large) == ["text_encoder/model.safetensors", "vae/diffusion_pytorch_model.safetensors"]


def test_nothing_of_a_download_is_left_beside_the_model(hub: Hub) -> None:
    install.pull(LLAVA)
    assert _names() == [".downloads", "some--llava"]
    assert list((store.root() / ".downloads").iterdir()) == []


def test_xpsr_is_pulled_with_its_base(hub: Hub, written: Path) -> None:
    model = install.pull(XPSR_ID, base=store.BASE_ID).model
    assert model == store.verify("xpsr")
    assert model.sources == (f"hub:{XPSR_ID}@{COMMIT}", f"hub:{store.BASE_ID}@{COMMIT}")
    assert model.digest == install.add("xpsr", written, overwrite=True).model.digest


def test_a_downloaded_xpsr_is_added_to_a_base_of_the_hub(hub: Hub, written: Path) -> None:
    model = install.add("xpsr", written / XPSR, base=store.BASE_ID).model
    assert model.sources == (str(written / XPSR), f"hub:{store.BASE_ID}@{COMMIT}")
    assert not any(name.startswith("unet/diffusion") for name in hub.fetched)


def test_a_base_that_is_installed_needs_no_network(hub: Hub, written: Path) -> None:
    install.pull(store.BASE_ID)
    hub.requests.clear()
    install.add("xpsr", written / XPSR, base=store.BASE_ID)
    assert hub.requests == []


def test_weights_are_cast_on_their_way(hub: Hub) -> None:
    assert install.pull(LLAVA, dtype="bfloat16").model.dtype == "bfloat16"


def test_a_download_cut_short_installs_nothing_and_the_next_one_fetches_what_is_missing(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the hub's client's own attempts
    hub.cut = "model.safetensors"
    with pytest.raises(TransientError, match=r"some/llava: the download failed .*; try again"):
        install.pull(LLAVA)
    assert _names() == [".downloads"]
    assert store.installed() == []
    hub.cut = None
    hub.fetched.clear()
    assert install.pull(LLAVA).model == store.verify(LLAVA)
    assert hub.fetched == ["model.safetensors"]


def test_bytes_that_are_not_those_announced_are_refused(hub: Hub) -> None:
    hub.lies = True
    with pytest.raises(TransientError, match=r"some/llava: model\.safetensors did not arrive whole"):
        install.pull(LLAVA)
    assert _names() == [".downloads"]
    hub.lies = False
    assert install.pull(LLAVA).model == store.verify(LLAVA)


def test_a_hub_that_fails_may_be_asked_again(hub: Hub) -> None:
    hub.status = 500
    with pytest.raises(TransientError, match="some/llava: the download failed"):
        install.pull(LLAVA)


def test_a_network_that_is_not_there_may_be_asked_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        _point_at(f"http://127.0.0.1:{closed.getsockname()[1]}", monkeypatch)
        with pytest.raises(TransientError, match=r"some/llava: the download failed \(ConnectError"):
            install.pull(LLAVA)


def test_what_the_hub_has_not_is_missing(hub: Hub) -> None:
    with pytest.raises(MissingWeightsError, match="some/thing: no such model on the hub"):
        install.pull("some/thing")
    with pytest.raises(MissingWeightsError, match="the hub has no such revision"):
        install.pull(LLAVA, revision="v9")
    hub.gated = True
    with pytest.raises(MissingWeightsError, match="accept its terms first"):
        install.pull(LLAVA)


def test_a_file_that_is_listed_and_not_there_is_missing(hub: Hub) -> None:
    hub.absent = "model.safetensors"
    with pytest.raises(MissingWeightsError, match="some/llava: the hub refused with status 404"):
        install.pull(LLAVA)
    assert store.installed() == []


def test_an_offline_machine_is_not_asked_to_try_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingWeightsError, match="HF_HUB_OFFLINE forbids the download"):
        install.pull(LLAVA)


def test_what_is_installed_is_not_downloaded_again(hub: Hub) -> None:
    install.pull(LLAVA)
    hub.requests.clear()
    with pytest.raises(OutputExistsError, match="pass --overwrite"):
        install.pull(LLAVA)
    assert hub.requests == []


def test_a_model_that_does_not_fit_is_not_installed(hub: Hub) -> None:
    (hub.repositories[LLAVA] / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match="model_type bert is none that reads a picture"):
        install.pull(LLAVA)
    assert store.installed() == []


def test_a_word_is_no_id(hub: Hub) -> None:
    with pytest.raises(UsageError, match="xpsr: no id of the hub"):
        install.pull("xpsr")


def test_installed_models_need_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    install.pull(LLAVA)
    xpsr = install.pull(XPSR_ID, base=store.BASE_ID).model

    def connect(*words: object) -> NoReturn:
        pytest.fail(f"a connection to {words}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    llava = model_folder.find(LLAVA)
    asked = VisionLanguageModel.load(llava, device="cpu", dtype="float32", max_new_tokens=2)
    assert len(asked.answers([np.zeros((3, 32, 32), dtype=np.uint8)], "What is seen?")) == 1
    folders = find_folders(xpsr.path)
    load_unet(xpsr.path)
    load_controlnet(xpsr.path)
    load_text(folders)
    load_vae(folders)
    assert len(store.verify_all()) == 2


def test_a_pull_that_is_stopped_ends_at_once_and_the_next_one_completes(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "120")  # a stop that waited for the network would not end
    command = [sys.executable, "-m", "vidsr", "models", "pull", LLAVA]
    hub.held = "model.safetensors"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while hub.held not in hub.fetched and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("vidsr: error: stopped by SIGINT; run the same command again to go on\n")
    assert store.installed() == []
    hub.held = None
    hub.fetched.clear()
    pulled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert pulled.returncode == 0
    assert pulled.stdout.startswith("some/llava: mllm, float32, ")
    assert hub.fetched == ["model.safetensors"]
    assert store.verify(LLAVA).name == LLAVA
