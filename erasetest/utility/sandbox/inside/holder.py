"""The process that holds a program: runs it, then answers whatever the test asks of it.

Nothing here guards anything: the program shares this process and can do with it what it likes. What
the test's process accepts from here is decided over there (`tester.py`).
"""

# exec is what this file is about.
# ruff: noqa: S102

from __future__ import annotations

import builtins
import sys

from .codec import BY_NAME, OF_RECEIVER, OF_SENDER
from .connection import Connection, Gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType
    from typing import Any


def hold(program: CodeType, incoming: int, outgoing: int) -> None:
    """Run the program, then answer what is asked of it."""
    module = type(sys)("program")
    sys.modules["program"] = sys.modules["__main__"] = module
    exec(program, vars(module))
    side = _Holder(vars(module))
    side.connection = Connection(incoming, outgoing, side)
    try:
        side.connection.serve()
    except Gone:
        return


class _Holder:
    """Gives away every object of the program, and accepts every reference of the test."""

    says_why = True
    connection: Connection

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._own: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._handed: dict[int, Handed] = {}

        def named(name: str) -> Any:
            if name in namespace:
                return namespace[name]
            raise NameError(name)

        self._answers: dict[str, Callable[..., Any]] = {
            "ready": lambda: None,
            "global": named,
            "call": lambda target, arguments, keywords: target(*arguments, **keywords),
            "getattr": getattr,
            "getitem": lambda target, key: target[key],
            "len": len,
            "bool": bool,
            "iter": iter,
            "next": advance,
        }

    def answer(self, question: str, arguments: list[Any]) -> Any:
        return self._answers[question](*arguments)

    def refer(self, value: Any, *, asks: bool) -> tuple[bytes, Any]:
        if type(value) is Handed:
            return OF_RECEIVER, value._number
        name = getattr(value, "__name__", None) if isinstance(value, type) else None
        if name is not None and vars(builtins).get(name) is value:
            return BY_NAME, f"builtins:{name}"
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._own)
            self._own.append(value)  # which also keeps its id its own
        return OF_SENDER, self._numbers[id(value)]

    def resolve(self, mark: bytes, given: Any) -> Any:
        if mark == OF_SENDER:
            return self._handed.setdefault(given, Handed(self.connection, given))
        if mark == OF_RECEIVER:
            return self._own[given]
        module, _, path = given.partition(":")
        found: Any = __import__(module, fromlist=["*"])
        for name in path.split("."):
            found = getattr(found, name)
        return found


def advance(iterator: Iterator[Any]) -> list[Any]:
    """Return the next item of an iterator in a list, which is empty at the end."""
    try:
        return [next(iterator)]
    except StopIteration:
        return []


class Handed:
    """An object that the test handed over. It lives with the test and equals only itself."""

    __slots__ = ("_connection", "_number")

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Have the test call it."""
        return self._connection.ask("call", self._number, arguments, keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        is_method, value = self._connection.ask("attribute", self._number, name)
        if not is_method:
            return value

        def method(*arguments: Any, **keywords: Any) -> Any:
            return self._connection.ask("method", self._number, name, arguments, keywords)

        return method

    def __iter__(self) -> Iterator[Any]:
        iterator = self._connection.ask("iter", self._number)
        while items := self._connection.ask("items", iterator):
            yield from items

    def __next__(self) -> Any:
        items = self._connection.ask("next", self._number)
        if items:
            return items[0]
        raise StopIteration
