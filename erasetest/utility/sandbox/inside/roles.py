"""The two processes of a run: one holds the program, the other the test of it.

The program never shares a process with its test, and learns no more of it than the arguments that
it is called with. What it gives back is data. So there is nothing to find in its memory, nothing
to patch, and no status to fake: the one way to pass is to give the right values.
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
    """
    peer = Peer(incoming, outgoing, FUNCTIONS, says_why=False)
    peer.ask("ready")
    namespace = _module(TEST)
    exec(compiled(job["known"], "known"), namespace)
    for name in job["names"]:
        namespace[name] = peer.ask("global", name)
    exec(compiled(job["test"], "test"), namespace)
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
