"""Values between a program and its test: data by value, all else by reference."""

from __future__ import annotations

import datetime
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasetest.utility.sandbox import (
    Attempt,
    Limits,
    Outcome,
    Program,
    run_programs,
    sandbox_layers,
)
from erasetest.utility.sandbox.inside.codec import MAX_DEPTH, Unreadable, decode, encode
from erasetest.utility.sandbox.process import ProcessRunner

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary()
    | st.text(st.characters(exclude_categories=())) | st.complex_numbers(allow_nan=False)
    | st.fractions() | st.decimals(allow_nan=False) | st.dates() | st.datetimes() | st.times()
    | st.timedeltas(),
    lambda each: st.lists(each) | st.tuples(each, each) | st.dictionaries(st.text(), each)
    | st.builds(deque, st.lists(each)),
    max_leaves=20,
)  # fmt: skip


def _no_reference(*given: Any) -> Any:
    raise AssertionError(given)


@given(PLAIN | st.frozensets(st.integers()) | st.sets(st.text()) | st.builds(range, st.integers()))
def test_data_arrives_as_it_was(value: Any) -> None:
    """Equal, and of the same type."""
    arrived = decode(encode(value, _no_reference), _no_reference)
    assert arrived == value
    assert type(arrived) is type(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    """No bytes make the decoder raise another exception, or construct anything but data."""
    try:
        value = decode(data, lambda mark, number: (mark, number))
    except Unreadable:
        return
    assert encode(value, _no_reference) is not None


def test_derived_types_arrive_as_what_they_derive_from() -> None:
    """No class is transferred: neither its `__eq__` nor its `__hash__`."""

    class Equal(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    Pair = namedtuple("Pair", "a b")
    given = [Equal(3), Pair(1, 2), defaultdict(int, a=2), True]
    arrived = decode(encode(given, _no_reference), _no_reference)
    assert [type(each) for each in arrived] == [int, tuple, dict, bool]
    assert arrived == [3, (1, 2), {"a": 2}, True]


def test_what_equality_depends_on_is_kept() -> None:
    """The order of an OrderedDict, the zeros of a Counter, the offset of a time."""
    zone = datetime.timezone(datetime.timedelta(hours=5))
    for value in (
        OrderedDict([("b", 1), ("a", 2)]),
        Counter("aab"),
        datetime.datetime(2020, 1, 2, 3, tzinfo=zone),
        datetime.time(3, tzinfo=zone),
    ):
        arrived = decode(encode(value, _no_reference), _no_reference)
        assert arrived == value
        assert type(arrived) is type(value)
    aware = decode(encode(datetime.datetime(2020, 1, 2, tzinfo=zone), _no_reference), _no_reference)
    assert aware != datetime.datetime(2020, 1, 2)
    ordered = decode(encode(OrderedDict([("b", 1), ("a", 2)]), _no_reference), _no_reference)
    assert ordered != OrderedDict([("a", 2), ("b", 1)])


def test_not_a_number_and_both_zeros_arrive() -> None:
    """Floats that equality does not distinguish, or that do not equal themselves."""
    arrived = decode(encode([math.nan, -0.0, math.inf], _no_reference), _no_reference)
    assert math.isnan(arrived[0])
    assert math.copysign(1, arrived[1]) == -1
    assert arrived[2] == math.inf


def test_depth_has_a_limit_on_both_sides() -> None:
    """Values that are nested too deep, or contain themselves, are refused."""
    nested: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        nested = [nested]
    assert decode(encode(nested, _no_reference), _no_reference) == nested
    holds_itself: list[Any] = []
    holds_itself.append(holds_itself)
    for value in ([[nested]], holds_itself):
        with pytest.raises(RecursionError):
            encode(value, _no_reference)
    with pytest.raises(Unreadable):
        decode((b"l" + (1).to_bytes(4, "little")) * 10_000 + b"N", _no_reference)


def _run(code: str, test: str, *names: str, known: str = "") -> Attempt:
    with ProcessRunner(Limits(cpu_seconds=2), sandbox_layers()) as runner:
        return runner.run(Program(code, test, names, known))


HOLDS = {
    "arguments by name": ("def f(a, *, b=2): return a * b", "assert f(3, b=5) == 15"),
    "a value": ("f = {'a': [1, (2, 3)]}", "assert f == {'a': [1, (2, 3)]}"),
    "a generator": ("def f(n): yield from range(n)", "assert list(f(3)) == [0, 1, 2]"),
    "a part of an endless iterator": (
        "import itertools\nf = itertools.count",
        "g = iter(f()); assert [next(g) for _ in range(3)] == [0, 1, 2]",
    ),
    "a function of a function": (
        "def f(n): return lambda x: x + n",
        "assert f(2)(3) == 5",
    ),
    "a function of the test": (
        "def f(g, xs): return [g(x) for x in xs]",
        "assert f(lambda x: x * 2, [1, 2]) == [2, 4]",
    ),
    "an iterator of the test": ("def f(xs): return sum(xs)", "assert f(iter([1, 2])) == 3"),
    "an object and its parts": (
        "class f:\n    def __init__(self, x): self.x = x\n    def double(self): return self.x * 2\n"
        "    def __len__(self): return 7\n    def __getitem__(self, i): return i + 1",
        "o = f(4); assert (o.x, o.double(), len(o), o[1]) == (4, 8, 7, 2) and o == o != f(4)",
    ),
    "an object of the program as an argument": (
        "class f:\n    x = 3\n    def same(self, other): return other is self",
        "o = f(); assert o.same(o)",
    ),
    "a built-in type, and what is of it": (
        "def f(xs, kind): return [x for x in xs if not isinstance(x, kind)]",
        "assert f([1, 'a', 2], int) == ['a']",
    ),
    "the same object twice": ("x = object()\ndef f(): return x", "assert f() is f()"),
    "an object of the test": (
        "def f(o): return o.x + o.y()",
        "class O:\n    x = 1\n    def y(self): return 2\nassert f(O()) == 3",
    ),
    "a built-in type of the program": (
        "def f(x): return type(x)",
        "assert f(3) == int and f('') is str and f(f) != int",
    ),
    "a function of the library": (
        "from functools import reduce\ndef f(g, xs): return reduce(g, xs)",
        "import operator, math\nassert (f(operator.add, [1, 2]), f(math.gcd, [4, 6])) == (3, 2)",
    ),
    "a method of a built-in type": (
        "def f(g, xs): return [g(x) for x in xs]",
        "assert f(str.upper, ['a']) == ['A'] and f(len, ['ab']) == [2]",
    ),
    "a method of a list of the test": (
        "def f(g, xs): [g(x) for x in xs]",
        "xs = []\nf(xs.append, [1, 2])\nassert xs == [1, 2]",
    ),
    "a key of the library": (
        "def f(xs, key): return sorted(xs, key=key)",
        "from operator import itemgetter\nfrom functools import partial\n"
        "assert f([(1, 2), (2, 1)], itemgetter(1)) == [(2, 1), (1, 2)]\n"
        "assert f([3, 1], partial(pow, exp=2)) == [1, 3]",
    ),
    "the next of an iterator of the program": (
        "def f(n): yield from range(n)",
        "g = f(2)\nassert (next(g), next(g), next(g, 'end')) == (0, 1, 'end')",
    ),
    "the next of an iterator of the test": (
        "def f(xs): return next(xs), list(xs), next(xs, 'end')",
        "assert f(iter([1, 2, 3])) == (1, [2, 3], 'end')",
    ),
    "a property and a class attribute of the test": (
        "def f(o): return o.area, o.sides, o.scaled(2), hasattr(o, 'nothing')",
        "class O:\n    sides = 4\n    @property\n    def area(self): return 9\n"
        "    @staticmethod\n    def scaled(n): return n * 3\nassert f(O()) == (9, 4, 6, False)",
    ),
    "an attribute that the test sets": (
        "class f:\n    left = None\n    def depth(s): return 1 + (s.left.depth() if s.left else 0)",
        "root = f()\nroot.left = f()\nassert root.depth() == 2",
    ),
    "an item that the test sets": (
        "class f(object):\n    def __init__(s): s.d = {}\n"
        "    def __setitem__(s, k, v): s.d[k] = v\n    def __contains__(s, k): return k in s.d",
        "o = f()\no['a'] = 1\nassert 'a' in o and 'b' not in o",
    ),
    "a tree of the test": (
        "def f(n): return n.v + f(n.left) + sum(map(f, n.more)) if n else 0",
        "class N:\n    def __init__(s, v, left=None, more=()):\n"
        "        s.v, s.left, s.more = v, left, more\n"
        "assert f(N(1, N(2, N(3)), [N(4), N(5)])) == 15",
    ),
    "whether an object is of a class of the program": (
        "class f: pass",
        "assert isinstance(f(), f) and not isinstance(3, f)",
    ),
    "whether an object can be called": (
        "class N: pass\ndef f(x): return N() if x else f",
        "from collections.abc import Iterable, Sized\n"
        "assert callable(f(0)) and not callable(f(1))\n"
        "assert not isinstance(f(1), Iterable) and not isinstance(f(1), Sized)",
    ),
    "the text of an object": (
        "class f:\n    def __str__(s): return 'a text'\n    def __repr__(s): return 'f()'",
        "assert (str(f()), repr(f()), f'{f()}') == ('a text', 'f()', 'a text')",
    ),
    "keys of a dictionary": (
        "def f(): return {'a': 1}.keys(), {'a': 1}.items()",
        "assert f()[0] == {'a'} and list(f()[1]) == [('a', 1)]",
    ),
    "a path": (
        "from pathlib import Path\ndef f(): return Path('a') / 'b'",
        "from pathlib import Path\nassert f() == Path('a/b') and f().name == 'b'",
    ),
    "what an exception was made of": (
        "def f(x):\n    if x: raise KeyError('k', 3)\n    raise FileNotFoundError(2, 'none')",
        "try: f(1)\nexcept KeyError as e: assert e.args == ('k', 3)\n"
        "try: f(0)\nexcept FileNotFoundError as e: assert e.errno == 2",
    ),
    "threads of the test": (
        "def f(x): return x * 2",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as p: assert list(p.map(f, range(3))) == [0, 2, 4]",
    ),
    "methods of library objects that the test hands over": (
        "def f(g, x): return g(x)",
        "import re, collections\nd = collections.deque()\nf(d.append, 1)\nassert list(d) == [1]\n"
        "assert f(re.compile('a').sub.__self__.findall, 'aba') == ['a', 'a']",
    ),
    "a decorated function of the test": (
        "def f(g): return lambda *a: g(*a) + 1",
        "@f\ndef g(x, y): return x * y\nassert g(2, 3) == 7",
    ),
    "the function handed over, given back": (
        "def f(g): return g",
        "g = lambda: 1\nassert f(g) is g",
    ),
    "an exception": (
        "class Odd(KeyError): pass\ndef f(): raise Odd('k')",
        "try:\n    f()\nexcept KeyError as e:\n    assert 'k' in str(e)\nelse:\n    assert 0",
    ),
    "an exception that needs more than a text": (
        "def f(): return b'\\xff'.decode()",
        "try:\n    f()\nexcept ValueError:\n    pass\nelse:\n    assert 0",
    ),
    "an exception of the test": (
        "def f(g):\n    try:\n        g()\n    except ArithmeticError as e:\n        return str(e)",
        "assert f(lambda: 1 / 0) == ''",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "test"), HOLDS.values(), ids=HOLDS.keys())
def test_a_test_may_ask_for(code: str, test: str) -> None:
    """Common uses of functions work as in one process."""
    assert _run(code, test, "f").outcome is Outcome.PASSED


REFUSED = {
    "the name is missing": ("g = 1", "pass"),
    "a test that fails": ("def f(): return 1", "assert f() == 2"),
    "a test that does not parse": ("def f(): return 1", "assert f("),
    "the program ends in a call": ("import os\ndef f(): os._exit(0)", "f()"),
    "it ends in a call that the test survives": (
        "import os\ndef f(): os._exit(0)",
        "try:\n    f()\nexcept BaseException:\n    pass",
    ),
    "SystemExit": ("def f(): raise SystemExit", "try:\n    f()\nexcept Exception:\n    pass"),
    "an end of its loops": (
        "def f(*x): raise StopIteration",
        "assert all(map(lambda x: f(x) == x, [1, 2])) and list(filter(f, [1])) == []",
    ),
    "a function equals no data": ("def f(): return f", "assert f() == 1"),
    "private parts of the test's object": (
        "def f(o): return o._connection.ask('attribute', o._number, '__init__')",
        "class O:\n    def __init__(self): pass\nassert f(O())",
    ),
    "parts of the test's modules": ("def f(m): return m.path", "import os\nassert f(os)"),
    "parts of the test's generators": (
        "def f(g): return g.gi_frame.f_globals",
        "def g(): yield\nassert f(g())",
    ),
    "changes in place": ("def f(xs): xs.append(1)", "xs = []; f(xs); assert xs"),
    "an answer of gigabytes": ("def f(): return bytes(300 << 20)", "f()"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "test"), REFUSED.values(), ids=REFUSED.keys())
def test_a_test_does_not_get(code: str, test: str) -> None:
    """Objects that a program must not reach, and results that do not pass."""
    assert _run(code, test, "f").outcome is Outcome.FAILED


STOPS = {
    "a function where the test expects data": ("PI = lambda: 3", "assert PI == 3", "PI"),
    "an object that the test adds to": ("f = object()", "assert f + 1 == 3", "f"),
    "two names for one function": ("f = g = lambda: 0", "assert f is not g", "f"),
    "a test that loops on an object": ("f = object()", "while f != 3: pass", "f"),
    "a test that raises before it asks": ("def f(x): return x", "undefined", "f"),
    "a test that exits before it asks": ("def f(x): return x", "raise SystemExit", "f"),
}


@pytest.mark.parametrize(("code", "test", "name"), STOPS.values(), ids=STOPS.keys())
def test_no_generated_program_ends_the_run(code: str, test: str, name: str) -> None:
    """Whatever the cause, the program has failed, and the other programs are run."""
    names = (name,) if "g" not in test.split() else (name, "g")
    programs = [Program(code, test, names), Program("f = 3", "assert f == 3", ("f",))]
    attempts = run_programs(programs, limits=Limits(cpu_seconds=1))
    assert attempts[0].outcome in (Outcome.FAILED, Outcome.TIMEOUT)
    assert attempts[1].outcome is Outcome.PASSED


def test_a_broken_test_is_no_fault_of_the_sandbox() -> None:
    """Not even if it ends before the program has started."""
    for known in ("raise SystemExit", "undefined", "import os; os._exit(0)"):
        attempt = _run("import time; time.sleep(0.1)\ndef f(): return 1", "f()", "f", known=known)
        assert (attempt.outcome, attempt.fault) == (Outcome.FAILED, None)


def test_known_is_the_tests_own() -> None:
    """The test uses the definitions of the prompt, not what the program changed them to."""
    known = "def helper(x):\n    return x + 1\n\ndef f(x):\n    pass\n"
    code = "def helper(x): return 0\ndef f(x): return helper(x)"
    assert _run(code, "assert f(1) == helper(1)", "f", known=known).outcome is Outcome.FAILED
    right = "def helper(x): return 0\ndef f(x): return x + 1"
    assert _run(right, "assert f(1) == helper(1)", "f", known=known).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("code", "parses"), [("x = 1", True), ("raise ValueError", True), ("def f(:", False)]
)
def test_an_attempt_reports_whether_a_program_parses(code: str, parses: bool) -> None:
    """Whatever its outcome."""
    assert _run(code, "").parses is parses


def test_values_of_the_library_are_data() -> None:
    """Tests compare them, so they are passed by value."""
    code = "import datetime, decimal, fractions\nf = lambda: [datetime.date(2020, 1, 2), "
    code += "decimal.Decimal('0.1'), fractions.Fraction(1, 3), range(3)]"
    test = "import datetime, decimal, fractions\nassert f() == [datetime.date(2020, 1, 2), "
    test += "decimal.Decimal('0.1'), fractions.Fraction(1, 3), range(3)]"
    assert _run(code, test, "f").outcome is Outcome.PASSED
    assert decode(encode(Decimal("NaN"), _no_reference), _no_reference).is_nan()
    assert decode(encode(Fraction(1, 3), _no_reference), _no_reference) == Fraction(1, 3)
    day = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
    assert decode(encode(day, _no_reference), _no_reference) == day
