"""What only the exact decoder promises: how it gets to a frame, and that it notices a changed file."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.corpus import make
from vidsr.errors import InputError
from vidsr.media import decode
from vidsr.media.decode import KEPT_FRAMES, LOOK_AHEAD, PyAVSource, open_source
from vidsr.media.index import build_index
from vidsr.media.probe import probe
from vidsr.types import FrameTable


@pytest.fixture
def steps(monkeypatch):
    """The ways that sources take, in order."""
    taken = []
    for name in ("_skip", "_seek", "_from_beginning"):
        original = getattr(PyAVSource, name)

        def noted(self, *arguments, _original=original, _name=name):
            taken.append(_name)
            return _original(self, *arguments)

        monkeypatch.setattr(PyAVSource, name, noted)
    return taken


def opened(name, folder, *, linear=False):
    path = make(name, folder)
    result = build_index(path, probe(path), on_frame=lambda index, thumbnail: None)
    return open_source(path, result.info, result.frames, linear=linear)


def numbers(source, start, stop):
    return [frame.index for frame in source.frames(start, stop)]


def test_a_request_that_follows_on_goes_on_decoding(corpus_folder, steps):
    with opened("cfr", corpus_folder) as source:
        assert numbers(source, 0, 20) == list(range(20))
        del steps[:]
        assert numbers(source, 20, 40) == list(range(20, 40))
        assert steps == ["_skip"]


def test_a_short_way_ahead_is_decoded_over(corpus_folder, steps):
    with opened("short_gop", corpus_folder) as source:
        assert numbers(source, 0, 2) == [0, 1]
        del steps[:]
        assert numbers(source, 20, 22) == [20, 21]
        assert steps == ["_skip"]


def test_a_long_way_ahead_is_sought_over(corpus_folder, steps, monkeypatch):
    monkeypatch.setattr(decode, "LOOK_AHEAD", 5)
    with opened("short_gop", corpus_folder) as source:
        assert numbers(source, 0, 2) == [0, 1]
        del steps[:]
        assert numbers(source, 40, 42) == [40, 41]
        assert steps == ["_seek"]
    assert LOOK_AHEAD > 5


def test_no_key_frame_ahead_means_no_seek(corpus_folder, steps, monkeypatch):
    monkeypatch.setattr(decode, "LOOK_AHEAD", 5)
    with opened("long_gop", corpus_folder) as source:
        assert numbers(source, 0, 2) == [0, 1]
        del steps[:]
        assert numbers(source, 40, 42) == [40, 41]
        assert steps == ["_skip"]


def test_a_lead_in_behind_the_last_request_comes_from_memory(corpus_folder, steps):
    with opened("cfr", corpus_folder) as source:
        assert numbers(source, 0, 20) == list(range(20))
        del steps[:]
        assert numbers(source, 20 - KEPT_FRAMES, 30) == list(range(20 - KEPT_FRAMES, 30))
        assert steps == ["_skip"]


def test_further_back_is_sought(corpus_folder, steps):
    with opened("cfr", corpus_folder) as source:
        assert numbers(source, 0, 45) == list(range(45))
        del steps[:]
        assert numbers(source, 30, 32) == [30, 31]
        assert steps == ["_seek"]


@pytest.mark.parametrize("name", ["cfr", "b_frames", "transport_stream", "corrupt", "truncated", "no_times"])
def test_linear_decoding_never_seeks(name, corpus_folder, steps):
    with opened(name, corpus_folder, linear=True) as source:
        assert numbers(source, 12, 14) == [12, 13]
        assert numbers(source, 3, 5) == [3, 4]
    assert "_seek" not in steps


def test_a_seek_that_lands_wrong_falls_back_in_the_end_to_the_beginning(corpus_folder, steps, monkeypatch):
    with opened("cfr", corpus_folder) as source:
        assert numbers(source, 0, 45) == list(range(45))
        # Wherever a seek goes, it lands behind the target.
        monkeypatch.setattr(
            decode.Pictures, "seek", lambda self, pts, _seek=decode.Pictures.seek: _seek(self, 10**9)
        )
        del steps[:]
        assert numbers(source, 5, 8) == [5, 6, 7]
    assert steps == ["_seek"] * len(decode.BACK_OFFS) + ["_from_beginning", "_skip"]


@pytest.mark.parametrize("column", ["luma_crc", "source_pts"])
def test_every_frame_is_held_against_the_table(column, corpus_folder):
    """A decoder that gives the right first picture and a wrong one later must not get it through."""
    path = make("cfr", corpus_folder)
    result = build_index(path, probe(path), on_frame=lambda index, thumbnail: None)
    values = getattr(result.frames, column).copy()
    values[7] ^= 1
    seen = []
    changed = replace(result.frames, **{column: values})
    with (
        open_source(path, result.info, changed, linear=False) as source,
        pytest.raises(InputError, match="frame 7 differs from the plan's: the file has changed"),
    ):
        seen.extend(frame.index for frame in source.frames(4, 20))
    assert seen == [4, 5, 6]


def test_a_damaged_group_of_pictures_need_not_decode_the_same_twice(corpus_folder):
    """What lay in the decoder's memory shows where nothing is left of a picture."""
    path = make("corrupt", corpus_folder)
    result = build_index(path, probe(path), on_frame=lambda index, thumbnail: None)
    damaged = int(np.flatnonzero(result.frames.flags & FrameTable.CORRUPT)[0])
    values = result.frames.luma_crc.copy()
    values[damaged] ^= 1
    changed = replace(result.frames, luma_crc=values)
    with open_source(path, result.info, changed, linear=True) as source:
        assert [frame.index for frame in source.frames(0, 47)] == list(range(47))
    values[2] ^= 1
    with (
        open_source(path, result.info, replace(changed, flags=_key_at(changed, 3)), linear=True) as source,
        pytest.raises(InputError, match="frame 2 differs"),
    ):
        list(source.frames(0, 47))


