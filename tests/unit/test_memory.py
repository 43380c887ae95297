"""Freed pictures stay with the process."""

import platform
import subprocess
import sys

import pytest

CHILD = """
import resource, sys
import numpy as np
from vidsr.memory import keep_freed_blocks

if sys.argv[1] == "keep":
    keep_freed_blocks()

def faults_of_pictures():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        first, second = np.ones((1080, 1920, 3), np.uint8), np.ones((2160, 3840), np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of_pictures()
print(faults_of_pictures())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_pictures_are_not_taken_from_the_system_again_and_again() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", CHILD, how], check=True, capture_output=True).stdout)
        for how in ("keep", "leave")
    )
    assert kept < given_back / 10
