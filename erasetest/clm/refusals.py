"""Words that the refusals of a CLM share: errors of libraries in one line, names, remote code."""

from __future__ import annotations

from collections.abc import Sequence

from erasetest.errors import ClmError


def one_line(error: BaseException) -> str:
    """Type and message of an error, in one line.

    Of an import that failed because of another error, that error: transformers reports whatever
    goes wrong inside a module, a time-out included, as a module that is missing.
    """
    while isinstance(error, ImportError) and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


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
