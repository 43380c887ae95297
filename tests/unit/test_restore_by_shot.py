"""What is asked for single shots is decided, or refused, before any work; restorers get their own frames."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import SummingRestorer, make_frame
from vidsr import build, config
from vidsr.caption.file import write_priors
from vidsr.errors import ConfigError
from vidsr.job.job import Stages
from vidsr.restore.by_shot import ByShotRestorer, by_shot
from vidsr.restore.protocol import RestorerFacts
from vidsr.types import Carry, LeadIn, Prior, Shot, ShotSettings, Work

SHOTS = tuple(Shot(index=index, start=9 * index, stop=9 * index + 9) for index in range(4))


def stages(tmp_path: Path, asked: dict[int, ShotSettings], **overrides: object) -> Stages:
    """Return the stages of a job whose priors file asks for this."""
    file = tmp_path / "priors.yaml"
    write_priors(file, SHOTS, [Prior() for _ in SHOTS], asked)
    settings = {f"restore.{key}": value for key, value in overrides.items()}
    settings |= {"caption.captioner": "file", "caption.file": str(file)}
    return build.build_stages(config.load(overrides=settings, environment={}))


def facts(name: str, *, scale: int = 2) -> RestorerFacts:
    return RestorerFacts(name=name, scale=scale, lead_in=LeadIn(), weights="none", make=SummingRestorer)


def work(index: int, restorer: str | None, *, carry: Carry | None = None) -> Work:
    return Work(
        part_index=index,
        frame=make_frame(index),
        prior=Prior(),
        carry=carry,
        seed=index,
        settings=ShotSettings(restorer=restorer),
    )


class Workshop:
    """Makes restorers and keeps them to be looked at."""

    def __init__(self) -> None:
        self.made: list[tuple[str, SummingRestorer]] = []
        self.restorer = ByShotRestorer("a", {name: lambda name=name: self._make(name) for name in "abc"})

    def _make(self, name: str) -> SummingRestorer:
        restorer = SummingRestorer()
        self.made.append((name, restorer))
        return restorer


def test_frames_go_to_the_restorers_they_name_and_come_back_in_order() -> None:
    workshop = Workshop()
    batch = [work(index, name) for index, name in enumerate([None, "b", "a", "b", None])]
    results = workshop.restorer.step(batch)
    assert [done.frame.index for done in results] == [0, 1, 2, 3, 4]
    assert {name: one.batch_sizes for name, one in workshop.made} == {"a": [3], "b": [2]}


def test_a_restorer_is_made_when_it_is_needed_and_once() -> None:
    workshop = Workshop()
    workshop.restorer.step([work(0, "b")])
    assert [name for name, _ in workshop.made] == ["b"]
    workshop.restorer.step([work(1, "b"), work(2, None)])
    assert [name for name, _ in workshop.made] == ["b", "a"]


def test_what_a_frame_hands_on_reaches_the_next_of_its_part() -> None:
    workshop = Workshop()
    carries: Sequence[Carry | None] = [None, None]
    for index in range(3):
        batch = [work(index, name, carry=carry) for name, carry in zip("ab", carries, strict=True)]
        carries = [done.carry for done in workshop.restorer.step(batch)]
    assert [carry.total for carry in carries] == [3, 3]


def test_the_weights_of_a_shot_are_those_of_its_restorer_and_mean_nothing_for_the_others(
    tmp_path: Path,
) -> None:
    alone = stages(tmp_path, {})
    mixed = stages(tmp_path, {1: ShotSettings(restorer="bicubic"), 2: ShotSettings(strength=0.5)})
    own = alone.restorer.weights
    assert mixed.restorer.weights == own != "none"
    assert [mixed.weights_of(index) for index in range(4)] == [own, "none", own, own]


def test_one_video_has_one_scale() -> None:
    with pytest.raises(ValueError, match="one scale"):
        by_shot(facts("a", scale=2), [facts("b", scale=4)])


def test_it_can_be_sent_to_another_process() -> None:
    joined = by_shot(facts("a"), [facts("b")])
    (done,) = pickle.loads(pickle.dumps(joined.make))().step([work(7, "b")])
    assert done.frame.index == 7


def test_without_names_there_is_the_restorer_alone(tmp_path: Path) -> None:
    asked = stages(tmp_path, {1: ShotSettings(strength=0.5), 2: ShotSettings(restorer="xpsr-s")})
    assert not isinstance(asked.restorer.make(), ByShotRestorer)
    named = stages(tmp_path, {2: ShotSettings(restorer="bicubic")})
    assert isinstance(named.restorer.make(), ByShotRestorer)


def test_another_restorer_works_as_its_preset_says_at_the_scale_of_the_video(tmp_path: Path) -> None:
    asked = {2: ShotSettings(restorer="bicubic"), 3: ShotSettings(restorer="xpsr-s", guidance_scale=2.0)}
    made = stages(tmp_path, asked, scale=2, steps=4, strength=0.9, fusion=0.5)
    assert made.settings_of(2) == ShotSettings(strength=0.0, restorer="bicubic")
    assert (made.shots[2].lead_in, made.shots[2].config["fusion"]) == (LeadIn(), None)
    assert made.settings_of(3) == ShotSettings(strength=0.9, guidance_scale=2.0, restorer="xpsr-s")
    assert {made.shots[index].config["scale"] for index in asked} == {2}
    assert made.settings_of(0) == ShotSettings()


def test_what_is_asked_and_is_so_anyway_changes_nothing(tmp_path: Path) -> None:
    made = stages(tmp_path, {1: ShotSettings(strength=0.25, restorer="xpsr-s")}, strength=0.25)
    assert made.restore_config_of(1) == made.restore_config_of(0) == made.config["restore"]
    assert made.shots[1].lead_in == made.restorer.lead_in


@pytest.mark.parametrize(
    "overrides", [{"steps": 4}, {"steps": 0}, {"guidance_scale": 3.0}, {"strength": 1.0}]
)
def test_strength_0_is_the_estimate_alone_whatever_is_set_for_the_video(
    tmp_path: Path, overrides: dict[str, object]
) -> None:
    shot = stages(tmp_path, {1: ShotSettings(strength=0.0)}, **overrides).shots[1]
    assert shot.settings == ShotSettings(strength=0.0, guidance_scale=1.0, restorer="xpsr-s")
    assert (shot.config["steps"], shot.lead_in) == (0, LeadIn())


def test_a_shot_is_diffused_where_the_video_is_not(tmp_path: Path) -> None:
    made = stages(
        tmp_path, {1: ShotSettings(strength=0.5)}, strength=0.0, scale=4, device="cpu", dtype="float32"
    )
    assert made.restorer.lead_in == LeadIn()
    assert made.shots[1].lead_in.frames > 0
    noise = np.random.default_rng(0).integers(16, 236, (16, 24), dtype=np.uint8)
    restorer = made.restorer.make()
    works = [
        Work(
            part_index=0,
            frame=replace(make_frame(3, width=24, height=16), planes=(noise,)),
            prior=Prior(),
            carry=None,
            seed=1,
            settings=made.settings_of(index),
        )
        for index in (0, 1)
    ]
    estimate, diffused = restorer.step(works)
    assert (estimate.steps, diffused.steps) == (0, made.shots[1].config["steps"])
    assert diffused.steps > 0
    assert not np.array_equal(estimate.frame.planes[0], diffused.frame.planes[0])


@pytest.mark.parametrize(
    ("asked", "overrides", "says"),
    [
        (ShotSettings(strength=0.5), {"steps": 0}, r"restore\.steps=0, .*contradict"),
        (ShotSettings(guidance_scale=2.0), {"strength": 0.0}, r"guidance_scale=2 contradict"),
        (ShotSettings(strength=0.0, guidance_scale=2.0), {}, r"guidance_scale=2 contradict"),
        (ShotSettings(strength=0.5), {"restorer": "bicubic"}, r"bicubic has no restore\.strength"),
        (ShotSettings(restorer="bicubic", strength=0.5), {}, r"bicubic has no restore\.strength"),
        (ShotSettings(restorer="bicubic", guidance_scale=2.0), {}, r"bicubic has no restore\.guidance"),
        (ShotSettings(restorer="bicubc"), {}, r"unknown restorer 'bicubc'; did you mean bicubic\?"),
        (ShotSettings(restorer=""), {}, r"unknown restorer ''; known are bicubic, xpsr-s, xpsr"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_shot(
    tmp_path: Path, asked: ShotSettings, overrides: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=rf"priors\.yaml: shot 2: .*{says}"):
        stages(tmp_path, {2: asked}, **overrides)


def test_every_restorer_has_a_preset_of_its_name() -> None:
    for name in build.RESTORERS:
        assert config.restore_preset(name).restorer == name
