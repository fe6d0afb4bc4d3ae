"""All exceptions and warnings that erasetest raises on purpose.

ErasetestError
├── BadInput              the user's input cannot be used: exit status 2 (4 under pytest)
│   ├── ManifestError     a manifest, problem file, thresholds file or other input file is invalid
│   ├── ClmError          a CLM cannot be loaded or used
│   └── MissingExtra      an optional dependency is not installed
├── ErasureError          erasing failed
└── SandboxError          this machine cannot run generated programs safely
ErasetestWarning
├── ShortSecretWarning    secrets are too short to be masked
└── ClmWarning            a CLM is used otherwise than its files make one expect

Every message is one line: what was given, what was expected, what to do. No message contains text
of a sample.
"""

from __future__ import annotations

from pathlib import Path


class ErasetestError(Exception):
    """Base class of all errors that erasetest raises on purpose."""


class BadInput(ErasetestError):
    """The user's input cannot be used as it is."""


class ErasetestWarning(UserWarning):
    """Base class of all warnings of erasetest: one line each."""


class ShortSecretWarning(ErasetestWarning):
    """Secrets are too short to be masked in output."""


class ClmWarning(ErasetestWarning):
    """A CLM is used otherwise than its files make one expect."""


class ManifestError(BadInput):
    """An input file, or one line of it, cannot be read or does not have the expected format."""

    def __init__(self, path: str | Path, line: int | None, reason: str) -> None:
        self.path = str(path)
        self.line = line
        self.reason = reason
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {reason}")

    def __reduce__(self) -> tuple[type[ManifestError], tuple[str, int | None, str]]:
        return type(self), (self.path, self.line, self.reason)


class ClmError(BadInput):
    """A code language model cannot be loaded, or does not support the requested operation."""


class MissingExtra(BadInput):
    """An optional dependency is required but not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'erasetest[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self.purpose)


class ErasureError(ErasetestError):
    """Erasing failed; the original checkpoint is unchanged."""


class SandboxError(ErasetestError):
    """Generated programs cannot be run on this machine with the requested isolation."""


def one_line(error: BaseException) -> str:
    """Return the type and the message of an error, in one line of at most 200 characters.

    For an ImportError with a cause, the cause is reported: transformers raises ImportError for any
    error inside one of its modules, a time-out included.
    """
    while isinstance(error, ImportError) and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
