import shutil
from pathlib import Path

import pytest

from vidsr.errors import Stopped, UnwritableError, WorkFolderLostError
from vidsr.job.identity import JobIdentity, content_key, differences, job_key
from vidsr.job.job import Report
from vidsr.job.lock import locked
from vidsr.job.work_folder import WorkFolder
from vidsr.types import Part, Prior, Shot

PART = Part(index=3, shot_index=0, lead_in=0, start=0, stop=2)
PRIOR = Prior(low_level="strong noise", captioner="measured/1")
RESTORE = {"restorer": "xpsr-s", "strength": 0.5, "batch_parts": 1}
KEY = content_key(PART, PRIOR, restore=RESTORE, weights="abc")
SHOTS = [Shot(index=0, start=0, stop=2), Shot(index=1, start=2, stop=3)]


def identity(**changes: object) -> JobIdentity:
    values = {
        "input_path": "in.mp4",
        "input_sha256": "a",
        "config": {"restore": {"scale": 2}},
        "weights": "none",
        "versions": {"vidsr": "1"},
    }
    return JobIdentity(**{**values, **changes})  # type: ignore[arg-type]


def folder_of(work_dir: Path, job: JobIdentity) -> WorkFolder:
    folder = WorkFolder(work_dir, job.key)
    folder.create(job, output=work_dir.parent / "out.mp4")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    folder = folder_of(tmp_path / "work", identity())
    folder.segment_path(PART).write_bytes(b"segment")
    folder.record(PART, num_frames=2, key=KEY, steps_per_frame={2: 1, 1: 1}, notes=["frame 1: less memory"])
    return folder


def test_a_recorded_part_is_finished(folder: WorkFolder) -> None:
    assert folder.finished(PART, KEY)


def test_a_part_without_a_record_is_not_finished(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, identity())
    folder.segment_path(PART).write_bytes(b"segment")
    assert not folder.finished(PART, KEY)


def test_a_segment_whose_bytes_changed_is_not_trusted(folder: WorkFolder) -> None:
    folder.segment_path(PART).write_bytes(b"segmenT")
    assert not folder.finished(PART, KEY)


def test_a_lost_segment_is_not_trusted(folder: WorkFolder) -> None:
    folder.segment_path(PART).unlink()
    assert not folder.finished(PART, KEY)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"part_index": 3}'])
def test_a_torn_record_is_not_trusted(folder: WorkFolder, text: str) -> None:
    folder.segment_path(PART).with_suffix(".json").write_text(text)
    assert not folder.finished(PART, KEY)


def test_another_prior_or_another_border_needs_the_part_again(folder: WorkFolder) -> None:
    other = content_key(PART, Prior(low_level="no noise"), restore=RESTORE, weights="abc")
    bounds = Part(index=3, shot_index=0, lead_in=0, start=1, stop=3)
    moved = content_key(bounds, PRIOR, restore=RESTORE, weights="abc")
    assert len({KEY, other, moved}) == 3
    assert folder.finished(PART, other) is folder.finished(PART, moved) is None


@pytest.mark.parametrize("changes", [{"strength": 0.25}, {"restorer": "bicubic"}, {"guidance_scale": 2.0}])
def test_a_shot_that_is_restored_otherwise_needs_its_parts_again(
    folder: WorkFolder, changes: dict[str, object]
) -> None:
    assert folder.finished(PART, content_key(PART, PRIOR, restore=RESTORE | changes, weights="abc")) is None


def test_other_weights_need_the_part_again(folder: WorkFolder) -> None:
    assert folder.finished(PART, content_key(PART, PRIOR, restore=RESTORE, weights="other")) is None


def test_how_many_parts_share_a_batch_does_not_matter(folder: WorkFolder) -> None:
    many = RESTORE | {"batch_parts": 8}
    assert folder.finished(PART, content_key(PART, PRIOR, restore=many, weights="abc"))


def test_a_record_keeps_the_steps_and_what_the_restorer_had_to_say(folder: WorkFolder) -> None:
    record = folder.finished(PART, KEY)
    assert record is not None
    assert record.steps_per_frame == {"2": 1, "1": 1}
    assert record.notes == ["frame 1: less memory"]


def test_who_wrote_the_prior_does_not_matter(folder: WorkFolder) -> None:
    told = Prior(low_level="strong noise", captioner="file")
    assert content_key(PART, told, restore=RESTORE, weights="abc") == KEY
    assert folder.finished(PART, KEY)


def test_the_key_depends_on_content_and_not_on_the_schedule() -> None:
    def key(**changes: object) -> str:
        restore = {"scale": 2, "batch_parts": 1}
        values = {
            "input_sha256": "a",
            "config": {"restore": restore},
            "weights": "none",
            "versions": {"vidsr": "1"},
        }
        return job_key(**{**values, **changes})  # type: ignore[arg-type]

    assert key() == key(config={"restore": {"scale": 2, "batch_parts": 8}})
    assert key() == key(config={"restore": {"scale": 2}, "limits": {"max_pixels": 1}})
    others = [
        key(input_sha256="b"),
        key(config={"restore": {"scale": 4, "batch_parts": 1}}),
        key(weights="w"),
        key(versions={"vidsr": "2"}),
    ]
    assert len({key(), *others}) == 5


