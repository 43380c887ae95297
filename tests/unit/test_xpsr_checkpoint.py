"""Loading the published checkpoint: where it is found, that all of it arrives, and what is refused."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.golden.checkpoint import BASE, MINIATURE, XPSR, write_checkpoint
from tests.golden.sets import HERE
from vidsr.errors import CheckpointError, MissingWeightsError
from vidsr.models import xpsr
from vidsr.models.xpsr import base
from vidsr.models.xpsr.checkpoint import CONTROLNET, UNET, XpsrFolders, find_folders

PROMPTS = json.loads((HERE / "loop" / "prompts.json").read_text())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "root")


@pytest.fixture(scope="module")
def recorded() -> dict[str, torch.Tensor]:
    return load_file(HERE / "loop" / "loop.safetensors")


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*.safetensors")))


def _moved(written: Path, root: Path, *, networks: str, base: str) -> Path:
    """Lay the folders out as `networks` and `base` say, relative to `root`."""
    for source, target in ((written / XPSR, root / networks), (written / BASE, root / base)):
        shutil.copytree(source, target, dirs_exist_ok=True)
    return root


LAYOUTS = {
    "published": ("runs/xpsr/checkpoint-300000", "checkpoints/stable-diffusion-v1-5"),
    "side by side": ("xpsr", "stable-diffusion-v1-5"),
    "side by side, numbered": ("xpsr/checkpoint-300000", "stable-diffusion-v1-5"),
    "flat, as vidsr stores it": (".", "."),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_published_layout_is_found(layout: str, written: Path, tmp_path: Path) -> None:
    networks, base_folder = LAYOUTS[layout]
    root = _moved(written, tmp_path, networks=networks, base=base_folder)
    sd = root / base_folder
    assert find_folders(root) == XpsrFolders(
        unet=root / networks / "unet",
        controlnet=root / networks / "controlnet",
        text_encoder=sd / "text_encoder",
        tokenizer=sd / "tokenizer",
        vae=sd / "vae",
        scheduler=sd / "scheduler",
    )


def test_the_two_downloads_may_be_apart(written: Path) -> None:
    folders = find_folders(written / XPSR, base=written / BASE)
    assert folders.unet == written / XPSR / "unet"
    assert folders.vae == written / BASE / "vae"


def test_the_unet_of_stable_diffusion_is_never_taken(written: Path, tmp_path: Path) -> None:
    root = _moved(written, tmp_path, networks="xpsr", base="stable-diffusion-v1-5")
    shutil.copytree(written / XPSR / "unet", root / "stable-diffusion-v1-5" / "unet")
    assert find_folders(root).unet == root / "xpsr" / "unet"
    shutil.rmtree(root / "xpsr" / "unet")
    with pytest.raises(MissingWeightsError, match=r"no unet/config\.json with controlnet/config\.json"):
        find_folders(root)


def test_the_highest_checkpoint_is_taken_and_the_others_are_named(written: Path, tmp_path: Path) -> None:
    for number in ("90000", "300000", "250000"):
        shutil.copytree(written / XPSR, tmp_path / f"checkpoint-{number}")
    shutil.copytree(written / XPSR / "unet", tmp_path / "checkpoint-400000" / "unet")  # without a controlnet
    folders = find_folders(tmp_path, base=written / BASE)
    assert folders.unet.parent.name == "checkpoint-300000"
    assert [path.name for path in folders.passed_over] == ["checkpoint-250000", "checkpoint-90000"]


def test_a_base_that_is_not_whole_is_named(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / BASE / "vae", tmp_path / "vae")
    with pytest.raises(
        MissingWeightsError, match=r"without text_encoder/config\.json, tokenizer/vocab\.json"
    ):
        find_folders(written / XPSR, base=tmp_path)


@pytest.mark.parametrize("as_bin", [False, True], ids=["safetensors", "bin"])
def test_every_weight_of_both_networks_arrives(as_bin: bool, written: Path, tmp_path: Path) -> None:
    root = write_checkpoint(tmp_path / "root", as_bin=True) if as_bin else written
    for load, name in ((xpsr.load_unet, "unet"), (xpsr.load_controlnet, "controlnet")):
        network, given = load(root / XPSR / name), _weights(written / XPSR / name)
        assert set(network.state_dict()) == set(given)
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, given[key]), key
        assert not network.training


def test_networks_are_found_from_any_folder_around_them(written: Path) -> None:
    for folder in (written / XPSR / "unet", written / XPSR, written / "xpsr", str(written)):
        assert isinstance(xpsr.load_unet(folder), xpsr.checkpoint.XpsrUNet)


def test_weights_are_cast_as_they_are_read(written: Path) -> None:
    network = xpsr.load_unet(written, dtype=torch.bfloat16)
    given = _weights(written / XPSR / "unet")
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, given[key].to(torch.bfloat16)), key


def test_a_loaded_network_can_be_changed_and_the_file_stays(written: Path) -> None:
    before = (written / XPSR / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    with torch.no_grad():
        for parameter in xpsr.load_unet(written).parameters():
            parameter.add_(1)
    assert (written / XPSR / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", ["text_encoder", "vae"])
def test_every_weight_of_the_base_arrives(name: str, written: Path) -> None:
    folders = find_folders(written)
    network: nn.Module = base.load_text(folders).encoder if name == "text_encoder" else base.load_vae(folders)
    state = network.state_dict()
    given = {key.removeprefix("text_model."): value for key, value in _weights(written / BASE / name).items()}
    arrived = {key.removeprefix("text_model."): value for key, value in state.items()}
    assert set(arrived) == set(given)
    for key, tensor in arrived.items():
        assert torch.equal(tensor, given[key]), key


def test_priors_are_read_as_by_the_published_code(written: Path, recorded: dict[str, torch.Tensor]) -> None:
    stage = base.load_text(find_folders(written))
    high = f"{PROMPTS['high']} {PROMPTS['added_prompt']}"
    for stream, texts in (
        ("", (PROMPTS["negative"], high)),
        ("lowlevel_", (PROMPTS["low_negative"], PROMPTS["low"])),
    ):
        ids = stage.tokenizer(
            list(texts), padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        names = ("ids.low_neg", "ids.low") if stream else ("ids.high_neg", "ids.high")
        assert torch.equal(ids, torch.cat([recorded[name] for name in names]))
        with torch.no_grad():
            embedded = stage.encoder(ids).last_hidden_state
        # Two versions of transformers with two attention kernels: 1.2e-6 was seen.
        torch.testing.assert_close(embedded, recorded[f"{stream}prompt_embeds_neg_pos"], rtol=0, atol=1e-5)


def test_pictures_are_read_as_by_the_published_code(written: Path, recorded: dict[str, torch.Tensor]) -> None:
    vae = base.load_vae(find_folders(written))
    with torch.no_grad():
        posterior = vae.encode(recorded["vae.enc_in"]).latent_dist
    torch.testing.assert_close(posterior.mean, recorded["vae.mean"], rtol=0, atol=1e-5)
    torch.testing.assert_close(posterior.std, recorded["vae.std"], rtol=0, atol=1e-5)


def _change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_position_numbers_of_old_files_are_no_weights(written: Path, tmp_path: Path) -> None:
    root = shutil.copytree(written, tmp_path / "root")
    positions = torch.arange(77)[None]
    _change(
        root / BASE / "text_encoder" / "model.safetensors",
        lambda state: state.update({"text_model.embeddings.position_ids": positions}),
    )
    encoder = base.load_text(find_folders(root)).encoder
    numbered = [buffer for name, buffer in encoder.named_buffers() if name.endswith("position_ids")]
    assert len(numbered) == 1
    assert torch.equal(numbered[0], positions)


def test_old_names_of_the_autoencoders_attention_are_known(written: Path, tmp_path: Path) -> None:
    root = shutil.copytree(written, tmp_path / "root")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(state: dict[str, Any]) -> None:
        for name in [name for name in state if ".attentions.0.to_" in name]:
            new = next(key for key in old if f".{key}." in name)
            state[name.replace(f".{new}.", f".{old[new]}.")] = state.pop(name)

    _change(root / BASE / "vae" / "diffusion_pytorch_model.safetensors", rename)
    assert not any(".to_q." in name for name in _weights(root / BASE / "vae"))
    expected, loaded = (base.load_vae(find_folders(folder)).state_dict() for folder in (written, root))
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())


def _no(names: list[str]) -> Callable[[dict[str, Any]], None]:
    def drop(state: dict[str, Any]) -> None:
        for name in names:
            del state[name]

    return drop


FAULTS = {
    r"2 missing, first conv_in\.bias, conv_out\.bias$": _no(["conv_in.bias", "conv_out.bias"]),
    r"1 not known, first extra\.weight$": lambda state: state.update({"extra.weight": torch.zeros(1)}),
    r"1 of another shape, first conv_in\.bias \[3\] \(wanted \[32\]\)$": lambda state: state.update(
        {"conv_in.bias": torch.zeros(3)}
    ),
}


@pytest.mark.parametrize("words", FAULTS)
def test_weights_that_do_not_fit_are_refused(words: str, written: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(written / XPSR / "unet", tmp_path / "unet")
    _change(folder / "diffusion_pytorch_model.safetensors", FAULTS[words])
    for refuse in (xpsr.load_unet, UNET.check):
        with pytest.raises(CheckpointError, match=rf"unet/diffusion_pytorch_model\.safetensors: .*{words}"):
            refuse(folder)


def test_a_config_that_xpsr_has_not_is_refused(written: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(written / XPSR / "controlnet", tmp_path / "controlnet")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"use_rrdb": True}))
    with pytest.raises(CheckpointError, match="use_rrdb"):
        CONTROLNET.check(folder)


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_bin_file_is_not_run(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unet"
    folder.mkdir()
    shutil.copy(written / XPSR / "unet" / "config.json", folder)
    sprung = tmp_path / "sprung"
    for write in (torch.save, lambda value, path: Path(path).write_bytes(pickle.dumps(value, protocol=2))):
        write({"conv_in.bias": _Trap(sprung)}, folder / "diffusion_pytorch_model.bin")
        with pytest.raises(CheckpointError, match=r"model\.bin: holds more than tensors"):
            xpsr.load_unet(folder)
        assert not sprung.exists()


def test_a_file_cut_short_is_refused(written: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(written / XPSR / "unet", tmp_path / "unet")
    path = folder / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be read as tensors"):
        xpsr.load_unet(folder)


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(
        MissingWeightsError, match=r"no weights; wanted diffusion_pytorch_model\.safetensors or"
    ):
        xpsr.load_unet(MINIATURE / XPSR / "unet")


def test_a_tokenizer_without_its_words_is_refused(written: Path, tmp_path: Path) -> None:
    root = shutil.copytree(written, tmp_path / "root")
    (root / BASE / "tokenizer" / "merges.txt").unlink()
    with pytest.raises(MissingWeightsError, match=r"wanted vocab\.json and merges\.txt"):
        base.load_tokenizer(find_folders(root))


def test_a_tokenizer_of_another_encoder_is_refused(written: Path, tmp_path: Path) -> None:
    root = shutil.copytree(written, tmp_path / "root")
    path = root / BASE / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 49408}))
    with pytest.raises(CheckpointError, match=r"537 words, but .* was trained on 49408"):
        base.load_tokenizer(find_folders(root))


def test_clean_latents_are_never_clipped(written: Path, tmp_path: Path) -> None:
    root = shutil.copytree(written, tmp_path / "root")
    path = root / BASE / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    del config["clip_sample"]
    path.write_text(json.dumps(config))
    assert base.scheduler_config(find_folders(root)) == {**config, "clip_sample": False}


def test_a_schedule_of_another_prediction_is_refused(written: Path, tmp_path: Path) -> None:
    root = shutil.copytree(written, tmp_path / "root")
    path = root / BASE / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "v_prediction"}))
    with pytest.raises(CheckpointError, match="prediction_type v_prediction"):
        base.scheduler_config(find_folders(root))
