"""Everything that erasetest raises on purpose.

ErasetestError
├── BadInput              what the user gave cannot be used: exit status 2 (4 under pytest)
│   ├── ManifestError     a line of a manifest, problem file or thresholds file
│   ├── ClmError          a CLM that cannot be loaded or used
│   └── MissingExtra      an optional dependency that is not installed
├── ErasureError          erasing could not go on
└── SandboxError          generated programs cannot be run safely here

Every message is one line: what was given, what was expected, what to do. No message holds the text
of a sample.
"""

from __future__ import annotations

from pathlib import Path


class ErasetestError(Exception):
    """Base of all errors that erasetest raises on purpose."""


class BadInput(ErasetestError):
    """Something that the user gave cannot be used as it is."""


class ShortSecretWarning(UserWarning):
    """Secrets are too short to be masked where they are shown."""


class ManifestError(BadInput):
    """A line of an input file is not of the file's form."""

    def __init__(self, path: str | Path, line: int | None, reason: str) -> None:
        self.path = str(path)
        self.line = line
        self.reason = reason
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {reason}")

    def __reduce__(self) -> tuple[type[ManifestError], tuple[str, int | None, str]]:
        return type(self), (self.path, self.line, self.reason)


class ClmError(BadInput):
    """A code language model cannot be loaded, or not be used for what was asked."""


class MissingExtra(BadInput):
    """An optional dependency is needed and is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'erasetest[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self.purpose)


class ErasureError(ErasetestError):
    """Erasing could not go on; the original checkpoint is untouched."""


class SandboxError(ErasetestError):
    """Generated programs cannot be run on this machine as safely as was asked."""


def one_line(error: BaseException) -> str:
    """Type and message of an error, in one line.

    Of an import that failed because of another error, that error: transformers reports whatever
    goes wrong inside a module, a time-out included, as a module that is missing.
    """
    while isinstance(error, ImportError) and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
