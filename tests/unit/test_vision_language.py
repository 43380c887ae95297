"""The model that answers: greedily, one row as if it were alone, and only from whole local files."""

import json
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from tests.tiny_llava import CHAT_TEMPLATE, END, WORDS, write_llava, write_llava_next
from vidsr.errors import CheckpointError, MachineError, MemoryExhaustedError
from vidsr.models import device, vision_language
from vidsr.models.vision_language import VisionLanguageModel

QUESTION = "What is it?"
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def mine(folder: Path, tmp_path: Path) -> Path:
    """A model that a test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "llava"))


def load(folder: Path, max_new_tokens: int = 8) -> VisionLanguageModel:
    return VisionLanguageModel.load(folder, device="cpu", dtype="float32", max_new_tokens=max_new_tokens)


def pictures(*shapes: tuple[int, int]) -> list[Picture]:
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (3, *shape), dtype=np.uint8) for shape in shapes]


def test_it_says_words_that_depend_on_picture_and_question(folder: Path) -> None:
    model = load(folder)
    answers = model.answers(pictures(*[(48, 64)] * 4), QUESTION)
    assert {word for answer in answers for word in answer.split()} <= set(WORDS)
    assert all(answers)
    assert len(set(answers)) == 4
    assert model.answers(pictures(*[(48, 64)] * 4), "How noisy?") != answers


@pytest.mark.parametrize("write", [write_llava, write_llava_next])
def test_neighbours_change_no_answer(write, tmp_path: Path) -> None:
    """Pictures of several shapes are several numbers of tokens to LLaVA-NeXT, so that rows are padded."""
    model = load(write(tmp_path))
    shown = pictures((48, 64), (64, 40), (40, 120))
    together = model.answers(shown, QUESTION)
    assert together == [model.answers([picture], QUESTION)[0] for picture in shown]
    assert together[::-1] == model.answers(shown[::-1], QUESTION)


def test_the_models_own_habit_of_sampling_is_left_out(folder: Path) -> None:
    assert json.loads((folder / "generation_config.json").read_text())["do_sample"]
    shown = pictures((48, 64))
    # Greedy answers begin alike however long they may be, and a penalty would forbid the repeated words.
    short, long = (load(folder, tokens).answers(shown, QUESTION)[0].split() for tokens in (4, 24))
    assert long[: len(short)] == short
    assert len(long) == 24
    assert len(set(long)) < len(long)


def test_a_row_that_ends_early_says_no_more(tmp_path: Path) -> None:
    model = load(write_llava(tmp_path, words=("dark", "soft", END)), max_new_tokens=16)
    answers = model.answers(pictures(*[(48, 64)] * 12), QUESTION)
    lengths = {len(answer.split()) for answer in answers}
    assert len(lengths) > 1
    assert {word for answer in answers for word in answer.split()} <= {"dark", "soft"}


def test_every_token_that_ends_an_answer_is_heeded(mine: Path) -> None:
    shown = pictures(*[(48, 64)] * 4)
    plain = load(mine).answers(shown, QUESTION)
    settings = json.loads((mine / "generation_config.json").read_text())
    end = AutoTokenizer.from_pretrained(mine).convert_tokens_to_ids(" car")
    ends = {"eos_token_id": [settings["eos_token_id"], end]}
    (mine / "generation_config.json").write_text(json.dumps(settings | ends))
    assert any("car" in answer for answer in plain)
    assert load(mine).answers(shown, QUESTION) == [answer.split(" car")[0] for answer in plain]


def test_without_a_chat_template_it_is_asked_as_llava_is(tmp_path: Path) -> None:
    literal = "<image>\nUSER: {{ messages[0].content[1].text }} \nASSISTANT:"
    templates = {"none": None, "literal": literal, "chat": CHAT_TEMPLATE}
    answers = {
        name: load(write_llava(tmp_path / name, chat_template=template)).answers(pictures((48, 64)), QUESTION)
        for name, template in templates.items()
    }
    assert answers["none"] == answers["literal"] != answers["chat"]


def test_a_template_that_begins_with_the_first_token_gets_no_second_one(tmp_path: Path) -> None:
    with_it = write_llava(tmp_path / "with", chat_template="<s>" + CHAT_TEMPLATE)
    without = write_llava(tmp_path / "without")
    shown = pictures(*[(48, 64)] * 8)
    answers = [load(path).answers(shown, QUESTION) for path in (with_it, without)]
    assert answers[0] == answers[1]


def test_nothing_is_written_to_standard_error(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(folder).answers(pictures((48, 64)), QUESTION)
    assert capfd.readouterr() == ("", "")


def test_scores_that_are_not_numbers_are_an_error(mine: Path) -> None:
    weights = load_file(mine / "model.safetensors")
    weights["lm_head.weight" if "lm_head.weight" in weights else "language_model.lm_head.weight"][5, 5] = (
        torch.nan
    )
    save_file(weights, mine / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArithmeticError, match=r"not numbers; take caption\.dtype"):
        load(mine).answers(pictures((48, 64)), QUESTION)


def test_memory_that_runs_out_is_an_error_of_ours(folder: Path) -> None:
    model = load(folder)

    def exhaust(module: torch.nn.Module, arguments: object) -> None:
        msg = "CUDA out of memory"
        raise torch.OutOfMemoryError(msg)

    model._model.register_forward_pre_hook(exhaust)
    with pytest.raises(MemoryExhaustedError, match="with 2 pictures at once: CUDA out of memory"):
        model.answers(pictures((48, 64), (48, 64)), QUESTION)


def test_weights_that_do_not_fill_the_network_are_refused(mine: Path) -> None:
    weights = load_file(mine / "model.safetensors")
    lost = next(name for name in weights if "multi_modal_projector" in name)
    del weights[lost]
    save_file(weights, mine / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        CheckpointError, match=r"llava: its weights do not fill the network: 1 differ.*projector"
    ):
        load(mine)


@pytest.mark.parametrize("damage", ["torn weights", "torn config", "unknown model", "own code", "text model"])
def test_what_is_no_such_model_is_a_checkpoint_error(damage: str, mine: Path) -> None:
    config = json.loads((mine / "config.json").read_text())
    if damage == "torn weights":
        (mine / "model.safetensors").write_bytes((mine / "model.safetensors").read_bytes()[:1000])
    elif damage == "torn config":
        (mine / "config.json").write_text("{")
    elif damage == "unknown model":
        (mine / "config.json").write_text(json.dumps({**config, "model_type": "telepathy"}))
    elif damage == "own code":
        own = {"AutoConfig": "mine.Config", "AutoModelForImageTextToText": "mine.Model"}
        (mine / "config.json").write_text(json.dumps({**config, "model_type": "mine", "auto_map": own}))
        (mine / "mine.py").write_text("raise SystemExit('code of the model was run')")
    else:
        (mine / "config.json").write_text(json.dumps({**config["text_config"], "model_type": "llama"}))
    with pytest.raises(
        CheckpointError, match=r"llava: transformers makes no image-text-to-text model of it: \S"
    ):
        load(mine)


def test_a_model_that_nobody_holds_is_gone(folder: Path) -> None:
    model = load(folder)
    model.answers(pictures((48, 64)), QUESTION)
    network = weakref.ref(model._model)
    del model
    vision_language.release()
    assert network() is None


def test_a_device_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        assert device.resolve_device("cuda") == "cuda"
        return
    assert device.resolve_device("auto") == "cpu"
    with pytest.raises(MachineError, match=r"device cuda: this torch sees no CUDA device"):
        device.resolve_device("cuda")


@pytest.mark.gpu
def test_a_gpu_says_what_the_cpu_says(folder: Path) -> None:
    shown = pictures(*[(48, 64)] * 3)
    model = VisionLanguageModel.load(folder, device="cuda", dtype="float32", max_new_tokens=4)
    assert model.answers(shown, QUESTION) == load(folder, 4).answers(shown, QUESTION)
