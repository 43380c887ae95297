"""Makes a damaged file again that a fuzz run has named: python -m tests.fuzz.one CLASS SEED FILE."""

import sys
import tempfile
from pathlib import Path

from tests import corpus
from tests.fuzz.mutate import mutated

if __name__ == "__main__":
    name, seed, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        Path(target).write_bytes(mutated(corpus.make(name, Path(folder)).read_bytes(), int(seed)))
