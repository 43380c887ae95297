"""The store: a model appears whole or not at all, stays what it was, and a missing one says how to get it."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.golden.checkpoint import BASE, XPSR, write_checkpoint
from tests.tiny_llava import split, write_llava
from vidsr.cli import app
from vidsr.errors import (
    CheckpointError,
    DiskFullError,
    MissingWeightsError,
    OutputExistsError,
    UnwritableError,
    UsageError,
)
from vidsr.models import install, store
from vidsr.models.xpsr.base import load_text, load_vae, scheduler_config
from vidsr.models.xpsr.checkpoint import find_folders, load_controlnet, load_unet

NETWORKS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "controlnet": "controlnet/diffusion_pytorch_model.safetensors",
    "text_encoder": "text_encoder/model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "root")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDSR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def _given(written: Path) -> dict[str, dict[str, torch.Tensor]]:
    folders = find_folders(written)
    return {
        "unet": load_file(folders.unet / "diffusion_pytorch_model.safetensors"),
        "controlnet": load_file(folders.controlnet / "diffusion_pytorch_model.safetensors"),
        "text_encoder": load_file(folders.text_encoder / "model.safetensors"),
        "vae": load_file(folders.vae / "diffusion_pytorch_model.safetensors"),
    }


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vidsr", "models", *words], capture_output=True, text=True, check=False
    )


def _names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def test_the_store_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDSR_MODELS", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert store.root() == Path("/home/someone/.local/share/vidsr/models")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert store.root() == Path("/data/vidsr/models")
    monkeypatch.setenv("VIDSR_MODELS", "~/mine")
    assert store.root() == Path("/home/someone/mine")


def test_an_added_model_is_located_and_loads(written: Path, root: Path) -> None:
    added = install.add("xpsr", written)
    located = store.locate("xpsr", kind="xpsr")
    assert located == added.model == store.installed()[0]
    assert (located.path, located.dtype, located.sources) == (root / "xpsr", "float32", (str(written),))
    folders = find_folders(located.path)
    assert folders.unet == root / "xpsr" / "unet"
    load_unet(located.path)
    load_controlnet(located.path)
    load_text(folders)
    load_vae(folders)
    assert scheduler_config(folders) == scheduler_config(find_folders(written))


def test_the_manifest_has_the_digest_of_every_file_and_the_source(written: Path, root: Path) -> None:
    install.add("xpsr", written)
    manifest = json.loads((root / "xpsr" / "manifest.json").read_text())
    there = [path for path in (root / "xpsr").rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert manifest["sources"] == [str(written)]
    assert manifest["files"] == {
        path.relative_to(root / "xpsr").as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size_bytes": path.stat().st_size,
        }
        for path in there
    }
    assert set(NETWORKS.values()) < set(manifest["files"])


def test_the_two_downloads_are_added_together(written: Path, root: Path) -> None:
    model = install.add("xpsr", written / XPSR, base=str(written / BASE)).model
    assert model.sources == (str(written / XPSR), str(written / BASE))
    assert store.verify("xpsr") == model


@pytest.mark.parametrize("as_bin", [False, True], ids=["safetensors", "bin"])
def test_every_tensor_is_stored_as_it_was(as_bin: bool, written: Path, root: Path, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "bin", as_bin=True) if as_bin else written
    install.add("xpsr", source)
    for name, given in _given(written).items():
        stored = load_file(root / "xpsr" / NETWORKS[name])
        assert set(stored) == set(given)
        assert all(torch.equal(stored[key], tensor) for key, tensor in given.items())
    assert not list(root.rglob("*.bin"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_are_stored_in_the_dtype_that_was_asked_for(dtype, written: Path, root: Path) -> None:
    model = install.add("xpsr", written, dtype=dtype).model
    assert model.dtype == dtype
    for name, given in _given(written).items():
        stored = load_file(root / "xpsr" / NETWORKS[name])
        assert all(
            torch.equal(stored[key], tensor.to(getattr(torch, dtype))) for key, tensor in given.items()
        )
    load_unet(model.path)


def test_equal_weights_have_one_digest(written: Path, root: Path, tmp_path: Path) -> None:
    before = install.add("xpsr", written).model.digest
    apart = install.add("xpsr", written / XPSR, base=str(written / BASE), overwrite=True).model
    assert apart.digest == before
    assert install.add("xpsr", written, dtype="float16", overwrite=True).model.digest != before


def test_an_installed_model_is_not_replaced_unasked(written: Path, root: Path) -> None:
    before = install.add("xpsr", written).model
    with pytest.raises(OutputExistsError, match="pass --overwrite"):
        install.add("xpsr", written, dtype="float16")
    assert store.verify("xpsr") == before
    assert install.add("xpsr", written, dtype="float16", overwrite=True).model == store.verify("xpsr")
    assert _names(root) == ["xpsr"]


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "over another"])
def test_a_model_that_does_not_fit_leaves_everything_as_it_was(
    overwrite: bool, written: Path, root: Path, tmp_path: Path
) -> None:
    before = install.add("xpsr", written).model if overwrite else None
    faulty = shutil.copytree(written, tmp_path / "faulty")
    path = faulty / XPSR / NETWORKS["controlnet"]
    state = load_file(path)
    del state["conv_degradation.3.0.bias"]
    save_file(state, path)
    with pytest.raises(CheckpointError, match=r"controlnet/.*1 missing, first conv_degradation\.3\.0\.bias"):
        install.add("xpsr", faulty, overwrite=overwrite)
    assert _names(root) == (["xpsr"] if overwrite else [])
    if before is not None:
        assert store.verify("xpsr") == before


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("fault", ["missing", "not known", "of another shape"])
def test_every_key_and_shape_of_every_network_is_checked(
    fault: str, network: str, written: Path, root: Path, tmp_path: Path
) -> None:
    faulty = shutil.copytree(written, tmp_path / "faulty")
    (path,) = faulty.rglob(NETWORKS[network])
    state = load_file(path)
    name = max(state)
    if fault == "missing":
        del state[name]
    elif fault == "not known":
        state[f"{name}.more"] = torch.zeros(1)
    else:
        state[name] = torch.zeros(*state[name].shape, 2)
    save_file(state, path)
    with pytest.raises(CheckpointError, match=rf"{path}: does not fit \w+: 1 {fault}, first [\w.]+"):
        install.add("xpsr", faulty)
    assert _names(root) == []


class _Trap:
    """What a hostile file of weights holds: it runs when it is read as pickles are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (self.path,))