def _key_at(table, index):
    """Return flags by which a new group of pictures begins with frame `index`."""
    flags = table.flags.copy()
    flags[index] |= FrameTable.KEY
    return flags


@pytest.mark.parametrize("linear", [True, False])
def test_a_file_that_changed_since_the_plan_is_refused(linear, corpus_folder, tmp_path):
    path = tmp_path / "clip.mp4"
    shutil.copy(make("cfr", corpus_folder), path)
    result = build_index(path, probe(path), on_frame=lambda index, thumbnail: None)
    shutil.copy(make("sar", corpus_folder), path)
    with (
        open_source(path, result.info, result.frames, linear=linear) as same,
    ):
        # The same frames with another aspect ratio in the header are the same frames.
        assert len(list(same.frames(0, 50))) == 50
    shutil.copy(make("noise", corpus_folder), path)
    with (
        open_source(path, result.info, result.frames, linear=linear) as source,
        pytest.raises(InputError, match=r"clip\.mp4: frame 0 differs from the plan's"),
    ):
        list(source.frames(0, 50))


def test_frames_beyond_the_table_are_refused(corpus_folder):
    with (
        opened("cfr", corpus_folder) as source,
        pytest.raises(ValueError, match="frames 40 to 51 are not within the 50"),
    ):
        list(source.frames(40, 51))


def test_a_closed_source_opens_again(corpus_folder):
    source = opened("cfr", corpus_folder)
    assert numbers(source, 0, 3) == [0, 1, 2]
    source.close()
    source.close()
    assert numbers(source, 1, 3) == [1, 2]
    source.close()


def test_frames_do_not_share_memory_with_the_decoder(corpus_folder):
    with opened("cfr", corpus_folder) as source:
        first, *_ = source.frames(0, 30)
        before = [plane.copy() for plane in first.planes]
        list(source.frames(30, 50))
        for plane, kept in zip(first.planes, before, strict=True):
            np.testing.assert_array_equal(plane, kept)
