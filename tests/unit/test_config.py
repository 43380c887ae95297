from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from vidsr import config
from vidsr.config_sections import JobConfig
from vidsr.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("value", ["auto", "on", "off"])
def test_on_and_off_are_no_booleans(value):
    """YAML reads them so."""
    key, read = config.parse_assignment(f"plan.deinterlace={value}")
    assert config.load(overrides={key: read}).plan.deinterlace == value


def test_every_shipped_pipeline_resolves() -> None:
    names = config.pipeline_names()
    assert len(names) == len(list((CHECKOUT / "pipelines").rglob("*"))), "a pipeline is out of reach"
    for name in names:
        assert config.load(name, environment={}).plain()


@pytest.mark.parametrize("stage", config.STAGES)
def test_every_preset_is_complete(stage: str) -> None:
    """A preset that leaves a key out would change when a default does."""
    fields = set(getattr(JobConfig(), stage).model_dump())
    files = list((CHECKOUT / "configs" / stage).rglob("*.yaml"))
    assert sorted(path.stem for path in files) == config.preset_names(stage)
    for path in files:
        assert set(yaml.safe_load(path.read_text())) == fields, path


def test_every_preset_starts_with_the_command_that_runs_it() -> None:
    heldout = CHECKOUT / "configs" / "evaluate" / "heldout.yaml"  # a list, not a preset
    paths = {*(CHECKOUT / "configs").rglob("*.yaml"), *(CHECKOUT / "pipelines").rglob("*.yaml")}
    for path in paths - {heldout}:
        assert path.read_text().startswith("# vidsr "), path


def test_later_sources_win() -> None:
    by_environment = {"VIDSR_RESTORE__SCALE": "3", "VIDSR_ENCODE__CRF": "21"}
    resolved = config.load(overrides={"restore.scale": 2}, environment=by_environment)
    assert (resolved.restore.scale, resolved.encode.crf) == (2, 21)


def test_other_variables_are_not_settings() -> None:
    assert config.load(environment={"VIDSR_REQUIRE_GPU": "1"}) == config.load(environment={})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"restore.stpes": 1}, r"unknown key restore\.stpes, did you mean steps\?"),
        ({"restor.steps": 1}, r"unknown key restor, did you mean restore\?"),
        ({"restore.scale": 5}, r"restore\.scale: .*2, 3 or 4, got 5"),
        ({"encode.crf": "x"}, r"encode\.crf: .* got \"x\""),
        ({"seed": 1, "seed.x": 1}, r"seed\.x: seed holds a value"),
        ({"caption.low_model_digest": "0" * 64}, r"caption\.low_model_digest: is of the model that caption"),
        ({"caption.captioner": "file"}, r"caption\.file names the priors"),
    ],
)
def test_wrong_settings_are_named(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.load(overrides=overrides, environment={})


@pytest.mark.parametrize(
    ("value", "rate"), [("24", "24"), ("24000/1001", "24000/1001"), ("50/2", "25"), ("1/1000", "1/1000")]
)
def test_a_rate_is_exact_and_said_in_one_way(value: str, rate: str) -> None:
    key, read = config.parse_assignment(f"plan.frame_rate={value}")
    resolved = config.load(overrides={key: read}, environment={})
    assert resolved.plan.frame_rate == Fraction(rate)
    assert resolved.plain()["plan"]["frame_rate"] == rate


@pytest.mark.parametrize(
    "value", ["23.976", "0", "25/0", "-25", "1001", "1/1001", "24 fps", "1000001/50000", "true"]
)
def test_a_rate_that_is_not_exact_is_refused(value: str) -> None:
    key, read = config.parse_assignment(f"plan.frame_rate={value}")
    with pytest.raises(ConfigError, match=r"plan\.frame_rate: wanted .* such as 24 or 24000/1001.*, got "):
        config.load(overrides={key: read}, environment={})


def test_unknown_pipeline_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown pipeline 'enhanc', did you mean enhance"):
        config.load("enhanc")


def test_a_users_own_pipeline_works_the_same(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "description: Mine.\n"
        "stages: [{caption: none}, {restore: bicubic}, {encode: h264}]\n"
        "set: {restore.scale: 3, encode.preset: fast}\n"
    )
    resolved = config.load(str(mine), environment={})
    assert (resolved.restore.restorer, resolved.restore.scale, resolved.encode.preset) == (
        "bicubic",
        3,
        "fast",
    )


@pytest.mark.parametrize(
    "stages",
    ["[{restore: bicubic}, {caption: none}, {encode: h264}]", "[{caption: none}, {restore: bicubic}]", "[]"],
)
def test_stages_out_of_order_are_refused(tmp_path: Path, stages: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"description: Mine.\nstages: {stages}\n")
    with pytest.raises(ConfigError, match=r"wanted \['caption', 'restore', 'encode'\]"):
        config.load(str(mine))


@pytest.mark.parametrize("text", ["a: [", "- 1", "description: x\nstages: []\nextra: 1\n"])
def test_a_broken_pipeline_file_is_a_config_error(tmp_path: Path, text: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        config.load(str(mine))


def test_an_assignment_is_read_as_yaml() -> None:
    assert config.parse_assignment("restore.scale=2") == ("restore.scale", 2)
    assert config.parse_assignment("caption.file=null") == ("caption.file", None)
    with pytest.raises(ConfigError, match="wanted KEY"):
        config.parse_assignment("restore.scale")


def test_the_schema_names_every_setting() -> None:
    text = str(config.schema())
    assert all(name in text for name in ("part_frames", "guidance_scale", "batch_parts", "crf"))
