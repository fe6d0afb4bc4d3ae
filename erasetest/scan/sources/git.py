"""Git repositories as they are at a revision, read without a checkout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from erasetest.errors import BadInput
from erasetest.scan.reading import LARGEST_FILE
from erasetest.scan.sources.texts import BATCH, Text, from_bytes, too_large
from erasetest.scan.walk import Skipped, shown

_LINK, _MODULE = b"120000", b"160000"


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a revision: its path in the repository, and its object."""

    path: str
    object_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Blobs:
    """Some files of a revision."""

    repository: Path
    blobs: tuple[Blob, ...]

    @property
    def name(self) -> str:
        """Of the first."""
        return f"{shown(self.repository)}/{self.blobs[0].path}"

    @property
    def key(self) -> str:
        """Objects never change."""
        first, last = self.blobs[0], self.blobs[-1]
        return f"git {self.name} {len(self.blobs)} {first.object_id} {last.object_id}"

    @property
    def size(self) -> int:
        """In all."""
        return sum(blob.size for blob in self.blobs)

    def texts(self) -> Iterator[Text | Skipped]:
        """Each file's text."""
        asked = "".join(f"{blob.object_id}\n" for blob in self.blobs).encode()
        said = _git(self.repository, ["cat-file", "--batch"], asked)
        at = 0
        for blob in self.blobs:
            name = f"{shown(self.repository)}/{blob.path}"
            end = said.find(b"\n", at)
            header = said[at:end].split() if end >= 0 else []
            if len(header) != 3:
                yield Skipped(name, "the repository lacks its object")
                at = end + 1 if end >= 0 else len(said)
                continue
            size = int(header[2])
            yield from_bytes(name, said[end + 1 : end + 1 + size])
            at = end + 1 + size + 1


def jobs_of_revision(repository: Path, revision: str) -> Iterator[Blobs | Skipped]:
    """The jobs of a repository at a revision. Data sets in it are read as files.

    Raises:
        BadInput: git is missing, it is no repository, or the revision is unknown there.
    """
    commit = _git(
        repository, ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{tree}}"]
    )
    waiting: list[Blob] = []
    size = 0
    for entry in _entries(
        _git(repository, ["ls-tree", "-rlz", "--full-tree", commit.decode().strip()])
    ):
        if isinstance(entry, Skipped):
            yield Skipped(f"{shown(repository)}/{entry.path}", entry.reason)
            continue
        waiting.append(entry)
        size += entry.size
        if size >= BATCH or len(waiting) >= 500:
            yield Blobs(repository, tuple(waiting))
            waiting, size = [], 0
    if waiting:
        yield Blobs(repository, tuple(waiting))


def _entries(listed: bytes) -> Iterator[Blob | Skipped]:
    for entry in listed.split(b"\0")[:-1]:
        about, _, raw = entry.partition(b"\t")
        mode, _, object_id, size = about.split()
        path = raw.decode(errors="replace")
        if mode == _LINK:
            yield Skipped(path, "a symbolic link, which is not followed")
        elif mode == _MODULE:
            yield Skipped(path, "a submodule, which is not scanned")
        elif int(size) > LARGEST_FILE:
            yield too_large(path)
        else:
            yield Blob(path, object_id.decode(), int(size))


def _git(repository: Path, arguments: Sequence[str], asked: bytes | None = None) -> bytes:
    # A stranger's repository: nothing that its configuration names is run, nothing is fetched.
    command = ["git", "-C", str(repository), "-c", "core.fsmonitor=false", *arguments]
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no argument is taken for an option
            command, input=asked, capture_output=True, env=environment, check=False
        )
    except OSError as error:
        raise BadInput(f"git cannot be run: {error.strerror}: scan the files instead") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[0].removeprefix("fatal: ") if said else "it has no such revision"
        raise BadInput(f"{shown(repository)}: cannot be read by git: {reason}")
    return done.stdout
