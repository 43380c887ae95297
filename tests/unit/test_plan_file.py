from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vidsr.errors import InputError
from vidsr.job import plan_file
from vidsr.types import (
    NO_PTS,
    Colour,
    FrameTable,
    InputIdentity,
    MediaInfo,
    OutputPlan,
    Plan,
    Shot,
    StreamInfo,
    StreamPlan,
    VideoInfo,
)


def table(num_frames: int) -> FrameTable:
    pts = np.arange(num_frames, dtype=np.int64) * 3003 + 90_000
    return FrameTable(
        pts=pts,
        source_pts=pts.copy(),
        duration=np.full(num_frames, 3003, dtype=np.int32),
        luma_crc=np.arange(num_frames, dtype=np.uint32) + 4_000_000_000,
        flags=np.zeros(num_frames, dtype=np.uint8),
    )


def make_plan(frames: FrameTable) -> Plan:
    colour = Colour(matrix=1, primaries=1, transfer=1, full_range=False, chroma_location=1)
    video = VideoInfo(
        stream_index=0,
        codec="h264",
        width=64,
        height=48,
        pix_fmt="yuv420p",
        bit_depth=8,
        colour=colour,
        sample_aspect_ratio=Fraction(64, 45),
        display_matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1073741824),
        time_base=Fraction(1, 90_000),
        average_rate_from_header=Fraction(30_000, 1001),
    )
    stream = StreamInfo(
        index=1,
        kind="audio",
        codec="aac",
        time_base=Fraction(1, 48_000),
        language="fra",
        title="ö",
        dispositions=("default",),
        metadata=(("title", "ö"),),
    )
    return Plan(
        input=InputIdentity(path="in.mp4", size_bytes=10, sha256="ab"),
        info=MediaInfo(
            path="in.mp4",
            container="mov,mp4",
            streams=(stream,),
            video=video,
            duration_seconds_from_header=None,
            num_chapters=2,
        ),
        frames=frames,
        shots=(Shot(index=0, start=0, stop=len(frames)),),
        streams=(StreamPlan(source_index=1, kind="audio", codec="aac", action="copy", reason=""),),
        output=OutputPlan(
            container="mp4",
            codec="libx264",
            pix_fmt="yuv420p",
            width=128,
            height=96,
            colour=colour,
            sample_aspect_ratio=Fraction(64, 45),
            display_matrix=None,
            offset=Fraction(1, 3),
        ),
        config={"restore": {"scale": 2, "batch_parts": 1}},
        weights="none",
        seed=2**62,
        versions={"vidsr": "0"},
        repairs=("frame 3: pts repeated",),
    )


def test_a_plan_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    plan = make_plan(table(5))
    plan_file.write(tmp_path / "plan.json", plan)
    again = plan_file.read(tmp_path / "plan.json")
    assert plan_file.to_json(again) == plan_file.to_json(plan)
    assert again.info == plan.info
    assert again.output == plan.output
    for column in ("pts", "source_pts", "duration", "luma_crc", "flags"):
        got, wanted = getattr(again.frames, column), getattr(plan.frames, column)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


def test_a_path_of_bytes_that_are_no_text_is_kept(tmp_path: Path) -> None:
    plan = make_plan(table(1))
    odd = replace(plan, input=replace(plan.input, path="caf\udce9 \udcff.mp4"))
    plan_file.write(tmp_path / "plan.json", odd)
    assert plan_file.read(tmp_path / "plan.json").input == odd.input


def test_times_that_were_mended_keep_their_source() -> None:
    frames = table(3)
    source_pts = np.array([NO_PTS, 7, 7], dtype=np.int64)
    plan = make_plan(replace(frames, source_pts=source_pts))
    again = plan_file.from_json(plan_file.to_json(plan), where="x")
    np.testing.assert_array_equal(again.frames.source_pts, source_pts)


def test_a_plan_costs_less_than_100_bytes_a_frame_on_disk_and_32_in_memory() -> None:
    few, many = (len(plan_file.to_json(make_plan(table(count)))) for count in (1000, 2000))
    assert (many - few) / 1000 < 100
    frames = table(1000)
    assert sum(getattr(frames, name).nbytes for name in frames.__slots__) <= 32 * 1000


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', "[1]", '{"format": 999}'])
def test_what_is_not_a_plan_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match=r"^plan\.json: .*plan again"):
        plan_file.from_json(text, where="plan.json")
