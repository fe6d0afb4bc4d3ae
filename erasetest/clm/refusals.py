"""What the refusals of a CLM share: names of tensors, and code that comes with a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from erasetest.errors import ClmError


def tensors(names: Sequence[str], shown: int = 3) -> str:
    """How many tensors, and the names of the first few."""
    more = ", …" if len(names) > shown else ""
    plural = "" if len(names) == 1 else "s"
    return f"{len(names)} tensor{plural} ({', '.join(names[:shown])}{more})"


def remote_code(name: str) -> ClmError:
    """The refusal of a checkpoint that needs code of its own."""
    return ClmError(
        f"{name}: comes with code of its own, which is not run: allow it with "
        "--clm-trust-remote-code once you have read it"
    )
