import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.tiny_llava import write_llava
from vidsr.errors import MissingWeightsError
from vidsr.models import model_folder


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "llava"))


def test_a_folder_is_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_folder.find(str(folder)) == folder
    monkeypatch.setenv("HOME", str(folder.parent))
    assert model_folder.find("~/llava") == folder


def test_an_id_is_looked_for_in_the_local_cache_alone(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="get it with `vidsr models pull someone/tiny-llava`"):
        model_folder.find("someone/tiny-llava")
    repository = tmp_path / "models--someone--tiny-llava"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abcd")
    shutil.copytree(original, repository / "snapshots" / "0123abcd")
    found = model_folder.find("someone/tiny-llava")
    assert model_folder.digest_of(found) == model_folder.digest_of(original)


@pytest.mark.parametrize("name", ["/nowhere/llava", "./llava", "a/b/c", "llava", "~/nothing", "/x"])
def test_a_folder_that_is_not_there_is_not_taken_for_an_id(name: str) -> None:
    with pytest.raises(MissingWeightsError, match="no such folder; give the folder of a model, or an id"):
        model_folder.find(name)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(MissingWeightsError, match=f"llava: {name} is missing"):
        model_folder.find(str(folder))


def test_a_part_of_the_weights_that_was_not_copied_is_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(MissingWeightsError, match=r"model-00002-of-00002\.safetensors is missing"):
        model_folder.find(str(folder))
    (folder / shards["b"]).write_bytes(b"")
    assert model_folder.find(str(folder)) == folder
    index.write_text("[]")
    with pytest.raises(MissingWeightsError, match="not the index of a model's files"):
        model_folder.find(str(folder))


def test_the_digest_is_of_what_the_model_is_made_of(folder: Path, original: Path) -> None:
    digest = model_folder.digest_of(original)
    (folder / "README.md").write_text("Lies elsewhere.")
    (folder / "manifest.json").write_text("{}")
    assert model_folder.digest_of(folder) == digest
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before[:-1] + b" ")
        assert model_folder.digest_of(folder) != digest, name
        (folder / name).write_bytes(before)
    (folder / "special_tokens_map.json").write_text("{}")
    assert model_folder.digest_of(folder) != digest


def test_other_weights_of_the_same_size_have_another_digest(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks so small that the weights are sampled, as those of a real model are.
    monkeypatch.setattr(model_folder, "BLOCK_BYTES", 64)
    monkeypatch.setattr(model_folder, "NUM_BLOCKS", 16)
    trained = write_llava(tmp_path / "trained", seed=1)
    sizes = {(path / "model.safetensors").stat().st_size for path in (original, trained)}
    assert len(sizes) == 1
    assert model_folder.digest_of(original) != model_folder.digest_of(trained)
    for place in (0, -1):
        copy = Path(shutil.copytree(original, tmp_path / str(place)))
        content = bytearray((copy / "model.safetensors").read_bytes())
        content[place] ^= 1
        (copy / "model.safetensors").write_bytes(content)
        assert model_folder.digest_of(copy) != model_folder.digest_of(original), "an end is not looked at"
