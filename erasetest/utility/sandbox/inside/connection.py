"""Requests and responses between the holder of a program and its tester (RPC over two pipes).

A frame is a length of 4 bytes and as many bytes: `q` a question, `a` an answer, `e` an exception.
While a side waits for an answer, it answers questions of the other side, so that a test can pass a
function and be called back. The `Side` of a connection decides what is answered, and what a
reference resolves to.
"""

from __future__ import annotations

import _thread
import builtins
import functools
import os

from .codec import Unreadable, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Protocol

    class Side(Protocol):
        """What one end of a connection passes to the other, and what it accepts."""

        says_why: bool
        """Whether the text of an exception is passed with its type."""

        def answer(self, question: str, arguments: list[Any]) -> Any:
            """Answer a question of the other side, or raise to refuse it."""

        def refer(self, value: Any, *, asks: bool) -> tuple[bytes, Any]:
            """Return the tag and the number or name of a value, or raise to refuse it.

            `asks` is True for values in a question of this side, False for values in an answer.
            """

        def resolve(self, mark: bytes, given: Any) -> Any:
            """Return the object for a tag and a number or name, or raise to refuse it."""


MAX_BYTES = 64 << 20
"""Maximum size of a frame."""

_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and "Group" not in name
}
# Raised by a function of the program, these would end a loop of the test.
_EXCEPTIONS["StopIteration"] = _EXCEPTIONS["StopAsyncIteration"] = RuntimeError


class Gone(BaseException):
    """The other side has ended or violated the protocol. `except Exception` does not catch it."""


class Connection:
    """One end of the connection.

    Args:
        incoming: descriptor to read from.
        outgoing: descriptor to write to.
        side: decides what this end answers and accepts.
    """

    def __init__(self, incoming: int, outgoing: int, side: Side) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._side = side
        self._asking = _thread.RLock()
        self.gone = False

    def ask(self, question: str, *arguments: Any) -> Any:
        """Ask the other side and return its answer.

        Raises:
            Gone: the other side has ended.
            Exception: the exception of the other side, as the nearest built-in type.
        """
        # One thread of a test asks at a time. Reentrant, because an answer may ask, too.
        with self._asking:
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
        """Answer questions until the other side has ended.

        Raises:
            Gone: always, when the other side has ended.
        """
        while True:
            kind, value = self._receive()
            if kind != b"q":
                raise self._lost()
            self._answer(value)

    def _answer(self, asked: Any) -> None:
        try:
            question, *arguments = asked
            self._send(b"a", self._side.answer(question, arguments))
        except Exception as error:
            names = [each.__name__ for each in type(error).__mro__]
            self._send(b"e", (names, *(_why(error) if self._side.says_why else ("", ()))))

    def _raised(self, value: Any) -> BaseException:
        if type(value) is not tuple or [type(each) for each in value] != [list, str, tuple]:
            return self._lost()
        names, text, arguments = value
        for name in names:
            kind = _EXCEPTIONS.get(name) if type(name) is str else None
            if kind is None:
                continue
            # A type may require other arguments: then a base type is tried.
            for given in (arguments, (text,)):
                try:
                    return kind(*given)
                except TypeError:
                    continue
        return self._lost()

    # ---- frames ----

    def _send(self, kind: bytes, value: Any) -> None:
        refer = functools.partial(self._side.refer, asks=kind == b"q")
        data = kind + encode(value, refer)
        data = len(data).to_bytes(4, "little") + data
        try:
            while data:
                data = data[os.write(self._outgoing, data) :]
        except OSError:
            raise self._lost() from None

    def _receive(self) -> tuple[bytes, Any]:
        size = int.from_bytes(self._read(4), "little")
        if not 0 < size <= MAX_BYTES:
            raise self._lost()
        data = self._read(size)
        try:
            return data[:1], decode(data[1:], self._side.resolve)
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
        """Mark the connection as lost and return the exception to raise."""
        self.gone = True
        return Gone()


def _why(error: BaseException) -> tuple[str, tuple[Any, ...]]:
    """Return the text of an exception, and its arguments if they are plain data."""
    try:
        text = str(error)
    except Exception:
        text = ""
    try:
        encode(error.args, _refuse)
    except Exception:
        return text, (text,)
    return text, error.args


def _refuse(value: Any) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is not data")
