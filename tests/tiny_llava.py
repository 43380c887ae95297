"""A LLaVA of some thousand random weights: every part of the real one, and answers in words that differ."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

WORDS = ("sky", "rain", "tree", "road", "car", "dog", "snow", "face", "noise", "dark", "soft", "red", "old")
END, PAD = "</s>", "<pad>"
CHAT_TEMPLATE = (
    "{% for message in messages %}USER: {% for part in message.content %}"
    "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
SIDE, PATCH = 32, 8
_COUNTING: dict[str, Any] = {
    "patch_size": PATCH,
    "vision_feature_select_strategy": "default",
    "num_additional_image_tokens": 1,
}
"""How a processor knows the number of tokens of a picture."""


def write_llava(
    folder: Path,
    *,
    seed: int = 0,
    chat_template: str | None = CHAT_TEMPLATE,
    words: Sequence[str] = WORDS,
) -> Path:
    """Write a model and return `folder`. It answers in `words`, all of WORDS; at END it falls silent."""
    tokenizer = _tokenizer()
    pictures = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor = LlavaProcessor(pictures, tokenizer, chat_template=chat_template, **_COUNTING)
    model = LlavaForConditionalGeneration(LlavaConfig(**_sizes(tokenizer)))
    _save(model, processor, folder, words=words, seed=seed)
    return folder


def write_llava_next(folder: Path) -> Path:
    """Write a model to which pictures of another shape are another number of tokens, and return `folder`."""
    tokenizer = _tokenizer()
    grid = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    pictures = LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=grid
    )
    processor = LlavaNextProcessor(pictures, tokenizer, chat_template=CHAT_TEMPLATE, **_COUNTING)
    config = LlavaNextConfig(**_sizes(tokenizer), image_grid_pinpoints=grid)
    _save(LlavaNextForConditionalGeneration(config), processor, folder, words=WORDS, seed=0)
    return folder


def split(folder: Path, *, as_bin: bool = False) -> Path:
    """Spread the weights in `folder` over two files and an index, as large models come; return `folder`."""
    stem, suffix = ("pytorch_model", "bin") if as_bin else ("model", "safetensors")
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    places = {}
    for number, part in enumerate((names[:5], names[5:]), start=1):
        path = folder / f"{stem}-{number:05d}-of-00002.{suffix}"
        places |= dict.fromkeys(part, path.name)
        tensors = {name: state[name] for name in part}
        if as_bin:
            torch.save(tensors, path)
        else:
            save_file(tensors, path, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"weight_map": places}))
    return folder


def _save(
    model: PreTrainedModel, processor: ProcessorMixin, folder: Path, *, words: Sequence[str], seed: int
) -> None:
    tokenizer = processor.tokenizer
    _randomise(model, seed)
    _let_it_say(model, tokenizer, words, seed)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    # What a model's authors may have set, and a greedy answer must not follow.
    model.generation_config.do_sample = True
    model.generation_config.temperature = 5.0
    model.generation_config.repetition_penalty = 3.0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, so that every question can be read, and one a word."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token=END, pad_token=PAD, unk_token="<unk>"
    )
    fast.add_tokens([AddedToken("<image>", special=True, normalized=False)], special_tokens=True)
    # As the tokenizer of the real one does.
    fast.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", fast.bos_token_id)]
    )
    fast.add_tokens([AddedToken(f" {word}", normalized=False) for word in WORDS])
    return fast


def _sizes(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vision_config": CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=SIDE,
            patch_size=PATCH,
        ),
        "text_config": LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=False,
        ),
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
        "vision_feature_layer": -1,
    }


def _randomise(model: nn.Module, seed: int) -> None:
    """Draw weights large enough for the picture to reach the words; the usual ones are too small."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            inputs = module.weight[0].numel()
            nn.init.normal_(module.weight, std=2 * inputs**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5, generator=generator)
    for name, parameter in model.named_parameters():
        if name.endswith(("class_embedding", "image_newline")):
            nn.init.normal_(parameter, generator=generator)


@torch.no_grad()
def _let_it_say(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, words: Sequence[str], seed: int
) -> None:
    """Have all but `words` score the mean of them, which the best of them never falls below."""
    said = [word if word in {END, PAD} else f" {word}" for word in words]
    head = model.get_output_embeddings()
    generator = torch.Generator().manual_seed(seed + 1)
    rows = torch.randn(len(said), head.weight.shape[1], generator=generator)
    head.weight[:] = rows.mean(dim=0)
    head.weight[tokenizer.convert_tokens_to_ids(said)] = rows
