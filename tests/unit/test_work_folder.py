from pathlib import Path

import pytest

from vidsr.errors import UnwritableError
from vidsr.job.work_folder import WorkFolder, job_key
from vidsr.types import Part, Prior

PART = Part(index=3, shot_index=0, lead_in=0, start=0, stop=2)
PRIOR = Prior(low_level="strong noise", captioner="measured/1")


@pytest.fixture
def folder(tmp_path: Path) -> WorkFolder:
    folder = WorkFolder(tmp_path / "work", "abc")
    folder.create()
    folder.segment_path(PART).write_bytes(b"segment")
    folder.record(PART, num_frames=2, prior=PRIOR)
    return folder


def test_a_recorded_part_is_finished(folder: WorkFolder) -> None:
    assert folder.is_finished(PART, PRIOR)


def test_a_part_without_a_record_is_not_finished(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path, "abc")
    folder.create()
    folder.segment_path(PART).write_bytes(b"segment")
    assert not folder.is_finished(PART, PRIOR)


def test_a_segment_whose_bytes_changed_is_not_trusted(folder: WorkFolder) -> None:
    folder.segment_path(PART).write_bytes(b"segmenT")
    assert not folder.is_finished(PART, PRIOR)


def test_a_lost_segment_is_not_trusted(folder: WorkFolder) -> None:
    folder.segment_path(PART).unlink()
    assert not folder.is_finished(PART, PRIOR)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"part_index": 3}'])
def test_a_torn_record_is_not_trusted(folder: WorkFolder, text: str) -> None:
    folder.segment_path(PART).with_suffix(".json").write_text(text)
    assert not folder.is_finished(PART, PRIOR)


def test_another_prior_or_another_border_needs_the_part_again(folder: WorkFolder) -> None:
    assert not folder.is_finished(PART, Prior(low_level="no noise"))
    moved = Part(index=3, shot_index=0, lead_in=0, start=1, stop=3)
    assert not folder.is_finished(moved, PRIOR)


def test_who_wrote_the_prior_does_not_matter(folder: WorkFolder) -> None:
    assert folder.is_finished(PART, Prior(low_level="strong noise", captioner="file"))


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
