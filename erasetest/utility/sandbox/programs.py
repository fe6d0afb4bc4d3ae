"""What is run: a program that nobody trusts, and the test of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """Python source on two sides that share nothing but values.

    `code` comes to its end in one process. Then, in another, `known` is run, the names of `names`
    are taken from the first, and `test` is run: functions are called over there, their results come
    as plain data. The program has passed when the test comes to its end.

    What is no plain data stays on its side, can be called, iterated and looked into from the other,
    and equals nothing but itself. Arguments go by value: what the program does to them in place is
    not seen by the test. `name` is what messages call it.
    """

    code: str
    test: str = ""
    names: tuple[str, ...] = ()
    known: str = ""
    name: str = ""
