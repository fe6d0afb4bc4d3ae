"""The two processes of a run: one holds the program, the other the test of it.

The program never shares a process with its test, and learns no more of it than what it is called
with. So there is nothing to find in its memory, nothing to patch, and no status to fake. What it
gives back is data, or a reference to what stays with it; a test that hands what it expects to such
an object is answered by the program.
"""

# exec is what this file is about.
# ruff: noqa: S102

from __future__ import annotations

import sys

from .peer import EVERYTHING, FUNCTIONS, TEST, Gone, Peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any


class Unprepared(Exception):
    """What the code of the problem raised, before the program was asked for anything."""


def hold(program: CodeType, incoming: int, outgoing: int) -> None:
    """Run the program, then answer what is asked of it."""
    namespace = _module("program")
    exec(program, namespace)

    def named(name: str) -> Any:
        if name in namespace:
            return namespace[name]
        raise NameError(name)

    answers: dict[str, Any] = {**EVERYTHING, "ready": lambda: None, "global": named}
    try:
        Peer(incoming, outgoing, answers, says_why=True).serve()
    except Gone:
        return


def test(job: dict[str, Any], incoming: int, outgoing: int) -> bool:
    """Run the test; whether it came to its end with the program there all the time.

    Args:
        job: `known` is source that the test needs before; `names` are those that it takes from the
            program; `test` is its own source.
        incoming: descriptor to read from.
        outgoing: descriptor to write to.

    Raises:
        Unprepared: the test could not even begin, whatever the program.
    """
    peer = Peer(incoming, outgoing, FUNCTIONS, says_why=False)
    namespace = _module(TEST)
    failed = None
    try:
        code = compiled(job["test"], "test")
        exec(compiled(job["known"], "known"), namespace)
    except Exception as error:
        failed = Unprepared(type(error).__name__)
    try:
        # Even if there is nothing to ask: before the program there is, nothing may end here.
        peer.ask("ready")
    finally:
        if failed is not None:
            raise failed
    for name in job["names"]:
        namespace[name] = peer.ask("global", name)
    exec(code, namespace)
    return not peer.gone


def _module(name: str) -> dict[str, Any]:
    module = type(sys)(name)
    sys.modules[name] = sys.modules["__main__"] = module
    return vars(module)


def compiled(source: bytes, name: str) -> CodeType:
    """Source as code.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it is none.
    """
    return compile(source.decode("utf-8"), f"<{name}>", "exec", dont_inherit=True)
