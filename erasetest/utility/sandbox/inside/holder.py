"""The process that holds a program: runs it, then answers whatever the test asks of it.

Nothing here guards anything: the program shares this process and can do with it what it likes. What
the test's process accepts from here is decided over there (`tester.py`).
"""

# exec is what this file is about.
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


NUMBERS = (1 << 48) - 1
"""The bits of a reference to an object of the program that are its number."""

ABILITIES = (
    "__call__", "__iter__", "__next__", "__len__", "__getitem__", "__setitem__", "__contains__",
    "__instancecheck__",
)  # fmt: skip
"""Methods of an object of the program that a test can use; the bits above say which it has."""


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
            self._own.append(value)  # which also keeps its id its own
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
    """Return which of `ABILITIES` an object has, a bit for each."""
    # Not getattr, which would find what the class itself can do: it can be called.
    defined: set[str] = set().union(*(vars(each) for each in type(value).__mro__))
    has = [name in defined for name in ABILITIES]
    has[ABILITIES.index("__instancecheck__")] = isinstance(value, type)
    return sum(each << bit for bit, each in enumerate(has))


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
