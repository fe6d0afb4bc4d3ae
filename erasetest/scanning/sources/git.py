"""Reads git repositories at a revision, without a checkout."""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from erasetest.errors import BadInput
from erasetest.scanning.sources.texts import (
    JOB_SIZE,
    MAX_FILES_PER_JOB,
    Text,
    from_bytes,
    too_large,
)
from erasetest.scanning.text_decoding import MAX_FILE_SIZE
from erasetest.scanning.walk import Skipped, shown

_LINK_MODE, _SUBMODULE_MODE = b"120000", b"160000"

_REDIRECTIONS = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE",
)  # fmt: skip
"""Environment variables, set in hooks for instance, that redirect git to another repository."""

_CANNOT_READ = "broken: git cannot read its object"


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a revision: its path in the repository, its object id and its size in bytes."""

    path: str
    object_id: str
    size: int


@dataclass(frozen=True, slots=True)
class BlobsJob:
    """Several files of a revision."""

    repository: Path
    blobs: tuple[Blob, ...]

    @property
    def name(self) -> str:
        """Name of the first file."""
        return self._name(self.blobs[0])

    @property
    def key(self) -> str:
        """Object ids and paths, since objects never change."""
        about = "\0".join(f"{blob.object_id} {blob.path}" for blob in self.blobs)
        return f"git {self.name} {len(self.blobs)} {zlib.crc32(about.encode()):08x}"

    @property
    def size(self) -> int:
        """Total size of the files in bytes."""
        return sum(blob.size for blob in self.blobs)

    def texts(self) -> Iterator[Text | Skipped]:
        """Yield the text of each file."""
        waiting = self.blobs
        while waiting:
            count = 0
            for text in self._read(waiting):
                yield text
                count += 1
            if count < len(waiting):
                # git exits at an object that it cannot read; the rest is requested again.
                yield Skipped(self._name(waiting[count]), _CANNOT_READ)
                count += 1
            waiting = waiting[count:]

    def _name(self, blob: Blob) -> str:
        return f"{shown(self.repository)}/{blob.path}"

    def _read(self, blobs: Sequence[Blob]) -> Iterator[Text | Skipped]:
        """Yield the texts of blobs, up to the first that git cannot read."""
        requests = "".join(f"{blob.object_id}\n" for blob in blobs).encode()
        with _started(self.repository, ["cat-file", "--batch"], stdin=subprocess.PIPE) as git:
            output = git.communicate(requests)[0]
        at = 0
        for blob in blobs:
            end = output.find(b"\n", at)
            header = output[at:end].split() if end >= 0 else []
            if len(header) != 3:
                return
            at = end + 1 + int(header[2]) + 1
            if at > len(output):
                return
            yield from_bytes(self._name(blob), output[end + 1 : at - 1])


def jobs_of_revision(repository: Path, revision: str) -> Iterator[BlobsJob | Skipped]:
    """Yield the jobs of a repository at a revision. Data sets in it are read as files.

    Raises:
        BadInput: git is missing, the path is not a repository, or the revision is unknown.
    """
    tree = _tree(repository, revision)
    waiting: list[Blob] = []
    size = 0
    for entry in _entries(repository, tree):
        if isinstance(entry, Skipped):
            yield entry
            continue
        waiting.append(entry)
        size += entry.size
        if size >= JOB_SIZE or len(waiting) >= MAX_FILES_PER_JOB:
            yield BlobsJob(repository, tuple(waiting))
            waiting, size = [], 0
    if waiting:
        yield BlobsJob(repository, tuple(waiting))


def _tree(repository: Path, revision: str) -> str:
    # Not empty in a subfolder of a repository.
    prefix = _output(repository, ["rev-parse", "--show-prefix"])
    if prefix:
        raise BadInput(
            f"{shown(repository)}: is a folder in a git repository: name the repository itself"
        )
    arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{tree}}"]
    return _output(repository, arguments)


def _entries(repository: Path, tree: str) -> Iterator[Blob | Skipped]:
    for entry in _listed(repository, tree):
        if isinstance(entry, Skipped):
            yield entry
            continue
        about, _, raw = entry.partition(b"\t")
        mode, _, object_id, size = about.split()
        path = raw.decode(errors="replace")
        name = f"{shown(repository)}/{path}"
        if mode == _LINK_MODE:
            yield Skipped(name, "a symbolic link, which is not followed")
        elif mode == _SUBMODULE_MODE:
            yield Skipped(name, "a submodule, which is not scanned")
        elif not size.isdigit():
            yield Skipped(name, _CANNOT_READ)
        elif int(size) > MAX_FILE_SIZE:
            yield too_large(name)
        else:
            yield Blob(path, object_id.decode(), int(size))


def _listed(repository: Path, tree: str) -> Iterator[bytes | Skipped]:
    """Yield the entries of a tree and its subtrees as `git ls-tree` prints them."""
    rest = b""
    with _started(repository, ["ls-tree", "-rlz", "--full-tree", tree]) as git:
        assert git.stdout is not None
        while data := git.stdout.read(2**16):
            *entries, rest = (rest + data).split(b"\0")
            yield from entries
    if git.returncode:
        reason = "git cannot list all files: it lacks objects, as a partial clone does"
        yield Skipped(shown(repository), reason)


def _output(repository: Path, arguments: Sequence[str]) -> str:
    """Return the one-line output of a git command.

    Raises:
        BadInput: git cannot be run, or fails.
    """
    with _started(repository, arguments, stderr=subprocess.PIPE) as git:
        output, errors = git.communicate()
    if git.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        reasons = [line for line in lines if line.startswith("fatal: ")] or lines
        reason = reasons[0].removeprefix("fatal: ") if reasons else "it has no such revision"
        raise BadInput(f"{shown(repository)}: cannot be read by git: {reason}")
    return output.decode(errors="replace").strip()


def _started(
    repository: Path,
    arguments: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    command = ["git", "-C", str(repository), "-c", "core.fsmonitor=false", *arguments]
    try:
        return subprocess.Popen(  # noqa: S603 - no shell, and no argument is taken for an option
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment(),
        )
    except OSError as error:
        raise BadInput(f"git cannot be run: {error.strerror}: scan the files instead") from None


def _environment() -> dict[str, str]:
    """Return an environment in which an untrusted repository makes git run and fetch nothing."""
    kept = {name: value for name, value in os.environ.items() if name not in _REDIRECTIONS}
    return kept | {
        "GIT_ALLOW_PROTOCOL": "",  # for git before 2.45, which ignores GIT_NO_LAZY_FETCH
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
