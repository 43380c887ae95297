"""What every restorer promises. A new one earns its place by a line in RESTORERS."""

import functools
import pickle
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests import tiny_xpsr
from vidsr import build, config
from vidsr.restore.by_shot import by_shot
from vidsr.restore.protocol import Restorer, RestorerFacts
from vidsr.restore.xpsr.restorer import LEAD_IN, XpsrRestorer
from vidsr.restore.xpsr.settings import XpsrSettings
from vidsr.types import Colour, Done, Frame, Prior, ShotSettings, Work

RESTORERS: dict[str, Callable[[int], RestorerFacts]] = {
    name: lambda scale, name=name: (
        build.build_stages(
            config.load(overrides={"restore.restorer": name, "restore.scale": scale}, environment={})
        ).restorer
    )
    for name in ("bicubic", "xpsr-s")
}
RESTORERS["by shot"] = lambda scale: by_shot(RESTORERS["bicubic"](scale), [RESTORERS["xpsr-s"](scale)])


def _tiny_xpsr(scale: int) -> XpsrRestorer:
    """XPSR with small networks, run as on a CPU: row by row."""
    settings = XpsrSettings.recommended(scale=scale, process_size=64, steps=2, max_batch=1)
    return XpsrRestorer(tiny_xpsr.networks, settings)


RESTORERS["xpsr"] = lambda scale: RestorerFacts(
    name="xpsr", scale=scale, lead_in=LEAD_IN, weights="random", make=functools.partial(_tiny_xpsr, scale)
)


@pytest.fixture(params=RESTORERS, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def restorer(name: str) -> Restorer:
    return RESTORERS[name](2).make()


def frame(index: int, *, pix_fmt: str = "yuv420p", width: int = 32, height: int = 24) -> Frame:
    top = 1024 if "10" in pix_fmt else 256
    rng = np.random.default_rng(index)
    halves = [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
    dtype = np.uint16 if top > 256 else np.uint8
    return Frame(
        planes=tuple(rng.integers(top // 4, top // 2, shape).astype(dtype) for shape in halves),
        pix_fmt=pix_fmt,
        width=width,
        height=height,
        colour=Colour(matrix=1, primaries=1, transfer=1, full_range=False, chroma_location=1),
        index=index,
        pts=index * 3003,
        time_base=Fraction(1, 90_000),
    )


def work(index: int, **changes: int | str) -> Work:
    prior = Prior(low_level=("strong noise", "", "no noise, light blur")[index % 3])
    # Only who leaves frames to other restorers looks at the name.
    settings = ShotSettings(restorer=(None, "xpsr-s")[index % 2])
    return Work(
        part_index=index,
        frame=frame(index, **changes),
        prior=prior,
        carry=None,
        seed=index,
        settings=settings,
    )


def assert_same(first: Done, second: Done) -> None:
    for mine, wanted in zip(first.frame.planes, second.frame.planes, strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_one_batch_of_eight_equals_eight_batches_of_one(restorer: Restorer) -> None:
    batch = [work(index) for index in range(8)]
    for entry, done in zip(batch, restorer.step(batch), strict=True):
        assert_same(done, restorer.step([entry])[0])


def test_earlier_steps_leave_nothing_behind(name: str, restorer: Restorer) -> None:
    entry = work(3)
    restorer.step([work(1), work(2)])
    assert_same(restorer.step([entry])[0], RESTORERS[name](2).make().step([entry])[0])


def test_frames_of_other_sizes_and_depths_share_a_batch(restorer: Restorer) -> None:
    batch = [work(0), work(1, width=48, height=16), work(2, pix_fmt="yuv420p10le")]
    for entry, done in zip(batch, restorer.step(batch), strict=True):
        assert (done.frame.width, done.frame.height) == (2 * entry.frame.width, 2 * entry.frame.height)
        assert done.frame.pix_fmt == entry.frame.pix_fmt


def test_a_frame_keeps_everything_but_its_size(restorer: Restorer) -> None:
    entry = work(5)
    after = restorer.step([entry])[0].frame
    kept = replace(after, planes=(), width=0, height=0)
    before = replace(entry.frame, planes=(), width=0, height=0)
    assert {name: getattr(kept, name) for name in kept.__slots__} == {
        name: getattr(before, name) for name in before.__slots__
    }


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_size_is_the_scale(name: str, scale: int) -> None:
    facts = RESTORERS[name](scale)
    assert facts.scale == scale
    after = facts.make().step([work(0)])[0].frame
    assert (after.width, after.height) == (32 * scale, 24 * scale)
    assert after.planes[0].shape == (24 * scale, 32 * scale)


def flat(levels: tuple[int, ...], *, pix_fmt: str, colour: Colour) -> Work:
    """Return work on a picture in which every plane has one level; the fourth one is opacity."""
    entry = work(0, pix_fmt=pix_fmt)
    shapes = [*(plane.shape for plane in entry.frame.planes), entry.frame.planes[0].shape]
    planes = tuple(
        np.full(shape, level, entry.frame.planes[0].dtype)
        for shape, level in zip(shapes, levels, strict=False)
    )
    return replace(entry, frame=replace(entry.frame, planes=planes, colour=colour))


def test_flat_hdr_stays_flat(restorer: Restorer) -> None:
    """Also where a network is shown another signal than the samples hold."""
    pq = Colour(matrix=9, primaries=9, transfer=16, full_range=False, chroma_location=3)
    levels = (520, 480, 540)
    after = restorer.step([flat(levels, pix_fmt="yuv420p10le", colour=pq)])[0].frame
    assert after.colour == pq
    for plane, level in zip(after.planes, levels, strict=True):
        # As below, in levels of 10 bits.
        error = np.abs(plane.astype(int) - level)
        assert error.mean() <= 4
        assert error.max() <= 20


def test_opacity_is_enlarged_as_it_is(restorer: Restorer) -> None:
    colour = Colour(matrix=1, full_range=False)
    after = restorer.step([flat((120, 110, 140, 77), pix_fmt="yuva420p", colour=colour)])[0].frame
    assert after.pix_fmt == "yuva420p"
    assert (after.planes[3] == 77).all()


def test_a_flat_picture_stays_flat(restorer: Restorer) -> None:
    colour = work(0).frame.colour
    after = restorer.step([flat((120, 110, 140), pix_fmt="yuv420p", colour=colour)])[0].frame
    for plane, level in zip(after.planes, (120, 110, 140), strict=True):
        # A network is no exact filter: xpsr-s draws a grain of 1.03 levels on average here, 6 at most.
        error = np.abs(plane.astype(int) - level)
        assert error.mean() <= 1.25
        assert error.max() <= 8


def test_the_factory_can_be_sent_to_another_process(name: str) -> None:
    facts = RESTORERS[name](2)
    assert_same(pickle.loads(pickle.dumps(facts.make))().step([work(0)])[0], facts.make().step([work(0)])[0])
