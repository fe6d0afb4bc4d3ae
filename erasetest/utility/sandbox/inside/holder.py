"""The holder: the process that executes the program, then answers the questions of the test.

Nothing here is a protection: the program shares this process and controls it. The tester decides
what it accepts from here (`tester.py`).
"""

# Executing a program by exec is the purpose of this file.
# ruff: noqa: S102

from __future__ import annotations

import _operator as operator
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
    """Execute the program, then answer questions until the tester has ended."""
    module = type(sys)("program")
    sys.modules["program"] = sys.modules["__main__"] = module
    exec(program, vars(module))
    side = _Holder(vars(module))
    side.connection = Connection(incoming, outgoing, side)
    try:
        side.connection.serve()
    except Gone:
        return


NUMBERS = (1 << 48) - 1
"""Mask of the bits of a reference that are the number of an object of the program."""

ABILITIES = (
    "__call__", "__iter__", "__next__", "__len__", "__getitem__", "__setitem__", "__contains__",
    "__instancecheck__",
)  # fmt: skip
"""Methods of an object of the program that a test can use. The bits of a reference above its number
encode which of them the object has."""


class _Holder:
    """Passes any object of the program, and accepts any reference of the test."""

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
            "setattr": setattr,
            "getitem": lambda target, key: target[key],
            "setitem": operator.setitem,
            "contains": lambda target, item: item in target,
            "isinstance": lambda target, each: isinstance(each, target),
            "len": len,
            "bool": bool,
            "str": str,
            "repr": repr,
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
            self._own.append(value)  # the reference also keeps its id from being reused
        number = self._numbers[id(value)]
        return OF_SENDER, number | _abilities(value) << NUMBERS.bit_length()

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


def _abilities(value: Any) -> int:
    """Return which of `ABILITIES` an object has, as a bit mask."""
    # Not getattr, which would also find methods of the metaclass: every class can be called.
    defined: set[str] = set().union(*(vars(each) for each in type(value).__mro__))
    has = [name in defined for name in ABILITIES]
    has[ABILITIES.index("__instancecheck__")] = isinstance(value, type)
    return sum(each << bit for bit, each in enumerate(has))


def advance(iterator: Iterator[Any]) -> list[Any]:
    """Return the next item of an iterator in a list; an empty list at the end."""
    try:
        return [next(iterator)]
    except StopIteration:
        return []


class Handed:
    """An object that the test passed. It stays with the tester and equals only itself."""

    __slots__ = ("_connection", "_number")

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Ask the tester to call the object."""
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
