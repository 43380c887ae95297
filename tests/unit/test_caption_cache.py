import json
import threading
from pathlib import Path

import pytest

from vidsr.caption.cache import PriorCache, default_folder, key_of
from vidsr.errors import UnwritableError
from vidsr.types import Prior

KEY = key_of({"picture": "a"})
PRIOR = Prior(high_level="ein Bär, naß", low_level="strong noise", captioner="mllm/1")


@pytest.fixture
def cache(tmp_path: Path) -> PriorCache:
    cache = PriorCache(folder=tmp_path / "deep" / "priors")
    cache.check()
    cache.put(KEY, PRIOR)
    return cache


def test_what_is_kept_comes_back(cache: PriorCache) -> None:
    assert PriorCache(folder=cache.folder).get(KEY) == PRIOR
    assert cache.get(key_of({"picture": "b"})) is None


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert PriorCache(folder=tmp_path / "nothing").get(KEY) is None


@pytest.mark.parametrize(
    "damage", ["empty", "torn", "other words", "other kind", "other key", "no text", "list"]
)
def test_a_damaged_entry_is_no_entry(damage: str, cache: PriorCache) -> None:
    (path,) = cache.folder.iterdir()
    text = path.read_text()
    entry = json.loads(text)
    contents: dict[str, bytes] = {
        "empty": b"",
        "torn": text[: len(text) // 2].encode(),
        "other words": text.replace("strong", "little").encode(),
        "other kind": json.dumps({**entry, "prior": {"high_level": 3}}).encode(),
        "other key": json.dumps({**entry, "key": key_of({"picture": "b"})}).encode(),
        "no text": b"\xff\xfe\x00",
        "list": b"[]",
    }
    path.write_bytes(contents[damage])
    assert cache.get(KEY) is None
    cache.put(KEY, PRIOR)
    assert cache.get(KEY) == PRIOR


def test_two_runs_may_keep_the_same_at_once(cache: PriorCache) -> None:
    failures: list[Exception] = []

    def keep() -> None:
        try:
            for _ in range(20):
                cache.put(KEY, PRIOR)
        except UnwritableError as error:
            failures.append(error)

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [path.name for path in cache.folder.iterdir()] == [f"{KEY}.json"]


def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableError, match=r"file/priors: .*VIDSR_CACHE.*caption\.cache=false"):
        PriorCache(folder=tmp_path / "file" / "priors").check()


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"VIDSR_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a/priors")),
        ({"VIDSR_CACHE": "", "XDG_CACHE_HOME": "/b"}, Path("/b/vidsr/priors")),
        ({}, Path.home() / ".cache" / "vidsr" / "priors"),
    ],
)
def test_the_folder_follows_the_environment(environment: dict[str, str], folder: Path) -> None:
    assert default_folder(environment) == folder