def test_a_bin_file_runs_nothing(written: Path, root: Path, tmp_path: Path) -> None:
    hostile = write_checkpoint(tmp_path / "bin", as_bin=True)
    path = hostile / XPSR / "unet" / "diffusion_pytorch_model.bin"
    sprung = tmp_path / "sprung"
    torch.save(torch.load(path, weights_only=True) | {"trap": _Trap(sprung)}, path)
    with pytest.raises(CheckpointError, match=rf"{path}: .* may run code, so it is not opened"):
        install.add("xpsr", hostile)
    assert not sprung.exists()
    assert _names(root) == []
    torch.load(path, weights_only=False)
    assert sprung.exists(), "the trap would not have sprung"


def test_numbers_too_large_for_half_precision_are_refused_and_nothing_stays(
    written: Path, root: Path, tmp_path: Path
) -> None:
    large = shutil.copytree(written, tmp_path / "large")
    path = large / XPSR / NETWORKS["unet"]
    state = load_file(path)
    state["conv_in.bias"][3] = 1e5
    save_file(state, path)
    with pytest.raises(CheckpointError, match=r"conv_in\.bias has 1e\+05, too large for float16"):
        install.add("xpsr", large, dtype="float16")
    assert _names(root) == []
    assert install.add("xpsr", large, dtype="bfloat16").model == store.verify("xpsr")


def test_the_checkpoint_that_was_taken_is_said(written: Path, root: Path, tmp_path: Path) -> None:
    for number in (1000, 2000):
        shutil.copytree(written / XPSR, tmp_path / f"checkpoint-{number}")
    added = install.add("xpsr", tmp_path, base=str(written / BASE))
    assert added.notes == (
        f"took {tmp_path / 'checkpoint-2000'}, the highest number; passed over checkpoint-1000",
    )


def test_a_base_is_stored_once_and_found_by_its_id(written: Path, root: Path) -> None:
    base = install.add(store.BASE_ID, written / BASE).model
    assert (base.kind, base.path.name) == ("base", store.BASE_ID.replace("/", "--"))
    model = install.add("xpsr", written / XPSR, base=store.BASE_ID).model
    assert model.digest == install.add("xpsr", written, overwrite=True).model.digest
    with pytest.raises(MissingWeightsError, match="is a model of kind base; wanted one of kind mllm"):
        store.locate(store.BASE_ID, kind="mllm")


