"""The type of sensitive text, which only `reveal` shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, final


@final
class Masked:
    """Sensitive text that can only be read by `reveal`.

    `repr`, `str`, `format` and pickle give its length only; an unpickled copy has lost the text and
    raises on `reveal`. It is not a `str`, so formatting, logging and assertion rewriting cannot
    reach the text by accident. No attribute holds the text either: code that lists attributes,
    slots or state (`inspect`, `copyreg`, debuggers) finds a function.
    """

    __slots__ = ("_length", "_reveal")

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text
        self._length = len(text)

    def reveal(self) -> str:
        """Return the text. Do not keep it in a local variable of a frame that may raise."""
        return self._reveal()

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"<masked, {self._length} characters>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Masked):
            return False
        if self._reveal is _lost or other._reveal is _lost:
            return self._reveal is other._reveal and self._length == other._length
        return self._reveal() == other._reveal()

    def __hash__(self) -> int:
        return hash((Masked, self._length if self._reveal is _lost else self._reveal()))

    def __copy__(self) -> Masked:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Masked:
        return self

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return _masked_only, (self._length,)

    def __getstate__(self) -> dict[str, int]:
        # Since Python 3.11 the default returns all slots.
        return {"length": self._length}

    def __iter__(self) -> NoReturn:
        raise TypeError("masked text cannot be iterated: call reveal()")


def _masked_only(length: int) -> Masked:
    masked = Masked("")
    masked._reveal = _lost
    masked._length = length
    return masked


def _lost() -> NoReturn:
    raise ValueError("pickling removed this masked text: read the manifest again")
