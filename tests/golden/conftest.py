"""Says how many sets of reference data there are."""

from tests.golden.sets import loop_runs, module_sets


def pytest_report_header() -> str:
    return f"reference data: {len(module_sets())} module sets, {len(loop_runs())} sampler runs"
