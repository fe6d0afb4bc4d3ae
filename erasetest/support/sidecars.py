"""Names of the hidden files that are kept beside an output while it is made.

All are `.NAME.erasetest-PURPOSE`, beside the output NAME: locks, journals that let a stopped run
resume, and temporary files (PURPOSE begins with `tmp-`). Nothing else may use such names: what
starts with them belongs to the run that writes NAME.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

_MARK = ".erasetest-"
_TEMPORARY = "tmp-"


def sidecar(output: str | Path, purpose: str) -> Path:
    """Return the path of a hidden file beside an output, for example `.NAME.erasetest-lock`.

    Links are resolved, so that all names of an output share its sidecars. The sidecar of a sidecar
    is one of the same output: `.NAME.erasetest-samples-lock`.
    """
    output = Path(output).resolve()
    return output.with_name(_prefix(output) + purpose)


def temporary_sidecar(output: str | Path, name: str) -> Path:
    """Return the path of a temporary file of a known name; see `remove_temporary_sidecars`."""
    return sidecar(output, _TEMPORARY + name)


def temporary_prefix(output: str | Path) -> str:
    """Return the beginning of the names of an output's temporary files and folders."""
    return _prefix(Path(output)) + _TEMPORARY


def is_sidecar(path: Path, output: Path) -> bool:
    """Return whether a path is one of the hidden files beside an output."""
    # Names first: resolving every file of a corpus would take long.
    if not path.name.startswith(".") or _MARK not in path.name:
        return False
    output = output.resolve()
    return path.name.startswith(_prefix(output)) and path.parent.resolve() == output.parent


def remove_temporary_sidecars(output: Path) -> None:
    """Remove temporary files that killed runs left beside an output.

    Call it with the output reserved: no other run may be writing it.
    """
    prefix = temporary_prefix(output)
    with contextlib.suppress(OSError):
        for path in output.parent.iterdir():
            if not path.name.startswith(prefix):
                continue
            with contextlib.suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _prefix(output: Path) -> str:
    is_itself_sidecar = output.name.startswith(".") and _MARK in output.name[1:]
    return f"{output.name}-" if is_itself_sidecar else f".{output.name}{_MARK}"
