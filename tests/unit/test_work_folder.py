from pathlib import Path

import pytest

from vidsr.errors import UnwritableError
from vidsr.job.work_folder import WorkFolder, content_key, job_key
from vidsr.types import Part, Prior

PART = Part(index=3, shot_index=0, lead_in=0, start=0, stop=2)
PRIOR = Prior(low_level="strong noise", captioner="measured/1")
RESTORE = {"restorer": "xpsr-s", "strength": 0.5, "batch_parts": 1}
KEY = content_key(PART, PRIOR, restore=RESTORE, weights="abc")


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    folder = WorkFolder(tmp_path / "work", "abc")
    folder.create()
    folder.segment_path(PART).write_bytes(b"segment")
    folder.record(PART, num_frames=2, key=KEY, steps_per_frame={2: 1, 1: 1}, notes=["frame 1: less memory"])
    return folder


def test_a_recorded_part_is_finished(folder: WorkFolder) -> None:
    assert folder.finished(PART, KEY)


def test_a_part_without_a_record_is_not_finished(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path, "abc")
    folder.create()
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
    others = [
        key(input_sha256="b"),
        key(config={"restore": {"scale": 4, "batch_parts": 1}}),
        key(weights="w"),
        key(versions={"vidsr": "2"}),
    ]
    assert len({key(), *others}) == 5


def test_removing_leaves_other_jobs_alone(folder: WorkFolder, tmp_path: Path) -> None:
    other = WorkFolder(tmp_path / "work", "def")
    other.create()
    folder.remove()
    assert not folder.root.exists()
    assert other.root.exists()
    other.remove()
    assert not (tmp_path / "work").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableError, match="file"):
        WorkFolder(tmp_path / "file", "abc").create()
