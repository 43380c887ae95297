"""Transparency goes the whole way, with every restorer, into what can hold it."""

from pathlib import Path

import numpy as np
import pytest

import vidsr
from tests import corpus
from vidsr.media.decode import open_source
from vidsr.media.frames import format_facts
from vidsr.media.index import build_index
from vidsr.media.probe import probe
from vidsr.media.verify import verify

WIDTH, HEIGHT = 48, 32
# Opaque on the right and transparent on the left, with a step in the middle.
PICTURE = f"-f lavfi -i testsrc2=s={WIDTH}x{HEIGHT}:r=25 -frames:v 3 -vf"
OPACITY = "geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='if(lt(X,W/2),64,192)'"
SOURCES = {
    "ffv1.mkv": f"format=yuva420p,{OPACITY} -c:v ffv1",
    "prores.mov": f"format=yuva420p,{OPACITY},format=yuva444p10le -c:v prores_ks -profile:v 4444",
    "vp9.webm": f"format=yuva420p,{OPACITY} -c:v libvpx-vp9 -crf 10 -b:v 0",
}
WRITTEN = {
    "ffv1.mkv": ("ffv1", ".mkv"),
    "prores.mov": ("ffv1", ".mkv"),
    "vp9.webm": ("vp9", ".webm"),
}


def opacities(path: Path) -> np.ndarray:
    """Return the opacity of every frame, 0..1. [n, rows, columns]"""
    index = build_index(path, probe(path), on_frame=lambda number, thumbnail: None)
    facts = format_facts(index.info.video.pix_fmt)
    assert facts.has_alpha
    with open_source(path, index.info, index.frames, linear=False) as source:
        # From the end, so that it has to seek and flush.
        last = [frame for start in (2, 0) for frame in source.frames(start, 3)]
        return np.stack([frame.planes[-1] for frame in last]) / facts.max_value


@pytest.mark.parametrize("restorer", ["bicubic", "xpsr-s"])
@pytest.mark.parametrize("name", SOURCES)
def test_opacity_is_enlarged_and_kept(name, restorer, corpus_folder, tmp_path):
    source = tmp_path / name
    corpus.run([*f"{PICTURE} {SOURCES[name]}".split(), str(source)])
    overrides = {"restore.restorer": restorer, "restore.scale": 2, "caption.captioner": "none"}
    report = vidsr.enhance(source, overrides=overrides | {"encode.preset": "ultrafast"})
    codec, suffix = WRITTEN[name]
    video = probe(report.output).video
    assert (video.codec, report.output.suffix) == (codec, suffix)
    assert video.bit_depth >= probe(source).video.bit_depth
    assert any(f"encoded with {codec}: it keeps the transparency" in line for line in report.warnings)
    made = opacities(report.output)
    assert made.shape[1:] == (2 * HEIGHT, 2 * WIDTH)
    left, right = made[:, :, : WIDTH - 8], made[:, :, WIDTH + 8 :]
    np.testing.assert_allclose(left, 64 / 255, atol=0.03)
    np.testing.assert_allclose(right, 192 / 255, atol=0.03)
    assert verify(source, report.output).ok
