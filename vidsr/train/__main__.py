"""`python -m vidsr.train`: the training program on its own.

`accelerate launch -m` starts it for XPSR; the embedded model is trained on machines that have only torch.
"""

import argparse
import logging
from pathlib import Path

from vidsr.train.program import TrainOptions, start
from vidsr.train.xpsr.names import ABLATIONS


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m vidsr.train", description="Train the embedded model or XPSR."
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--held-out", type=Path, default=None, metavar="FILE", help="pictures to refuse")
    parser.add_argument("--lpips", type=Path, default=None, metavar="WEIGHTS", help="for perceptual_weight")
    parser.add_argument("--start-from", type=Path, default=None, metavar="WEIGHTS")
    parser.add_argument("--base", type=Path, default=None, metavar="DIR", help="Stable Diffusion 1.5")
    parser.add_argument("--ablate", default=None, choices=ABLATIONS, help="train without")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--ranks", type=int, default=1, metavar="N", help="processes that share a batch")
    parser.add_argument("--tensorboard", action="store_true", help="also write event files for tensorboard")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    start(TrainOptions(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
