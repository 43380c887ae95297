"""Captions by a language model through the whole of a job, with a tiny LLaVA that the test makes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import vidsr
from tests import corpus
from tests.tiny_llava import END, PAD, WORDS, write_llava
from vidsr import build, config, events
from vidsr.caption.file import read_priors
from vidsr.caption.mllm import MllmCaptioner
from vidsr.errors import CaptionError, MissingWeightsError, OtherWorkError, VerificationError
from vidsr.job.job import Job, Stages
from vidsr.job.run import run
from vidsr.restore.protocol import Restorer
from vidsr.types import Done, Prior, Work

OVERRIDES = {
    "restore.restorer": "bicubic",
    "restore.scale": 2,
    "caption.captioner": "mllm",
    "caption.dtype": "float32",
    "caption.device": "cpu",
    "caption.max_new_tokens": 6,
    "encode.preset": "ultrafast",
}
CUT = 12


@pytest.fixture(scope="module")
def clip(corpus_folder: Path) -> Path:
    """Two shots."""
    path = corpus_folder / "two_shots.mp4"
    scenes = "[0]trim=end_frame=12,setsar=1[a];[1]trim=end_frame=9,setsar=1[b];[a][b]concat=n=2:v=1"
    sources = [f"-f lavfi -i {source}=s=160x120:r=25".split() for source in ("testsrc2", "mandelbrot")]
    if not path.exists():
        encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        corpus.run([*sources[0], *sources[1], "-filter_complex", scenes, *encode, str(path)])
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "priors"


@pytest.fixture
def unpublished(monkeypatch: pytest.MonkeyPatch):
    """Run a job up to the moment before its output would appear."""
    from vidsr.job import run as run_module

    def fail(**arguments) -> None:
        msg = "not today"
        raise VerificationError(msg)

    def run_unpublished(job: Job, stages: Stages, on_event: events.Listener = events.ignore) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(run_module, "publish", fail)
            with pytest.raises(VerificationError):
                run(job, stages, on_event=on_event)

    return run_unpublished


def stages_for(model: Path, **changes: object) -> Stages:
    overrides = OVERRIDES | {"caption.model": str(model)} | changes
    return build.build_stages(config.load(overrides=overrides, environment={}))


class Watch:
    """Notes at each caption whether a model is loaded, what was said, and what was warned of."""

    def __init__(self, stages: Stages) -> None:
        self._captioner = stages.captioner
        self.was_loaded: list[bool] = []
        self.priors: list[Prior] = []
        self.warnings: list[str] = []

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Captioned):
            assert isinstance(self._captioner, MllmCaptioner)
            self.was_loaded.append(self._captioner.is_loaded)
            self.priors.append(event.prior)
        elif isinstance(event, events.Warned):
            self.warnings.append(event.message)


class NotingRestorer:
    """Restores with another, and notes which prior each frame came with."""

    def __init__(self, restorer: Restorer) -> None:
        self._restorer = restorer
        self.priors: dict[int, Prior] = {}

    def step(self, batch: list[Work]) -> list[Done]:
        self.priors |= {work.frame.index: work.prior for work in batch}
        return list(self._restorer.step(batch))


def with_noting_restorer(stages: Stages) -> tuple[Stages, NotingRestorer]:
    noting = NotingRestorer(stages.restorer.make())
    return replace(stages, restorer=replace(stages.restorer, make=lambda: noting)), noting


def test_each_shot_is_described_and_the_second_run_finds_all_in_the_cache(
    clip: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    stages = stages_for(model)
    first, second = Watch(stages), Watch(stages)
    report = run(Job(input=clip, output=tmp_path / "first.mp4"), stages, on_event=first)
    assert (report.num_shots, first.was_loaded, report.warnings) == (2, [True, True], ())
    words = [prior.high_level for prior in first.priors] + [prior.low_level for prior in first.priors]
    assert {word for text in words for word in text.split()} <= set(WORDS)
    assert len(set(words)) == 4
    assert len(list(cache.iterdir())) == 2
    run(Job(input=clip, output=tmp_path / "second.mp4"), stages, on_event=second)
    assert second.was_loaded == [False, False]
    assert second.priors == first.priors


def test_without_the_cache_the_model_is_asked_again(
    clip: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    stages = stages_for(model, **{"caption.cache": False})
    for name in ("first.mp4", "second.mp4"):
        watch = Watch(stages)
        run(Job(input=clip, output=tmp_path / name), stages, on_event=watch)
        assert watch.was_loaded == [True, True]
    assert not cache.exists()


def test_the_model_is_let_go_before_the_restorer_is_made(clip: Path, model: Path, tmp_path: Path) -> None:
    stages = stages_for(model)
    seen: list[bool] = []

    def make() -> Restorer:
        assert isinstance(stages.captioner, MllmCaptioner)
        seen.append(stages.captioner.is_loaded)
        return stages.restorer.make()

    watch = Watch(stages)
    watched = replace(stages, restorer=replace(stages.restorer, make=make))
    run(Job(input=clip, output=tmp_path / "out.mp4"), watched, on_event=watch)
    assert watch.was_loaded == [True, True]
    assert seen == [False]


def test_a_job_that_fails_lets_the_model_go_too(clip: Path, tmp_path: Path) -> None:
    stages = stages_for(write_llava(tmp_path / "silent", words=(END, PAD)))
    with pytest.raises(CaptionError):
        run(Job(input=clip, output=tmp_path / "out.mp4"), stages)
    assert isinstance(stages.captioner, MllmCaptioner)
    assert not stages.captioner.is_loaded


def test_the_words_are_kept_beside_the_output_and_an_edited_one_is_what_is_restored_by(
    clip: Path, model: Path, tmp_path: Path
) -> None:
    stages, noting = with_noting_restorer(stages_for(model))
    report = run(Job(input=clip, output=tmp_path / "out.mp4"), stages)
    path = tmp_path / "out.mp4.priors.yaml"
    assert sorted(file.name for file in tmp_path.glob("out*")) == [report.output.name, path.name]
    first, second = read_priors(path, vidsr.plan(clip, overrides={"caption.captioner": "none"}).shots)
    assert noting.priors == {index: first if index < CUT else second for index in range(21)}
    entries = yaml.safe_load(path.read_text())
    entries[1]["high_level"] = "an old castle"
    path.write_text(yaml.safe_dump(entries))
    from_file = {"caption.captioner": "file", "caption.file": str(path)}
    stages, noting = with_noting_restorer(stages_for(model, **from_file))
    run(Job(input=clip, output=tmp_path / "edited.mp4"), stages)
    assert noting.priors[CUT - 1] == first
    assert noting.priors[CUT] == replace(second, high_level="an old castle")


def test_words_that_the_user_edited_outlive_another_run(clip: Path, model: Path, tmp_path: Path) -> None:
    job = Job(input=clip, output=tmp_path / "out.mp4", overwrite=True)
    run(job, stages_for(model))
    path = tmp_path / "out.mp4.priors.yaml"
    path.write_text("# mine\n" + path.read_text())
    report = run(job, stages_for(model))
    assert [warning for warning in report.warnings if "priors.yaml: holds other words" in warning]
    assert path.read_text().startswith("# mine\n")


def test_a_shot_that_the_model_fails_at_fails_the_job(clip: Path, tmp_path: Path) -> None:
    stages = stages_for(write_llava(tmp_path / "silent", words=(END, PAD)))
    wanted = r"shot 0 \(frames 0 to 11\): mllm/1 failed at its high_level.*caption\.on_error=measured"
    with pytest.raises(CaptionError, match=wanted):
        run(Job(input=clip, output=tmp_path / "out.mp4"), stages)
    assert not (tmp_path / "out.mp4").exists()


def test_with_on_error_measured_the_job_goes_on_and_the_report_says_so(
    clip: Path, tmp_path: Path, unpublished
) -> None:
    silent = write_llava(tmp_path / "silent", words=(END, PAD))
    stages = stages_for(silent, **{"caption.on_error": "measured"})
    job = Job(input=clip, output=tmp_path / "out.mp4")
    watch = Watch(stages)
    unpublished(job, stages, watch)
    assert [prior.captioner for prior in watch.priors] == ["measured/2", "measured/2"]
    failures = [
        f"shot {index} (frames {frames}): mllm/1 failed"
        for index, frames in enumerate(("0 to 11", "12 to 20"))
    ]
    assert all(failure in warning for failure, warning in zip(failures, watch.warnings, strict=True))
    # The run that goes on finds the priors in the work folder, and still knows who said them.
    report = run(job, stages)
    assert [warning[:36] for warning in report.warnings] == [
        "shot 0: mllm/1 failed in an earlier ", "shot 1: mllm/1 failed in an earlier ",
    ]  # fmt: skip
    assert report.exit_code == 0


def test_a_work_folder_of_another_model_is_another_job(
    clip: Path, model: Path, tmp_path: Path, unpublished
) -> None:
    job = Job(input=clip, output=tmp_path / "out.mp4")
    folder = write_llava(tmp_path / "model", seed=1)
    unpublished(job, stages_for(folder))
    before = {path.name for path in (tmp_path / "out.mp4.vidsr").iterdir()}
    # The same place, other weights.
    (folder / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    stages = stages_for(folder)
    with pytest.raises(OtherWorkError, match=r"caption\.model_digest was "):
        run(job, stages)
    assert {path.name for path in (tmp_path / "out.mp4.vidsr").iterdir()} == before
    watch = Watch(stages)
    report = run(replace(job, resume=False), stages, on_event=watch)
    assert report.num_parts_reused == 0
    assert watch.was_loaded == [True, True]
    assert not (tmp_path / "out.mp4.vidsr").exists()


def test_how_many_shots_are_asked_about_at_once_is_no_other_job(
    clip: Path, model: Path, tmp_path: Path, unpublished
) -> None:
    job = Job(input=clip, output=tmp_path / "out.mp4")
    unpublished(job, stages_for(model, **{"caption.batch_shots": 1}))
    report = run(job, stages_for(model, **{"caption.batch_shots": 8, "caption.cache": False}))
    assert report.num_parts_reused == report.num_parts > 0


def test_the_resolved_configuration_says_which_model(model: Path, tmp_path: Path) -> None:
    other = write_llava(tmp_path / "other", seed=1)
    alone = stages_for(model).config["caption"]
    assert alone["low_model_digest"] is None
    both = stages_for(model, **{"caption.low_model": str(other)}).config["caption"]
    assert both["model_digest"] == alone["model_digest"] != both["low_model_digest"]
    digests = {"caption.model_digest": both["model_digest"], "caption.low_model": str(other)}
    assert stages_for(model, **digests).config["caption"] == both
    with pytest.raises(MissingWeightsError, match=r"caption\.low_model_digest asks for 0000"):
        stages_for(model, **digests, **{"caption.low_model_digest": "0" * 64})


def vidsr_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "vidsr", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_command_writes_what_the_model_says_and_takes_it_back(
    clip: Path, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "priors.yaml"
    asked = {name: value for name, value in OVERRIDES.items() if name.startswith("caption.")}
    settings = [part for name, value in asked.items() for part in ("--set", f"{name}={value}")]
    pipeline = tmp_path / "mine.yaml"
    pipeline.write_text(
        "description: Mine.\nstages: [{caption: mllm}, {restore: bicubic}, {encode: h264-fast}]\n"
        f"set: {{restore.scale: 2, caption.model: {model}}}\n"
    )
    done = vidsr_command("caption", clip, "--pipeline", pipeline, *settings, "-o", path, "--progress", "none")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    entries = yaml.safe_load(path.read_text())
    assert [(entry["captioner"], entry["start"]) for entry in entries] == [("mllm/1", 0), ("mllm/1", CUT)]
    restored = vidsr_command(
        "run", clip, "--pipeline", pipeline, "--priors", path, "-o", tmp_path / "out.mp4"
    )
    assert restored.returncode == 0, restored.stderr
    assert entries[0]["high_level"] in restored.stderr


def test_a_model_that_is_not_there_exits_with_5_and_the_command(clip: Path, tmp_path: Path) -> None:
    done = vidsr_command(
        "caption", clip, "--set", "caption.captioner=mllm", "--set", "caption.model=nobody/nothing"
    )
    assert done.returncode == 5
    assert "vidsr models pull nobody/nothing" in done.stderr
    assert len(done.stderr.splitlines()) == 1
