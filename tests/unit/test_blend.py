from dataclasses import replace

import numpy as np
import pytest

from tests.fakes import make_frame
from vidsr.restore.blend import blend


def test_a_frame_blended_with_itself_is_itself_to_the_last_bit() -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (6, 8), dtype=np.uint16)
    frame = replace(make_frame(3, width=8, height=6), planes=(samples,), pix_fmt="gray16le")
    for share in (0, 1 / 3, 0.7, 1):
        np.testing.assert_array_equal(blend(frame, frame, share=share).planes[0], samples)


@pytest.mark.parametrize(("share", "wanted"), [(0, 10), (0.2, 58), (0.5, 130), (1, 250)])
def test_the_result_lies_between_the_two_at_the_share_of_the_second(share: float, wanted: int) -> None:
    result = blend(make_frame(3, value=10), make_frame(3, value=250), share=share)
    assert result.planes[0].dtype == np.uint8
    assert set(result.planes[0].ravel().tolist()) == {wanted}
    assert result.index == 3


def test_frames_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="one format"):
        blend(make_frame(3), make_frame(3, width=6), share=0.5)