def test_xpsr_without_its_base_says_what_is_missing(written: Path, root: Path) -> None:
    with pytest.raises(MissingWeightsError, match=rf"name its folder, or {store.BASE_ID}, as the base"):
        install.add("xpsr", written / XPSR)
    with pytest.raises(MissingWeightsError, match="no such folder, and no id of the hub"):
        install.add("xpsr", written / XPSR, base="nowhere")


def test_a_missing_model_says_the_command_that_gets_it(root: Path) -> None:
    command = rf"vidsr models add xpsr --from FOLDER --base {store.BASE_ID} "
    with pytest.raises(MissingWeightsError, match=command):
        store.locate("xpsr")
    with pytest.raises(MissingWeightsError, match=r"vidsr models pull llava-hf/llava-1\.5-7b-hf$"):
        store.locate("llava-hf/llava-1.5-7b-hf")


@pytest.mark.parametrize("name", ["", "..", "../xpsr", "a/b/c", "/etc", ".hidden", "a--b", "a/..", "x y"])
def test_a_name_cannot_leave_the_store(name: str, root: Path) -> None:
    with pytest.raises(UsageError, match="no name for a model"):
        store.folder_of(name)


def test_a_changed_byte_is_found_and_named(written: Path, root: Path) -> None:
    install.add("xpsr", written)
    path = root / "xpsr" / NETWORKS["vae"]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        MissingWeightsError, match=rf"xpsr is damaged: {path} \(1 of 13 files\).* --overwrite"
    ):
        store.verify("xpsr")
    result = _run("verify")
    assert (result.returncode, result.stdout) == (5, "")
    assert str(path) in result.stderr


def test_a_file_cut_short_is_found_without_reading_it(written: Path, root: Path) -> None:
    install.add("xpsr", written)
    path = root / "xpsr" / NETWORKS["unet"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MissingWeightsError, match=rf"damaged: {path}"):
        store.locate("xpsr")


def test_a_foreign_file_is_found(written: Path, root: Path) -> None:
    install.add("xpsr", written)
    (root / "xpsr" / "tokenizer" / "tokenizer.json").write_text("{}")
    with pytest.raises(
        MissingWeightsError, match=r"tokenizer/tokenizer\.json did not come with xpsr; remove it"
    ):
        store.verify("xpsr")


def test_a_manifest_of_another_format_is_refused(written: Path, root: Path) -> None:
    install.add("xpsr", written)
    path = root / "xpsr" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "vidsr-model/9"}))
    for look in (lambda: store.locate("xpsr"), store.installed, store.verify_all):
        with pytest.raises(MissingWeightsError, match="vidsr-model/9"):
            look()


def test_a_manifest_that_was_edited_is_found(written: Path, root: Path) -> None:
    install.add("xpsr", written)
    path = root / "xpsr" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": "0" * 64}))
    with pytest.raises(MissingWeightsError, match=r"damaged: .*manifest\.json"):
        store.verify("xpsr")


def test_a_store_that_cannot_be_written_is_named(written: Path, root: Path) -> None:
    root.write_text("a file where the folder would be")
    with pytest.raises(UnwritableError, match=r"models/xpsr: cannot be written"):
        install.add("xpsr", written)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llava(tmp_path_factory.mktemp("llava"))


def _copy(llava: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llava, tmp_path / "llava"))


