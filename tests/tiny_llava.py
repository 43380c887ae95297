"""A LLaVA of some thousand random weights: every part of the real one, and answers in words that differ."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

WORDS = ("sky", "rain", "tree", "road", "car", "dog", "snow", "face", "noise", "dark", "soft", "red", "old")
END = "</s>"
CHAT_TEMPLATE = (
    "{% for message in messages %}USER: {% for part in message.content %}"
    "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
SIDE, PATCH = 32, 8


def write_llava(
    folder: Path,
    *,
    seed: int = 0,
    chat_template: str | None = CHAT_TEMPLATE,
    words: Sequence[str] = WORDS,
) -> Path:
    """Write a model and return `folder`. It answers in `words`, all of WORDS; among them END falls silent."""
    tokenizer = _tokenizer()
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
    model = LlavaForConditionalGeneration(_config(tokenizer)).eval()
    _randomise(model, seed)
    _let_it_say(model, tokenizer, words, seed)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, so that every question can be read, and one a word."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token=END, pad_token="<pad>", unk_token="<unk>"
    )
    fast.add_tokens([AddedToken("<image>", special=True, normalized=False)], special_tokens=True)
    fast.add_tokens([AddedToken(f" {word}", normalized=False) for word in WORDS])
    return fast


def _config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=SIDE,
            patch_size=PATCH,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=False,
        ),
        image_token_index=image_token,
        vision_feature_layer=-1,
    )


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


@torch.no_grad()
def _let_it_say(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, words: Sequence[str], seed: int
) -> None:
    """Have the last layer score zero for all but `words`; the best of many words is above that."""
    head = model.get_output_embeddings()
    generator = torch.Generator().manual_seed(seed + 1)
    head.weight.zero_()
    said = [word if word == END else f" {word}" for word in words]
    for index in tokenizer.convert_tokens_to_ids(said):
        head.weight[index] = torch.randn(head.weight.shape[1], generator=generator)