def test_removing_leaves_other_jobs_and_files_of_the_user_alone(folder: WorkFolder, tmp_path: Path) -> None:
    other = folder_of(tmp_path / "work", identity(input_sha256="b"))
    notes = [folder.root / "notes.txt", folder.root / "parts" / "best.mkv"]
    for path in notes:
        path.write_text("mine")
    assert folder.remove() == notes
    assert [path for path in sorted(folder.root.rglob("*")) if path.is_file()] == notes
    assert other.owner() == (identity(input_sha256="b"), str(tmp_path / "out.mp4"))


def test_nothing_is_left_of_a_folder_in_which_all_is_ours(folder: WorkFolder) -> None:
    folder.plan_path.write_text("{}")
    folder.write_priors(SHOTS, [PRIOR, PRIOR], {})
    (folder.root / "parts" / "00004.mkv.part").write_bytes(b"half")
    (folder.root / "parts" / "00003.json.0123abcd.tmp").write_bytes(b"half")
    with locked(folder.lock_path, what="x"):
        assert folder.remove() == []
    assert not folder.root.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableError, match="file"):
        WorkFolder(tmp_path / "file", "abc").create(identity(), output=tmp_path / "out.mp4")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"output": "x"}'])
def test_a_folder_whose_owner_is_not_known_has_none(folder: WorkFolder, text: str) -> None:
    (folder.root / "job.json").write_text(text)
    assert folder.owner() is None


def test_priors_that_were_cut_off_are_not_trusted_wherever_that_was(folder: WorkFolder) -> None:
    priors = [Prior(high_level="a dog", low_level="strong noise"), Prior(low_level="light blur")]
    folder.write_priors(SHOTS, priors, {})
    assert [prior.low_level for prior in folder.read_priors(SHOTS) or ()] == ["strong noise", "light blur"]
    whole = folder.priors_path.read_bytes()
    for length in range(len(whole)):
        folder.priors_path.write_bytes(whole[:length])
        assert folder.read_priors(SHOTS) is None, length


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 4096, b"\xff\xfe"])
def test_a_torn_plan_is_not_trusted(folder: WorkFolder, content: bytes) -> None:
    folder.plan_path.write_bytes(content)
    assert folder.read_plan() is None


def test_an_error_while_the_folder_is_gone_says_that_it_is_gone(folder: WorkFolder) -> None:
    shutil.rmtree(folder.root)
    with pytest.raises(WorkFolderLostError, match=f"{folder.root}: the work folder vanished"), folder.kept():
        raise UnwritableError("parts/00001.mkv: cannot be written")  # noqa: EM101


def test_an_error_while_the_folder_is_there_is_passed_on(folder: WorkFolder) -> None:
    with pytest.raises(UnwritableError, match="no space"), folder.kept():
        raise UnwritableError("no space")  # noqa: EM101


def test_a_stop_is_a_stop_even_without_the_folder(folder: WorkFolder) -> None:
    shutil.rmtree(folder.root)
    with pytest.raises(Stopped), folder.kept():
        raise Stopped("stopped", signal_number=2)  # noqa: EM101


def test_the_published_file_is_known_again_and_no_other_is(folder: WorkFolder, tmp_path: Path) -> None:
    report = Report(
        output=tmp_path / "out.mp4", num_frames=3, num_shots=1, num_parts=1, num_parts_reused=0,
        seconds=1.5, is_partial=True, warnings=("frame 1 is missing",), steps_per_frame={2: 1, 1: 2},
    )  # fmt: skip
    unfinished, output = tmp_path / "output.part", tmp_path / "out.mp4"
    unfinished.write_bytes(b"video")
    folder.note_published(unfinished, report)
    assert folder.published(output) is None
    unfinished.rename(output)
    assert folder.published(output) == report
    other = tmp_path / "other.mp4"
    other.write_bytes(b"video")
    assert folder.published(other) is None


def test_what_is_different_is_named() -> None:
    before = identity(
        config={"restore": {"scale": 2, "batch_parts": 1}, "run": {"stall_seconds": 1}, "seed": 0},
        versions={"vidsr": "1", "pyav": "18"},
    )
    now = identity(
        input_path="other.mp4",
        input_sha256="b",
        config={"restore": {"scale": 4, "batch_parts": 8}, "run": {"stall_seconds": 2}, "seed": 0},
        weights="w",
        versions={"vidsr": "2", "pyav": "18"},
    )
    assert differences(before, now) == [
        "the input was other bytes (in.mp4)",
        "restore.scale was 2 and is 4",
        "the weights were others",
        'version of vidsr was "1" and is "2"',
    ]
    assert differences(before, before) == []
