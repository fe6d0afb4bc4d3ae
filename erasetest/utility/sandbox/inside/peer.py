"""Two processes that use each other's objects, as far as each allows it.

A frame is a length of 4 bytes and as many bytes: `q` a question, `a` an answer, `e` an exception.
Each side answers the other's questions while it waits for an answer of its own, so a function may
be handed over and called back.
"""

from __future__ import annotations

import os

from .wire import Unreadable, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

MOST_BYTES = 64 << 20
"""Of one frame."""


class Gone(BaseException):
    """The other side has ended, or breaks the protocol. No `except Exception` stops it."""


class Remote:
    """An object that lives with the other side. It equals nothing but itself."""

    __slots__ = ("_number", "_peer")

    def __init__(self, peer: Peer, number: int) -> None:
        self._peer = peer
        self._number = number

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it over there."""
        return self._peer.ask("call", self, arguments, named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._peer.ask("getattr", self, name)

    def __getitem__(self, key: Any) -> Any:
        return self._peer.ask("getitem", self, key)

    def __len__(self) -> int:
        return int(self._peer.ask("len", self))

    def __bool__(self) -> bool:
        return bool(self._peer.ask("bool", self))

    def __iter__(self) -> Iterator[Any]:
        iterator = self._peer.ask("iter", self)
        while step := self._peer.ask("next", iterator):
            yield from step


def _next(iterator: Iterator[Any]) -> list[Any]:
    for item in iterator:
        return [item]
    return []


EVERYTHING: Mapping[str, Callable[..., Any]] = {
    "call": lambda target, arguments, named: target(*arguments, **named),
    "getattr": getattr,
    "getitem": lambda target, key: target[key],
    "len": len,
    "bool": bool,
    "iter": iter,
    "next": _next,
}
"""What a `Remote` can be asked for."""


def _attribute(target: Any, name: str) -> Any:
    """Only of what the test's own classes make: anywhere else attributes lead everywhere."""
    if type(target).__module__ != TEST or name.startswith("_"):
        raise AttributeError(name)
    return getattr(target, name)


TEST = "test"
"""The module that a test runs as."""

FUNCTIONS = {name: EVERYTHING[name] for name in ("call", "iter", "next")} | {"getattr": _attribute}
"""What the untrusted side may ask of objects that a test hands over."""


class Peer:
    """One end.

    Args:
        incoming: descriptor to read from.
        outgoing: descriptor to write to.
        answers: the questions that this end answers; the first argument is an object of its own.
        says_why: whether the text of an exception is handed over with its type.
    """

    def __init__(
        self,
        incoming: int,
        outgoing: int,
        answers: Mapping[str, Callable[..., Any]],
        *,
        says_why: bool,
    ) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._answers = answers
        self._says_why = says_why
        self._own: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._remotes: dict[int, Remote] = {}
        self.gone = False

    def ask(self, question: str, *arguments: Any) -> Any:
        """The other side's answer.

        Raises:
            Gone: there is none.
            Exception: what the other side raised, as the nearest built-in type.
        """
        if self.gone:
            raise Gone
        self._send(b"q", (question, *arguments))
        while True:
            kind, value = self._receive()
            if kind == b"q":
                self._answer(value)
            elif kind == b"a":
                return value
            else:
                raise self._raised(value)

    def serve(self) -> None:
        """Answer until the other side has ended."""
        while True:
            kind, value = self._receive()
            if kind != b"q":
                raise self._lost()
            self._answer(value)

    def _answer(self, asked: Any) -> None:
        try:
            question, *arguments = asked
            value = self._answers[question](*arguments)
            self._send(b"a", value)
        except Exception as error:
            names = [each.__name__ for each in type(error).__mro__]
            self._send(b"e", (names, _text(error) if self._says_why else ""))

    def _raised(self, value: Any) -> BaseException:
        import builtins

        try:
            names, text = value
            for name in names:
                # These end loops of the test, as no function of a program may.
                name = "RuntimeError" if name in ("StopIteration", "StopAsyncIteration") else name
                kind = getattr(builtins, name, None)
                if isinstance(kind, type) and issubclass(kind, Exception):
                    try:
                        return kind(text)
                    except TypeError:
                        continue
        except (TypeError, ValueError):
            pass
        return self._lost()

    # ---- frames ----

    def _send(self, kind: bytes, value: Any) -> None:
        data = kind + encode(value, self._refer)
        data = len(data).to_bytes(4, "little") + data
        try:
            while data:
                data = data[os.write(self._outgoing, data) :]
        except OSError:
            raise self._lost() from None

    def _receive(self) -> tuple[bytes, Any]:
        size = int.from_bytes(self._read(4), "little")
        if not 0 < size <= MOST_BYTES:
            raise self._lost()
        data = self._read(size)
        try:
            return data[:1], decode(data[1:], self._resolve)
        except Unreadable:
            raise self._lost() from None

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                more = os.read(self._incoming, min(size - len(data), 1 << 20))
            except OSError:
                more = b""
            if not more:
                raise self._lost()
            data += more
        return bytes(data)

    def _lost(self) -> Gone:
        """To be raised: there is no other side any more."""
        self.gone = True
        return Gone()

    def _refer(self, value: Any) -> tuple[bytes, int]:
        if type(value) is Remote:
            return b"y", value._number
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._own)
            self._own.append(value)  # which also keeps its id its own
        return b"m", self._numbers[id(value)]

    def _resolve(self, mark: bytes, number: int) -> Any:
        if mark == b"m":
            return self._remotes.setdefault(number, Remote(self, number))
        return self._own[number]


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""