@pytest.mark.parametrize("as_bin", [False, True], ids=["safetensors", "bin"])
def test_a_language_model_keeps_its_shards(as_bin: bool, llava: Path, root: Path, tmp_path: Path) -> None:
    source = split(_copy(llava, tmp_path), as_bin=as_bin)
    (source / "modeling_llava.py").write_text("raise SystemExit")
    model = install.add("some/llava", source, dtype="float16").model
    assert (model.kind, model.dtype, model.path) == ("mllm", "float16", root / "some--llava")
    given = load_file(llava / "model.safetensors")
    index = json.loads((model.path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(given)
    assert index["metadata"]["total_size"] == sum(2 * tensor.numel() for tensor in given.values())
    for name, tensor in given.items():
        assert torch.equal(load_file(model.path / index["weight_map"][name])[name], tensor.half())
    assert not {path.suffix for path in model.path.iterdir()} & {".bin", ".py"}
    assert store.verify("some/llava") == model


def test_a_shard_that_lacks_a_tensor_is_refused(llava: Path, root: Path, tmp_path: Path) -> None:
    source = split(_copy(llava, tmp_path))
    path = source / "model-00002-of-00002.safetensors"
    state = load_file(path)
    del state[max(state)]
    save_file(state, path)
    with pytest.raises(
        CheckpointError, match=r"00002\.safetensors: 1 tensors differ from the index, first vision_tower"
    ):
        install.add("some/llava", source)


@pytest.mark.parametrize("place", ["../../elsewhere.safetensors", "/etc/passwd", "code.py", 3])
def test_an_index_cannot_name_files_elsewhere(place: object, llava: Path, root: Path, tmp_path: Path) -> None:
    source = split(_copy(llava, tmp_path))
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": place}}))
    with pytest.raises(CheckpointError, match="wanted a weight_map from tensors to files beside it"):
        install.add("some/llava", source)


def test_a_model_that_reads_no_pictures_is_refused(root: Path, written: Path) -> None:
    with pytest.raises(CheckpointError, match="clip_text_model is none that reads a picture"):
        install.add("some/encoder", written / BASE / "text_encoder")


def test_a_folder_without_a_model_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"neither XPSR \(unet/ and controlnet/\), nor"):
        install.add("some/thing", tmp_path)
    with pytest.raises(MissingWeightsError, match="no such folder"):
        install.add("xpsr", tmp_path / "nowhere")


def test_a_disk_too_small_is_said_before_anything_is_written(llava: Path, root: Path, tmp_path: Path) -> None:
    source = _copy(llava, tmp_path)
    (source / "model.safetensors").unlink()
    num_bytes = 2**32
    num_shards = shutil.disk_usage(tmp_path).free // num_bytes + 2
    places = {f"part{number}": f"model-{number}.safetensors" for number in range(num_shards)}
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    for name, place in places.items():
        entry = {"dtype": "U8", "shape": [num_bytes], "data_offsets": [0, num_bytes]}
        header = json.dumps({name: entry}).encode()
        with (source / place).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + num_bytes)  # sparse: a copy would fill the disk, this does not
    with pytest.raises(DiskFullError, match=r"models: \d+\.\d GB are needed and \d+\.\d GB are free"):
        install.add("some/llava", source)
    assert _names(root) == []


def test_the_commands_say_what_they_did(written: Path, root: Path) -> None:
    added = _run("add", "xpsr", "--from", str(written), "--dtype", "bfloat16")
    assert (added.returncode, added.stderr) == (0, "")
    model = store.locate("xpsr")
    assert (
        added.stdout
        == f"xpsr: xpsr, bfloat16, 0.02 GB, {model.digest[:16]}, {root / 'xpsr'}\n  from {written}\n"
    )
    assert _run("list").stdout == added.stdout
    assert json.loads(_run("list", "--json").stdout)[0]["digest"] == model.digest
    assert _run("verify", "xpsr").stdout == "xpsr: 13 files are as they were installed\n"
    assert _run("path", "xpsr").stdout == f"{root / 'xpsr'}\n"
    assert _run("path").stdout == f"{root}\n"


def test_a_store_without_models_says_so_and_how_to_get_one(root: Path) -> None:
    said = f"no model is installed in {root}\nxpsr: get it with: vidsr models add xpsr --from FOLDER"
    assert _run("list").stdout.startswith(said)
    verified = _run("verify")
    assert (verified.returncode, verified.stdout) == (0, _run("list").stdout)
    assert json.loads(_run("list", "--json").stdout) == []


def test_the_command_that_a_missing_model_names_installs_it(written: Path, root: Path) -> None:
    install.add(store.BASE_ID, written / BASE)  # so that no network is asked
    missing = _run("path", "xpsr")
    assert (missing.returncode, missing.stdout) == (5, "")
    command = re.search(r"get it with: vidsr models (add xpsr .*) \(FOLDER: ", missing.stderr)
    assert command is not None
    words = [str(written) if word == "FOLDER" else word for word in command[1].split()]
    assert app(["models", *words], standalone_mode=False) == 0
    assert _run("path", "xpsr").stdout == f"{root / 'xpsr'}\n"


def test_exit_codes_of_the_commands(written: Path, root: Path) -> None:
    assert _run("path", "../etc").returncode == 2
    assert _run("add", "xpsr", "--from", str(written), "--dtype", "float8").returncode == 2
    assert _run("add", "xpsr", "--from", str(written / XPSR)).returncode == 5
    assert _run().returncode == 2
