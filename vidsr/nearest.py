"""What a name that is not known may have meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return ", did you mean X?" for the candidate that is nearest to `name`, or nothing."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.5)
    return f", did you mean {matches[0]}?" if matches else ""
