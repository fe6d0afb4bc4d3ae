"""The tester: the process that executes the test. It accepts only data from the program's process.

The program never shares a process with its test, and learns only the arguments of its calls. So its
memory does not contain the test, it cannot patch the test, and it has no exit status to fake. It
returns data, or a reference to an object that stays in its process (`Remote`) and equals only
itself.

The program's process can send any bytes, so every question is checked here:

- A question names an object by the number that the object got when the test passed it, as an
  argument or within one. There is no other way to name an object: data and results of calls have no
  number.
- An answer is data. A call that returns anything else is refused.
- Attributes can be read of objects of the test's own classes alone, from a closed list
  (`_attributes`). Objects of such classes within such an object, as in trees, are passed with it.
- A name resolves to a built-in type or exception, which can only be compared (`INERT`).

Not prevented: if a test passes the expected value to an object of the program
(`f(1).startswith(X)`, where `f` returns an object with such a method), the program decides the
answer.
"""

# Executing a test by exec is the purpose of this file.
# ruff: noqa: S102

from __future__ import annotations

import builtins
import functools
import sys

from .codec import BY_NAME, OF_RECEIVER, OF_SENDER
from .connection import Connection
from .holder import ABILITIES, advance
from .holder import NUMBERS as _NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType
    from typing import Any

INERT: dict[str, type] = {
    kind.__name__: kind
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
INERT |= {
    kind.__name__: kind
    for kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, object, set,
                 str, tuple)
}  # fmt: skip
"""Types that the program may name. They are compared, never called for it."""


def test(job: dict[str, Any], incoming: int, outgoing: int) -> bool:
    """Execute the test; return whether it ran to its end while the holder was connected.

    Args:
        job: `known` is source to execute before the test; `names` are the objects to import from
            the program; `test` is the source of the test.
        incoming: descriptor to read from.
        outgoing: descriptor to write to.

    Raises:
        BaseException: any exception of the test, which has then failed.
    """
    module = type(sys)("test")
    sys.modules["test"] = sys.modules["__main__"] = module
    namespace = vars(module)
    side = _Tester(namespace)
    connection = side.connection = Connection(incoming, outgoing, side)
    failed = None
    try:
        code = compiled(job["test"], "test")
        exec(compiled(job["known"], "known"), namespace)
    except BaseException as error:
        failed = error
    # Wait for the holder even if the test has failed: the end of this process kills the holder,
    # which must have reported its start by then.
    connection.ask("ready")
    if failed is not None:
        raise failed
    for name in job["names"]:
        namespace[name] = connection.ask("global", name)
    exec(code, namespace)
    return not connection.gone


def compiled(source: bytes, name: str) -> CodeType:
    """Compile source.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it is not valid Python.
    """
    return compile(source.decode("utf-8"), f"<{name}>", "exec", dont_inherit=True)


# ---- objects of the program, as the test sees them ----


