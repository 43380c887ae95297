"""Models that answer a question about a picture: transformers' image-text-to-text models, from a folder."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig, LogitsProcessor
from transformers.utils import logging

from vidsr.errors import CheckpointError, MachineError, MemoryExhaustedError
from vidsr.models.device import TORCH_DTYPES, Device, DType

LLAVA_PROMPT = "<image>\nUSER: {question} \nASSISTANT:"
"""What the authors of XPSR ask LLaVA-1.5 with; for models that bring no chat template of their own."""


class VisionLanguageModel:
    """Answers one question about each of several pictures at once, greedily."""

    def __init__(self, processor: Any, model: Any, *, max_new_tokens: int) -> None:  # noqa: ANN401  # any of transformers' classes
        """Take over a loaded model and its processor.

        Args:
            processor: turns pictures and text into the model's inputs, and tokens into text.
            model: of the class that its config names.
            max_new_tokens: where an answer is cut off.
        """
        self._processor = processor
        self._model = model
        tokenizer = processor.tokenizer
        # The answer's first token follows the prompt's last in every row of a batch.
        tokenizer.padding_side = "left"
        own = model.generation_config
        ends = tokenizer.eos_token_id if own.eos_token_id is None else own.eos_token_id
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        # Replaced, not overridden: sampling and penalties that came with the model would fill the gaps.
        model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_new_tokens,
            bos_token_id=own.bos_token_id,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        )

    @classmethod
    def load(cls, folder: Path, *, device: Device, dtype: DType, max_new_tokens: int) -> Self:
        """Read the model in `folder`; no code of its own is run and nothing is fetched.

        Raises:
            CheckpointError: transformers does not know the model, or the weights do not fit it.
            MachineError: a package that its processor needs is not installed.
            MemoryExhaustedError: it does not fit the device.
        """
        try:
            with _quiet():
                processor = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                    folder, local_files_only=True, trust_remote_code=False
                )
                loaded = AutoModelForImageTextToText.from_pretrained(
                    folder,
                    dtype=TORCH_DTYPES[dtype],
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    output_loading_info=True,
                )
            model, report = cast("tuple[Any, dict[str, Any]]", loaded)
            _check_is_filled(folder, report)
            return cls(processor, model.eval().to(device), max_new_tokens=max_new_tokens)
        except ImportError as error:
            msg = f"{folder}: it needs a package that is not installed: {_first_line(error)}"
            raise MachineError(msg) from error
        except torch.OutOfMemoryError as error:
            msg = (
                f"{folder}: the model does not fit the memory of {device} in {dtype}; take a smaller one, "
                "caption.dtype=bfloat16 or caption.device=cpu"
            )
            raise MemoryExhaustedError(msg) from error
        except (OSError, ValueError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
            msg = f"{folder}: transformers makes no image-text-to-text model of it: {_first_line(error)}"
            raise CheckpointError(msg) from error

    @torch.inference_mode()
    def answers(self, pictures: Sequence[NDArray[np.uint8]], question: str) -> list[str]:
        """Return what the model says to `question` about each picture.

        Rows are padded on the left and masked, so that a neighbour changes an answer only through the order
        in which sums are rounded.

        Args:
            pictures: each uint8 RGB [3, H, W].
            question: one for all.

        Raises:
            ValueError: the model's processor refuses a picture.
            ArithmeticError: the model's scores are not numbers, as float16 may overflow to.
            MemoryExhaustedError: the batch does not fit the device.
        """
        try:
            with _quiet():
                return self._answers(pictures, question)
        except torch.OutOfMemoryError as error:
            msg = f"out of memory with {len(pictures)} pictures at once: {_first_line(error)}"
            raise MemoryExhaustedError(msg) from error

    def _answers(self, pictures: Sequence[NDArray[np.uint8]], question: str) -> list[str]:
        prompt = self._prompt(question)
        tokenizer = self._processor.tokenizer
        starts_itself = tokenizer.bos_token is not None and prompt.startswith(tokenizer.bos_token)
        inputs = self._processor(
            # A list for each text: to some models a plain list is several pictures of one text.
            images=[[_image_of(picture)] for picture in pictures],
            text=[prompt] * len(pictures),
            return_tensors="pt",
            padding=True,
            add_special_tokens=not starts_itself,
        ).to(self._model.device, self._model.dtype)
        check = _NumbersOnly()
        tokens = self._model.generate(**inputs, logits_processor=[check])
        check.raise_if_lost()
        num_asked = inputs["input_ids"].shape[1]
        return [self._text_of(row[num_asked:].tolist()) for row in tokens]

    def _prompt(self, question: str) -> str:
        if not self._processor.chat_template:
            return LLAVA_PROMPT.format(question=question)
        content = [{"type": "image"}, {"type": "text", "text": question}]
        messages = [{"role": "user", "content": content}]
        return str(self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))

    def _text_of(self, tokens: list[int]) -> str:
        # What follows the end fills the row up to the longest answer, and need not be a special token.
        end = next((place for place, token in enumerate(tokens) if token in self._ends), len(tokens))
        return str(self._processor.tokenizer.decode(tokens[:end], skip_special_tokens=True))


def release() -> None:
    """Give memory of models that nobody holds any more back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class _NumbersOnly(LogitsProcessor):
    """Watches whether scores are numbers; where they are not, some token is the greatest all the same."""

    def __init__(self) -> None:
        self._is_lost: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` as they are."""
        del input_ids
        found = scores.isnan().any()
        # Kept on the device: reading it would make every token wait.
        self._is_lost = found if self._is_lost is None else self._is_lost | found
        return scores

    def raise_if_lost(self) -> None:
        if self._is_lost is not None and bool(self._is_lost):
            msg = "the model's scores are not numbers; take caption.dtype=bfloat16 or float32"
            raise ArithmeticError(msg)


def _check_is_filled(folder: Path, report: dict[str, Any]) -> None:
    """Refuse weights that leave a part of the network random. Surplus ones are for parts it lacks."""
    if lacking := sorted([*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])]):
        msg = f"{folder}: its weights do not fill the network: {len(lacking)} differ, first {lacking[0]}"
        raise CheckpointError(msg)


def _image_of(picture: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' bars and advice off standard error, which is the job's; errors still show."""
    had_bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
