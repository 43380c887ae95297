"""The text encoder of xpsr-s: hashed words, no vocabulary file, no download."""

import re
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TABLE_SIZE = 4096
MAX_WORDS = 24
WIDTH = 128
HEADS = 4
EMPTY = 0
"""Entry of a text without words; padding uses it too and is masked."""


def word_ids(text: str) -> list[int]:
    """Return the table entries of the first MAX_WORDS words, by CRC-32: the same everywhere and always."""
    words = re.findall(r"[^\W_]+", text.lower())[:MAX_WORDS]
    return [1 + zlib.crc32(word.encode()) % (TABLE_SIZE - 1) for word in words] or [EMPTY]


def tokenize(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return ids [B, MAX_WORDS] int64 and the mask [B, MAX_WORDS] bool that is true at words.

    The length is fixed, so that a text's result does not depend on the texts beside it.
    """
    ids = torch.full((len(texts), MAX_WORDS), EMPTY)
    mask = torch.zeros(len(texts), MAX_WORDS, dtype=torch.bool)
    for row, text in enumerate(texts):
        found = word_ids(text)
        ids[row, : len(found)] = torch.tensor(found)
        mask[row, : len(found)] = True
    return ids, mask


class TextEncoder(nn.Module):
    """Two transformer layers over word embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(TABLE_SIZE, WIDTH)
        self.positions = nn.Parameter(torch.zeros(MAX_WORDS, WIDTH))
        self.layers = nn.ModuleList(_Layer() for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        nn.init.normal_(self.words.weight, std=0.5)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode ids and mask [B, MAX_WORDS] to tokens [B, MAX_WORDS, WIDTH]."""
        tokens = self.words(ids) + self.positions
        for layer in self.layers:
            tokens = layer(tokens, mask)
        out: Tensor = self.norm(tokens)
        return out


def pool(tokens: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the tokens where `mask` is true, [B, WIDTH]."""
    weight = mask.to(tokens.dtype)[:, :, None]
    return (tokens * weight).sum(1) / weight.sum(1)


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        batch, length, _ = tokens.shape
        qkv = self.qkv(self.norm1(tokens)).reshape(batch, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # [B, N, T, C]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        tokens = tokens + self.out(attended.transpose(1, 2).reshape(batch, length, WIDTH))
        hidden: Tensor = tokens + self.down(F.gelu(self.up(self.norm2(tokens))))
        return hidden
