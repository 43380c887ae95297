"""tools/packages.py and the tools that fetch: what they refuse, and what they leave alone."""

import io
import os
import pickle
import re
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import fetch_metric_weights  # noqa: E402  # tools is a folder of programs, not a package
import packages  # noqa: E402


def test_stanza_asks_for_the_wanted_suite():
    stanza = "Types: deb\n# a note\nURIs: mirror\nSuites: bookworm bookworm-updates\nComponents: main"
    rewritten = packages.rewrite_stanza(stanza, own="bookworm", wanted="trixie")
    assert rewritten == "Types: deb\nURIs: mirror\nSuites: trixie\nComponents: main"


def test_stanza_of_updates_alone_is_left_out():
    stanza = "Types: deb\nURIs: mirror\nSuites: bookworm-security\nComponents: main"
    assert packages.rewrite_stanza(stanza, own="bookworm", wanted="trixie") is None


def test_source_line_keeps_its_options():
    line = "deb [signed-by=/k.gpg] mirror bookworm main contrib"
    rewritten = packages.rewrite_line(line, own="bookworm", wanted="sid")
    assert rewritten == "deb [signed-by=/k.gpg] mirror sid main contrib"


@pytest.mark.parametrize("line", ["deb mirror bookworm-updates main", "# deb mirror bookworm main", ""])
def test_other_source_lines_are_left_out(line):
    assert packages.rewrite_line(line, own="bookworm", wanted="sid") is None


def test_wrong_digest_is_refused_with_both_digests(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"other")
    with pytest.raises(
        packages.ToolError, match=r"sha256 is d9298a10d1b0735837dc4bd85dac641b0f3cef27.*expected 00"
    ):
        packages.check_digest(path, "00")


def test_failing_client_reports_what_it_said(tmp_path):
    with pytest.raises(packages.ToolError, match=r"(?s)failed with exit code 2:.*No such file"):
        packages.run_client(["ls", "/no/such/folder"], folder=tmp_path)


def test_missing_client_is_named(tmp_path):
    with pytest.raises(packages.ToolError, match="no-such-client is not installed"):
        packages.run_client(["no-such-client"], folder=tmp_path)


def make_tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as bundle:
        for name in ("package/a.jpg", "package/secret_key"):
            member = tarfile.TarInfo(name)
            member.size = 1
            bundle.addfile(member, io.BytesIO(b"x"))


def make_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as bundle:
        for name in ("package/a.jpg", "package/secret_key"):
            bundle.writestr(name, "x")


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_only_wanted_endings_are_unpacked(tmp_path, make):
    archive = tmp_path / "archive"
    make(archive)
    target = packages.Fetched(name="p", version="1", folder=tmp_path / "out")
    packages.unpack(archive, target, (".jpg",))
    files = [path.name for path in target.folder.rglob("*") if path.is_file()]
    assert files == ["a.jpg"]


def test_publish_replaces_an_older_pack(tmp_path):
    for name, content in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(content)
    packages.publish(tmp_path / "new", tmp_path / "old", marker="manifest.json")
    assert (tmp_path / "old" / "manifest.json").read_text() == "2"


def test_publish_never_replaces_a_folder_of_something_else(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(packages.ToolError, match=r"home: exists and has no manifest\.json"):
        packages.publish(tmp_path / "new", tmp_path / "home", marker="manifest.json")
    assert (tmp_path / "home" / "letter.txt").exists()


class Payload:
    def __reduce__(self):
        return os.system, ("true",)


def test_unpickler_refuses_code():
    with pytest.raises(packages.ToolError, match=r"asks for posix\.system"):
        fetch_metric_weights.unpickle_arrays(io.BytesIO(pickle.dumps({"a": Payload()})))


def test_unpickler_reads_arrays():
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = pickle.dumps({"Conv_0": {"kernel": kernel}}, protocol=4)
    assert np.array_equal(
        fetch_metric_weights.unpickle_arrays(io.BytesIO(content))["Conv_0"]["kernel"], kernel
    )


def test_tools_name_no_host():
    sources = sorted(TOOLS.glob("*.py"))
    assert len(sources) >= 9
    for path in sources:
        assert not re.search(r"https?://|\.(org|com|io)/", path.read_text()), path.name
