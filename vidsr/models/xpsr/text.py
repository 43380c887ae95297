"""Prompts, and the CLIP text encoder that reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ADDED_PROMPT = "clean, high-resolution, 8k, high quality, clear text."
"""Follows the high-level prior."""
HIGH_NEGATIVE = "blurry, dotted, noise, raster lines, unclear, lowres, over-smoothed."
LOW_NEGATIVE = "high resolution, best quality, clear"
"""Guidance leads away from a description of a *good* picture here: towards "degraded like so"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """The four texts that a frame is restored with."""

    high: str
    low: str
    high_negative: str = HIGH_NEGATIVE
    low_negative: str = LOW_NEGATIVE


class TextEncoder:
    """CLIP's tokenizer and text model."""

    def __init__(self, tokenizer: Any, model: Any) -> None:  # noqa: ANN401  # classes of transformers
        """Take both, the model where it is to run."""
        self._tokenizer = tokenizer
        self._model = model

    @property
    def max_tokens(self) -> int:
        """Tokens of a text, the two around it included."""
        length: int = self._tokenizer.model_max_length
        return length

    def token_ids(self, texts: Sequence[str]) -> Tensor:
        """Return int64 [N, max_tokens], cut or padded."""
        ids: Tensor = self._tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.max_tokens,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return ids

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return the last hidden state after the final norm, [N, max_tokens, D]."""
        # No attention mask, as the published sampler has none: padding is read like words.
        states: Tensor = self._model(self.token_ids(texts).to(self._model.device)).last_hidden_state
        return states

    def prompts(self, high_level: str, low_level: str, *, reserve_added: bool) -> Prompts:
        """Return the texts of a shot.

        Args:
            high_level: what is seen.
            low_level: how it is degraded.
            reserve_added: cut the high-level prior so that the added prompt behind it is still read; the
                published sampler lets it fall off the end of a long one.
        """
        first_lines = (text.split("\n", 1)[0].lstrip() for text in (high_level, low_level))
        high, low = first_lines
        if reserve_added:
            high = self._cut(high, self.max_tokens - 2 - self._length(ADDED_PROMPT))
        return Prompts(high=f"{high} {ADDED_PROMPT}", low=low)

    def _length(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _cut(self, text: str, length: int) -> str:
        """Return as many whole words as fit into `length` tokens."""
        words = text.split(" ")
        while words and self._length(" ".join(words)) > length:
            words.pop()
        return " ".join(words)
