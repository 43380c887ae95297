"""What a file, a path or a configuration says is never run: read off the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from vidsr import config
from vidsr.errors import ConfigError, VidsrError
from vidsr.models import tensor_file

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted([*(ROOT / "vidsr").rglob("*.py"), *(ROOT / "tools").rglob("*.py")])

RUNS_TEXT = frozenset({"eval", "exec", "compile", "__import__"})
RUNS_A_SHELL = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"})
MAKES_OBJECTS = frozenset(
    {"pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load", "yaml.load_all", "yaml.unsafe_load",
     "yaml.full_load", "marshal.loads", "shelve.open", "joblib.load"}
)  # fmt: skip

HOLD_NO_WEIGHTS = ("AutoProcessor.", "AutoConfig.", "CLIPTokenizer.")


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _keywords(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_run_that_was_read(path: Path) -> None:
    for name, call in _calls(path):
        assert name not in RUNS_TEXT | RUNS_A_SHELL | MAKES_OBJECTS, f"line {call.lineno}: {name}"
        keywords = _keywords(call)
        assert keywords.get("shell", "False") == "False", f"line {call.lineno}: {name} through a shell"
        assert keywords.get("trust_remote_code", "False") == "False", f"line {call.lineno}: {name}"
        if name in {"np.load", "numpy.load"}:
            assert keywords.get("allow_pickle") == "False", f"line {call.lineno}: {name}"
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", f"line {call.lineno}: {name}"
        if name.endswith(".from_pretrained") and not name.startswith(HOLD_NO_WEIGHTS):
            assert keywords.get("use_safetensors") == "True", f"line {call.lineno}: {name}"


def test_such_calls_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import yaml\nyaml.load('x')\nsubprocess.run('ls', shell=True)\n")
    assert [name for name, _ in _calls(tmp_path / "bad.py")] == ["yaml.load", "subprocess.run"]
    with pytest.raises(AssertionError, match=r"line 2: yaml\.load"):
        test_nothing_is_run_that_was_read(tmp_path / "bad.py")


def test_a_pipeline_makes_no_objects(tmp_path: Path) -> None:
    path, proof = tmp_path / "evil.yaml", tmp_path / "proof"
    path.write_text(f"description: !!python/object/apply:os.system ['touch {proof}']\nstages: []\n")
    with pytest.raises(ConfigError):
        config.load(str(path))
    with pytest.raises((ConfigError, yaml.YAMLError)):
        config.parse_assignment(f"encode.codec=!!python/object/apply:os.system ['touch {proof}']")
    assert not proof.exists()


def test_weights_make_no_objects(tmp_path: Path) -> None:
    """Weights that are added may come as torch's files; those that would run something are refused."""
    import torch

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return (Path.touch, (str(tmp_path / "proof"),))

    torch.save({"weight": Evil()}, tmp_path / "evil.bin")
    with pytest.raises(VidsrError, match="may run code"):
        tensor_file.open_tensors(tmp_path / "evil.bin")
    assert not (tmp_path / "proof").exists()
