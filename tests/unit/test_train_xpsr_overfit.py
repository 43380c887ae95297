"""The whole training of XPSR learns: a tiny network gets eight pictures by heart."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.tiny_training import TINY, write_base, write_published
from vidsr.train.draw import Draw
from vidsr.train.held_out import HeldOut
from vidsr.train.xpsr.encode import Encoder
from vidsr.train.xpsr.objective import Example
from vidsr.train.xpsr.pairs import Batch, Sample, Samples
from vidsr.train.xpsr.program import XpsrTrainFiles, open_encoder, start_networks
from vidsr.train.xpsr.published import open_published
from vidsr.train.xpsr.run import XpsrRun, make_accelerator
from vidsr.train.xpsr.settings import Validation

PICTURES = 8


class EachOnce(Samples):
    """Position n of every batch is picture n."""

    def sample(self, step: int, position: int) -> Sample:
        pair = self.pairs.pair(position, Draw(0))
        return Sample(pair.clean, pair.degraded, pair.high, pair.low)


class OneNoise(Encoder):
    """Each picture is always noised alike."""

    def example(self, batch: Batch) -> Example:
        return super().example(batch._replace(step=0))


@pytest.mark.timeout(900)
def test_eight_pictures_are_learnt_by_heart(tmp_path: Path) -> None:
    settings = dataclasses.replace(
        TINY,
        steps=120,
        batch_size=PICTURES,
        micro_batch=PICTURES,
        resolution=32,
        degradation=None,
        learning_rate=4e-3,
        validation=Validation(pictures=0, steps=1, guidance_scale=1.0),
        checkpoint_every=1000,
    )
    files = XpsrTrainFiles(
        data=write_published(tmp_path / "pairs", num_pictures=PICTURES, side=32),
        base=write_base(tmp_path / "sd", width=32),
        output=tmp_path / "run",
        sets=tmp_path,
    )
    files.output.mkdir()
    accelerator = make_accelerator(settings, device="cpu")
    encoder = open_encoder(files.base, accelerator.device, seed=settings.seed)
    run = XpsrRun(
        settings,
        start_networks(files, settings, None),
        OneNoise(**{field.name: getattr(encoder, field.name) for field in dataclasses.fields(encoder)}),
        EachOnce(
            pairs=open_published(files.data, resolution=32, held_out=HeldOut()),
            odds=settings.odds,
            seed=settings.seed,
            num_validation=0,
        ),
        accelerator=accelerator,
        output=files.output,
        ablation=None,
    )
    run.train()
    losses = [json.loads(line)["loss"] for line in (files.output / "log.jsonl").read_text().splitlines()]
    assert losses[-1]["total"] < losses[0]["total"] / 10
    # Both parts have their share in that.
    assert losses[-1]["noise"] < losses[0]["noise"] / 5
    assert losses[-1]["constraint"] < losses[0]["constraint"] / 5