class Remote:
    """An object that stays with the program. It equals only itself, and cannot be copied.

    Subclasses from `_remote_class` have the methods that the program's object has.
    """

    __slots__ = ("__number", "__side")

    def __init__(self, side: _Tester, number: int) -> None:
        object.__setattr__(self, "_Remote__side", side)
        object.__setattr__(self, "_Remote__number", number)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _ask(self, "getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _ask(self, "setattr", name, value)

    def __bool__(self) -> bool:
        return bool(_exactly(bool, _ask(self, "bool")))

    def __str__(self) -> str:
        return str(_exactly(str, _ask(self, "str")))

    def __repr__(self) -> str:
        return str(_exactly(str, _ask(self, "repr")))

    def __reduce__(self) -> Any:
        raise TypeError("an object of the program stays with the program")


def number_of(remote: Remote) -> int:
    """Return the number of an object of the program."""
    return int(object.__getattribute__(remote, "_Remote__number"))


def _ask(remote: Remote, question: str, *arguments: Any) -> Any:
    side = object.__getattribute__(remote, "_Remote__side")
    return side.connection.ask(question, remote, *arguments)


def _iterate(self: Remote) -> Iterator[Any]:
    iterator = _ask(self, "iter")
    while items := _exactly(list, _ask(iterator, "next") if isinstance(iterator, Remote) else None):
        yield from items


def _next(self: Remote) -> Any:
    items = _exactly(list, _ask(self, "next"))
    if items:
        return items[0]
    raise StopIteration


_METHODS: dict[str, Callable[..., Any]] = {
    "__call__": lambda self, *arguments, **named: _ask(self, "call", arguments, named),
    "__iter__": _iterate,
    "__next__": _next,
    "__len__": lambda self: _exactly(int, _ask(self, "len")),
    "__getitem__": lambda self, key: _ask(self, "getitem", key),
    "__setitem__": lambda self, key, value: _ask(self, "setitem", key, value),
    "__contains__": lambda self, item: _exactly(bool, _ask(self, "contains", item)),
    "__instancecheck__": lambda self, each: _exactly(bool, _ask(self, "isinstance", each)),
}


@functools.cache
def _remote_class(abilities: int) -> type[Remote]:
    """Return the class of objects with these methods; `abilities` is a bit mask of `ABILITIES`."""
    names = [name for bit, name in enumerate(ABILITIES) if abilities >> bit & 1]
    members = {name: _METHODS[name] for name in names}
    return type("Remote", (Remote,), {"__slots__": (), "__module__": __name__, **members})


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


# ---- objects of the test, as the program sees them ----


class _Tester:
    """Passes the objects that the test passes, and accepts data.

    Args:
        namespace: the globals of the test, by which its functions are recognized.
    """

    says_why = False
    connection: Connection

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._handed: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._remotes: dict[int, Remote] = {}
        self._iterators: list[Iterator[Any]] = []
        self._answers: dict[str, Callable[..., Any]] = {
            "call": self._call,
            "attribute": self._attribute,
            "method": self._method,
            "iter": self._iter,
            "items": self._items,
            "next": self._next,
        }

    def refer(self, value: Any, *, asks: bool) -> tuple[bytes, Any]:
        if isinstance(value, Remote):
            return OF_RECEIVER, number_of(value)
        if id(value) in self._numbers:
            return OF_SENDER, self._numbers[id(value)]
        name = _library_name(value)
        if name is not None:
            return BY_NAME, name
        if not asks:
            raise TypeError("a test answers with data")
        return OF_SENDER, self._hand_over(value)

    def resolve(self, mark: bytes, given: Any) -> Any:
        if mark == OF_SENDER:
            number, abilities = given & _NUMBERS, given >> _NUMBERS.bit_length()
            if abilities >> len(ABILITIES):
                raise ValueError
            if number not in self._remotes:
                self._remotes[number] = _remote_class(abilities)(self, number)
            return self._remotes[number]
        if mark == OF_RECEIVER:
            return self._handed[given]
        return INERT[given.removeprefix("builtins:")]

    def _hand_over(self, value: Any) -> int:
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._handed)
            self._handed.append(value)  # the reference also keeps its id from being reused
        return self._numbers[id(value)]

    def _hand_over_parts(self, value: Any, deep: int = 3) -> None:
        """Pass the objects of the test's own classes within such an object, as in a tree."""
        if _is_of_test(type(value)) and not isinstance(value, type):
            self._hand_over(value)
        elif deep and type(value) in (list, tuple):
            for each in value:
                self._hand_over_parts(each, deep - 1)
        elif deep and type(value) is dict:
            self._hand_over_parts(list(value.values()), deep - 1)

    def answer(self, question: str, arguments: list[Any]) -> Any:
        return self._answers[_exactly(str, question)](*arguments)

    def _object(self, number: Any) -> Any:
        return self._handed[_index(number)]

    def _call(self, number: Any, arguments: Any, keywords: Any) -> Any:
        target = self._object(number)
        if not _may_be_called(target):
            raise TypeError("only functions of the test may be called")
        return target(*_exactly(tuple, arguments), **_exactly(dict, keywords))

    def _attribute(self, number: Any, name: Any) -> tuple[bool, Any]:
        """Return whether an attribute is a method, and its value otherwise."""
        target = self._object(number)
        is_method = self._attributes(target).get(_exactly(str, name))
        if is_method is None:
            raise AttributeError(name)
        if is_method:
            return True, None
        value = getattr(target, name)
        if name in getattr(target, "__dict__", ()):
            self._hand_over_parts(value)
        return False, value

    def _method(self, number: Any, name: Any, arguments: Any, keywords: Any) -> Any:
        target = self._object(number)
        if not self._attributes(target).get(_exactly(str, name)):
            raise TypeError("only methods of the test's own classes may be called")
        return getattr(target, name)(*_exactly(tuple, arguments), **_exactly(dict, keywords))

    def _attributes(self, target: Any) -> dict[str, bool]:
        """Return the attributes that the program may use, and whether each is a method.

        These are the public attributes of an instance of a class of the test: those of the instance
        and those that its class defines. Attributes of other objects lead to any object of this
        process: `function.__globals__`, `module.sys`.
        """
        kind = type(target)
        if not _is_of_test(kind) or isinstance(target, type):
            return {}
        found: dict[str, bool] = {}
        for each in reversed(kind.__mro__):
            if _is_of_test(each):
                found |= {name: self._is_method(value) for name, value in vars(each).items()}
        found |= dict.fromkeys(getattr(target, "__dict__", ()), False)
        return {name: is_method for name, is_method in found.items() if not name.startswith("_")}

    def _is_method(self, defined: Any) -> bool:
        function = getattr(defined, "__func__", defined)  # of a static or class method
        return getattr(function, "__globals__", None) is self._namespace

    def _iter(self, number: Any) -> int:
        self._iterators.append(iter(self._object(number)))
        return len(self._iterators) - 1

    def _items(self, number: Any) -> list[Any]:
        return advance(self._iterators[_index(number)])

    def _next(self, number: Any) -> list[Any]:
        return advance(self._object(number))


def _index(number: Any) -> int:
    if _exactly(int, number) < 0:
        raise IndexError(number)
    return int(number)


def _is_of_test(kind: type) -> bool:
    return kind.__module__ == "test"


def _may_be_called(target: Any) -> bool:
    """Return whether a call executes only code of the test, or a built-in function on data.

    Not `"{}".format`: a format string can read attributes of the arguments.
    """
    kind = type(target)
    if kind.__module__ in ("functools", "operator"):  # partial, itemgetter, ...
        return True
    if _is_of_test(kind):
        return not isinstance(target, type)
    if kind is type(len):
        return not target.__name__.startswith(("format", "_"))
    return kind in (type(compiled), type(Connection.ask.__get__(0)))


def _library_name(value: Any) -> str | None:
    """Return `module:path` for a function or class of the standard library, else None.

    The program's process then uses its own copy, so no call of it runs in this process.
    """
    kind = type(value)
    if not isinstance(value, type) and kind not in _NAMED:
        return None
    owner = getattr(value, "__objclass__", value)  # of a method of a built-in type
    module, path = owner.__module__, value.__qualname__
    if not isinstance(module, str) or module.partition(".")[0] not in sys.stdlib_module_names:
        return None
    if module == "test":
        return None
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return f"{module}:{path}" if found is value else None


_NAMED = (
    type(compiled),
    type(len),
    type(str.upper),
    type(int.__add__),
    type(vars(dict)["fromkeys"]),
)
