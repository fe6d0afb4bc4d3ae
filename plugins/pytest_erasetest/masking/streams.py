"""Mask what is written to standard output and standard error."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

from erasetest.samples.redactor import Redactor, StreamRedactor

GetRedactor = Callable[[], Redactor]


class MaskedStream:
    """A text stream that masks what is written to it. Other attributes are those of the stream."""

    def __init__(self, stream: Any, redactor: GetRedactor) -> None:
        self._stream, self._redactor = stream, redactor
        self._pieces = StreamRedactor()

    def write(self, text: str) -> int:
        """Write a text, masked; return the length of the unmasked text, as callers expect."""
        self._stream.write(self._pieces(self._redactor(), text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts, masked."""
        for line in lines:
            self.write(line)

    @functools.cached_property
    def buffer(self) -> MaskedBytes:
        """The binary stream below the text stream."""
        return MaskedBytes(self._stream.buffer, self._redactor, self._pieces)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class MaskedBytes:
    """A binary stream that masks UTF-8 text. Other attributes are those of the stream."""

    def __init__(self, stream: Any, redactor: GetRedactor, pieces: StreamRedactor) -> None:
        self._stream, self._redactor, self._pieces = stream, redactor, pieces

    def write(self, data: bytes) -> int:
        """Write bytes, masked; return the number of unmasked bytes, as callers expect."""
        text = bytes(data).decode("utf-8", "surrogateescape")
        masked = self._pieces(self._redactor(), text)
        self._stream.write(masked.encode("utf-8", "surrogateescape"))
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def mask_standard_streams(redactor: GetRedactor) -> None:
    """Mask standard output and error of this process until it ends.

    They are not restored, because Python prints an exception that ends the process after pytest.
    """
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        stream = getattr(sys, name)
        if stream is not None:
            setattr(sys, name, MaskedStream(stream, redactor))
