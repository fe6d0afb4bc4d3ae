"""Parts of error messages about checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from erasetest.errors import ClmError


def tensors(names: Sequence[str], shown: int = 3) -> str:
    """Return the number of tensors and the names of the first few."""
    more = ", …" if len(names) > shown else ""
    plural = "" if len(names) == 1 else "s"
    return f"{len(names)} tensor{plural} ({', '.join(names[:shown])}{more})"


def remote_code(name: str) -> ClmError:
    """Return the error for a checkpoint that needs its own code to run."""
    return ClmError(
        f"{name}: needs the code that comes with it, which is not run: allow it with "
        "--clm-trust-remote-code once you have read it"
    )
