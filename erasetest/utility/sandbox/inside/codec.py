"""Encoding of values as bytes, between the holder of a program and its tester.

Plain data is passed by value, as the built-in type that it is or derives from. All else is passed
as a reference: the number that one side gave to an object, or the name of an object of the standard
library. The bytes are never code: no class, `__eq__` or `__hash__` is transferred. Each side
decides what a reference resolves to (`holder.py`, `tester.py`).
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_DEPTH = 100
"""Maximum nesting of containers; each level takes two frames of the recursion limit."""


class Unreadable(Exception):
    """The bytes do not encode a value."""


OF_SENDER, OF_RECEIVER, BY_NAME = b"m", b"y", b"n"
"""Tags of references: a numbered object of either side, or a name in the standard library."""


def encode(value: Any, refer: Callable[[Any], tuple[bytes, Any]]) -> bytes:
    """Encode a value as bytes.

    Args:
        value: any value.
        refer: returns the tag and the number or name for a value that is not plain data.

    Raises:
        RecursionError: containers are nested deeper than `MAX_DEPTH`, or contain themselves.
        Exception: any exception of `refer`.
    """
    parts: list[bytes] = []
    _encode(value, refer, parts, MAX_DEPTH)
    return b"".join(parts)


def _encode(
    value: Any, refer: Callable[[Any], tuple[bytes, Any]], to: list[bytes], deep: int
) -> None:
    kind: type = type(value)
    base: Any = kind if kind in _TAGS else _base(kind)
    if value is None or value is True or value is False:
        to.append({None: b"N", True: b"T", False: b"F"}[value])
    elif base is int:
        number = int.__index__(value)
        _sized(to, b"i", number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True))
    elif base is float:
        to.append(b"f" + struct.pack("<d", float.__float__(value)))
    elif base is complex:
        to.append(b"c" + struct.pack("<dd", value.real, value.imag))
    elif base is str:
        _sized(to, b"s", str.encode(value, "utf-8", "surrogatepass"))
    elif base is bytes or base is bytearray:
        _sized(to, _TAGS[base], bytes(value))
    elif (kind.__module__, kind.__qualname__) in _PARTS and deep:
        name = f"{kind.__module__}.{kind.__qualname__}"
        _sized(to, b"x", name.encode())
        _encode(_PARTS[kind.__module__, kind.__qualname__](value), refer, to, deep - 1)
    elif base is None:
        mark, given = refer(value)
        if mark == BY_NAME:
            _sized(to, mark, given.encode())
        else:
            to.append(mark + given.to_bytes(8, "little"))
    elif deep == 0:
        raise RecursionError("nested too deep to be passed between processes")
    else:
        items = list(base.items(value)) if base is dict else list(base.__iter__(value))
        packed = _packed(items)
        if packed is not None:
            _sized(to, packed[0] + _TAGS[base], packed[1])
            return
        to.append(_TAGS[base] + len(items).to_bytes(4, "little"))
        for item in items:
            for each in item if base is dict else (item,):
                _encode(each, refer, to, deep - 1)


def _packed(items: list[Any]) -> tuple[bytes, bytes] | None:
    """Encode numbers of one type at once, because tests pass hundreds of thousands."""
    kinds = set(map(type, items))
    if len(kinds) != 1:
        return None
    form = _PACKED.get(kinds.pop())
    try:
        return form and (form[0], struct.pack(f"<{len(items)}{form[1]}", *items))
    except struct.error:  # an integer of more than 64 bits
        return None


def _sized(to: list[bytes], tag: bytes, data: bytes) -> None:
    to.append(tag + len(data).to_bytes(4, "little") + data)


_TAGS: dict[type, bytes] = {
    type(None): b"N", bool: b"T", int: b"i", float: b"f", complex: b"c", str: b"s", bytes: b"b",
    bytearray: b"a", list: b"l", tuple: b"t", set: b"S", frozenset: b"Z", dict: b"d",
}  # fmt: skip
_PACKED = {int: (b"I", "q"), float: (b"D", "d")}
_TYPES = {tag: kind for kind, tag in _TAGS.items()}

# Other types of the standard library that tests compare: the parts that make up a value.
_PARTS: dict[tuple[str, str], Callable[[Any], tuple[Any, ...]]] = {
    ("builtins", "range"): lambda v: (v.start, v.stop, v.step),
    ("collections", "OrderedDict"): lambda v: (list(v.items()),),
    ("collections", "Counter"): lambda v: (dict(v),),
    ("collections", "deque"): lambda v: (list(v), v.maxlen),
    ("decimal", "Decimal"): lambda v: (str(v),),
    ("fractions", "Fraction"): lambda v: (v.numerator, v.denominator),
    ("datetime", "date"): lambda v: (v.year, v.month, v.day),
    ("datetime", "time"): lambda v: (v.hour, v.minute, v.second, v.microsecond, _zone(v)),
    ("datetime", "datetime"): lambda v: (*v.timetuple()[:6], v.microsecond, _zone(v)),
    ("datetime", "timezone"): lambda v: (v.utcoffset(None),),
    ("datetime", "timedelta"): lambda v: (v.days, v.seconds, v.microseconds),
    ("pathlib", "PosixPath"): lambda v: (str(v),),
    ("pathlib", "PurePosixPath"): lambda v: (str(v),),
    ("builtins", "dict_keys"): lambda v: (list(v),),
    ("builtins", "dict_values"): lambda v: (list(v),),
    ("builtins", "dict_items"): lambda v: (list(v),),
}
# Types that are not constructed by a call of the type.
_MADE: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "dict_keys"): lambda items: dict.fromkeys(items).keys(),
    ("builtins", "dict_values"): lambda items: dict(enumerate(items)).values(),
    ("builtins", "dict_items"): lambda items: dict(items).items(),
}
# The exact types that their constructors accept, so that no constructor can be made to call
# untrusted code. Elements of containers are plain data or references, which are never called.
_INTS = (int,)
_ACCEPTED: dict[tuple[str, str], tuple[tuple[type | str, ...], ...]] = {
    ("builtins", "range"): (_INTS,) * 3,
    ("collections", "OrderedDict"): (("pairs",),),
    ("collections", "Counter"): ((dict,),),
    ("collections", "deque"): ((list,), (int, type(None))),
    ("decimal", "Decimal"): ((str,),),
    ("fractions", "Fraction"): (_INTS,) * 2,
    ("datetime", "date"): (_INTS,) * 3,
    ("datetime", "time"): (*(_INTS,) * 4, ("timezone", type(None))),
    ("datetime", "datetime"): (*(_INTS,) * 7, ("timezone", type(None))),
    ("datetime", "timezone"): (("timedelta",),),
    ("datetime", "timedelta"): (_INTS,) * 3,
    ("pathlib", "PosixPath"): ((str,),),
    ("pathlib", "PurePosixPath"): ((str,),),
    ("builtins", "dict_keys"): ((list,),),
    ("builtins", "dict_values"): ((list,),),
    ("builtins", "dict_items"): (("pairs",),),
}


def _is_accepted(value: Any, accepted: tuple[type | str, ...]) -> bool:
    kind = type(value)
    if "pairs" in accepted:
        return kind is list and all(type(each) is tuple and len(each) == 2 for each in value)
    return kind in accepted or (kind.__module__ == "datetime" and kind.__name__ in accepted)


def _zone(value: Any) -> Any:
    """Return the time zone as an offset, on which alone equality depends."""
    if value.tzinfo is None or value.utcoffset() is None:
        return None
    from datetime import timezone

    return timezone(value.utcoffset())


def _base(kind: type) -> Any:
    """Return the built-in type of plain data that `kind` derives from, if any."""
    for each in kind.__mro__:
        if each in _TAGS:
            return each
    return None


def decode(data: bytes, resolve: Callable[[bytes, Any], Any]) -> Any:
    """Decode a value that `encode` encoded.

    Args:
        data: untrusted bytes.
        resolve: returns the object for a tag and a number or name; raises if there is none.

    Raises:
        Unreadable: the bytes do not encode a value. No other exception is raised.
    """
    try:
        value, end = _decode(data, 0, resolve, MAX_DEPTH)
    except Exception as error:  # constructors raise exceptions of many types
        raise Unreadable(type(error).__name__) from None
    if end != len(data):
        raise Unreadable("bytes after the value")
    return value


def _decode(
    data: bytes, at: int, resolve: Callable[[bytes, Any], Any], deep: int
) -> tuple[Any, int]:
    tag = data[at : at + 1]
    at += 1
    if tag in (b"N", b"T", b"F"):
        return {b"N": None, b"T": True, b"F": False}[tag], at
    if tag == b"f":
        return struct.unpack_from("<d", data, at)[0], at + 8
    if tag == b"c":
        return complex(*struct.unpack_from("<dd", data, at)), at + 16
    if tag in (OF_SENDER, OF_RECEIVER):
        return resolve(tag, int.from_bytes(_take(data, at, 8), "little")), at + 8
    if tag in (b"I", b"D"):
        kind = _TYPES[data[at : at + 1]]
        if kind not in (list, tuple, set, frozenset) or not deep:
            raise ValueError
        count = int.from_bytes(_take(data, at + 1, 4), "little")
        letter = "q" if tag == b"I" else "d"
        numbers = struct.unpack(f"<{count // 8}{letter}", _take(data, at + 5, count))
        return kind(numbers), at + 5 + count
    count = int.from_bytes(_take(data, at, 4), "little")
    at += 4
    if tag == b"i":
        return int.from_bytes(_take(data, at, count), "little", signed=True), at + count
    if tag == b"s":
        return _take(data, at, count).decode("utf-8", "surrogatepass"), at + count
    if tag == BY_NAME:
        return resolve(tag, _take(data, at, count).decode()), at + count
    if tag == b"x":
        if not deep:
            raise ValueError
        module, _, attribute = _take(data, at, count).decode().partition(".")
        parts, at = _decode(data, at + count, resolve, deep - 1)
        accepted = _ACCEPTED[module, attribute]
        if type(parts) is not tuple or not all(map(_is_accepted, parts, accepted)):
            raise ValueError
        if len(parts) != len(accepted):
            raise ValueError
        made = _MADE.get((module, attribute)) or getattr(__import__(module), attribute)
        return made(*parts), at
    if tag in (b"b", b"a"):
        return _TYPES[tag](_take(data, at, count)), at + count
    if tag not in _TYPES or deep == 0:
        raise ValueError
    items = []
    for _ in range(2 * count if tag == b"d" else count):
        item, at = _decode(data, at, resolve, deep - 1)
        items.append(item)
    if tag == b"d":
        return dict(zip(items[::2], items[1::2], strict=True)), at
    return _TYPES[tag](items), at


def _take(data: bytes, at: int, count: int) -> bytes:
    part = data[at : at + count]
    if len(part) != count:
        raise IndexError
    return part
