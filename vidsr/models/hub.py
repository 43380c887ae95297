"""Downloads from the Hugging Face hub. Nothing else in vidsr uses a network, and this only when asked to."""

import errno
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # httpx or httpx2, by its version

from vidsr.errors import MissingWeightsError, TransientError, VidsrError
from vidsr.files import sha256_of, write_error

_OF_THE_DISK = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
}
_REFUSALS = (
    (GatedRepoError, "the hub asks to accept its terms first: do so on its page, then: hf auth login"),
    (RepositoryNotFoundError, "no such model on the hub, and no such folder here"),
    (RevisionNotFoundError, "the hub has no such revision of it"),
    (OfflineModeIsEnabled, "HF_HUB_OFFLINE forbids the download; unset it"),
)
_FIRST_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """What the hub says of a file."""

    size_bytes: int | None
    sha256: str | None
    """None for small files, which the hub keeps otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of the hub at one commit, and the folder its files are downloaded into."""

    id: str
    commit: str
    files: Mapping[str, RemoteFile]
    folder: Path

    @property
    def source(self) -> str:
        """Where its files come from, for the manifest."""
        return f"hub:{self.id}@{self.commit}"

    def holds(self, path: Path) -> bool:
        """Return whether a path in the folder is one of the repository's files."""
        return path.is_relative_to(self.folder) and path.relative_to(self.folder).as_posix() in self.files

    def fetch(self, paths: Collection[Path]) -> None:
        """Download files to their paths in the folder; what is there already is not downloaded again.

        Raises:
            TransientError: the network failed, or gave other bytes than it had announced.
            MissingWeightsError: the hub refused.
            UnwritableError, DiskFullError: naming the folder.
        """
        names = [path.relative_to(self.folder).as_posix() for path in paths]
        with _errors_of_ours(self.id, self.folder):
            # One after the other, on this thread: snapshot_download's threads go on after a signal to stop.
            for name in names:
                hf_hub_download(self.id, name, revision=self.commit, local_dir=self.folder)
        for name in names:
            self._check(name)

    def _check(self, name: str) -> None:
        path, remote = self.folder / name, self.files[name]
        there = path.is_file() and remote.size_bytes in {None, path.stat().st_size}
        if there and remote.sha256 in {None, sha256_of(path)}:
            return
        path.unlink(missing_ok=True)
        msg = f"{self.id}: {name} did not arrive whole; run the same command again"
        raise TransientError(msg)


def open_repository(repository: str, *, revision: str | None, folder: Path) -> Repository:
    """Ask the hub what is in a repository of models.

    Args:
        repository: its id, ORG/NAME.
        revision: a branch, tag or commit; None for the newest.
        folder: where files are to go.

    Raises:
        MissingWeightsError: there is no such repository, or not for this user.
        TransientError: the network or the hub failed.
    """
    with _errors_of_ours(repository, folder):
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
    files = {
        file.rfilename: RemoteFile(size_bytes=file.size, sha256=file.lfs.sha256 if file.lfs else None)
        for file in info.siblings or ()
    }
    return Repository(id=repository, commit=info.sha or "main", files=files, folder=folder)


@contextmanager
def _errors_of_ours(repository: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EntryNotFoundError, httpx.HTTPError) as error:
        raise _error_of_ours(repository, folder, error) from error


def _error_of_ours(repository: str, folder: Path, error: Exception) -> VidsrError:
    """Return the error of ours for one of the hub's, most of which are errors of the operating system too."""
    for kind, words in _REFUSALS:
        if isinstance(error, kind):
            return MissingWeightsError(f"{repository}: {words}")
    if isinstance(error, HfHubHTTPError) and not _may_pass(error.response.status_code):
        return MissingWeightsError(f"{repository}: the hub refused with status {error.response.status_code}")
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        return write_error(folder, error)
    said = str(error).split("\n", maxsplit=1)[0]
    return TransientError(f"{repository}: the download failed ({type(error).__name__}: {said}); try again")


def _may_pass(status: int) -> bool:
    return status >= _FIRST_SERVER_ERROR or status == _TOO_MANY_REQUESTS
