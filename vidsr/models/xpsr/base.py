"""What XPSR uses of Stable Diffusion 1.5: the text encoder, the tokenizer, the autoencoder, the scheduler."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from vidsr.errors import CheckpointError, MissingWeightsError
from vidsr.models.component import CONFIG, Component, read_json
from vidsr.models.xpsr.checkpoint import SCHEDULER_CONFIG, BaseFolders

_POSITIONS = "position_ids"
_PREFIX = "text_model."
# Names of the autoencoder's attention in files from before diffusers 0.18, as the hub has them, and today's.
_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD_ATTENTION = re.compile(rf"(?<=\.attentions\.0\.)({'|'.join(_RENAMED)})(?=\.(weight|bias)$)")


def _build_encoder(config: Mapping[str, Any]) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig.from_dict(dict(config)))


def _encoder_key(name: str, wanted: Collection[str]) -> str | None:
    if name.endswith(f".{_POSITIONS}"):
        return None  # a buffer that files of transformers 4 hold; it counts 0, 1, 2
    # All names begin with text_model. in files of transformers 4, and none in its own today.
    bare = name.removeprefix(_PREFIX)
    return bare if bare in wanted else _PREFIX + bare


def _number_positions(encoder: CLIPTextModel) -> None:
    for module in encoder.modules():
        if _POSITIONS in dict(module.named_buffers(recurse=False)):
            count = encoder.config.max_position_embeddings
            module.register_buffer(_POSITIONS, torch.arange(count)[None], persistent=False)


def _build_autoencoder(config: Mapping[str, Any]) -> AutoencoderKL:
    autoencoder: AutoencoderKL = AutoencoderKL.from_config(dict(config))
    return autoencoder


def _autoencoder_key(name: str, wanted: Collection[str]) -> str | None:
    del wanted
    return _OLD_ATTENTION.sub(lambda match: _RENAMED[match[1]], name)


TEXT_ENCODER = Component(
    file_names=("model.safetensors", "pytorch_model.bin"),
    build=_build_encoder,
    key_of=_encoder_key,
    fill_buffers=_number_positions,
)
AUTOENCODER = Component(
    file_names=("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
    build=_build_autoencoder,
    key_of=_autoencoder_key,
)


class TextStage(NamedTuple):
    """From words to what the networks read."""

    tokenizer: CLIPTokenizer
    encoder: CLIPTextModel


def load_text(
    folders: BaseFolders, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> TextStage:
    """Return the tokenizer and the text encoder.

    Raises:
        MissingWeightsError, CheckpointError: naming the file.
    """
    encoder = TEXT_ENCODER.load(folders.text_encoder, dtype=dtype, device=device)
    return TextStage(load_tokenizer(folders), encoder)


def load_tokenizer(folders: BaseFolders) -> CLIPTokenizer:
    """Return the tokenizer, with the vocabulary and the length that the text encoder was trained on.

    Raises:
        MissingWeightsError, CheckpointError: naming the folder.
    """
    names = {path.name for path in folders.tokenizer.glob("*")}
    # Without these files transformers makes a tokenizer of three words, and says nothing.
    if not ({"vocab.json", "merges.txt"} <= names or "tokenizer.json" in names):
        msg = f"{folders.tokenizer}: wanted vocab.json and merges.txt, or tokenizer.json"
        raise MissingWeightsError(msg)
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folders.tokenizer, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{folders.tokenizer}: no tokenizer of CLIP ({type(error).__name__}: {error})"
        raise CheckpointError(msg) from error
    config = read_json(folders.text_encoder / CONFIG)
    for what, given, wanted in (
        ("words", len(tokenizer), config.get("vocab_size")),
        ("tokens at most", tokenizer.model_max_length, config.get("max_position_embeddings", 77)),
    ):
        if given != wanted:
            msg = f"{folders.tokenizer}: {given} {what}, but {folders.text_encoder} was trained on {wanted}"
            raise CheckpointError(msg)
    return cast("CLIPTokenizer", tokenizer)


def load_vae(
    folders: BaseFolders, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> AutoencoderKL:
    """Return the autoencoder.

    Raises:
        MissingWeightsError, CheckpointError: naming the file.
    """
    return AUTOENCODER.load(folders.vae, dtype=dtype, device=device)


def scheduler_config(folders: BaseFolders) -> dict[str, Any]:
    """Return what the noise schedule of every sampler is made from.

    Raises:
        MissingWeightsError, CheckpointError: naming the file.
    """
    path = folders.scheduler / SCHEDULER_CONFIG
    config = read_json(path)
    if (prediction := config.get("prediction_type", "epsilon")) != "epsilon":
        msg = f"{path}: prediction_type {prediction}; XPSR predicts the noise, epsilon"
        raise CheckpointError(msg)
    # Where the file says nothing DDPM would clip the clean latents to [-1, 1]; XPSR never does.
    return {**config, "clip_sample": False}
