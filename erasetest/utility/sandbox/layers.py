"""The layers of the sandbox, and which of them hold on this machine.

A further layer is a name in `LAYERS`, a probe here, and what it does in `launcher.py`.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Sequence

from erasetest.utility.sandbox.limits import Limits, Outcome
from erasetest.utility.sandbox.process import ProcessRunner
from erasetest.utility.sandbox.programs import Program

LAYERS = {
    "limits": "a process of its own with limits on CPU time, memory, files and processes",
    "privileges": "no capabilities and no way to gain any (no_new_privs)",
    "system calls": "those of a calculation alone: no new process, socket or signal (seccomp)",
    "files": "sees the libraries, read-only, and an empty folder in memory, nothing else",
    "landlock": "no TCP, no signal to others; without 'files': reads libraries, writes nothing",
    "user": "not root",
    "network": "a network namespace without interfaces",
    "processes": "a process namespace that dies with the program",
}
"""Each layer and what it means, in the order in which they are tried."""

_LIMITS = Limits(cpu_seconds=20, memory_bytes=256 << 20)

# Each fails where its layer does not hold. Each imports modules that are files, so that a layer
# that hides the library does not count as working.
_PROBES = {
    "limits": f"""
import resource
assert resource.getrlimit(resource.RLIMIT_CPU)[1] <= {_LIMITS.cpu_seconds}
try:
    bytearray({_LIMITS.memory_bytes})
except MemoryError:
    pass
else:
    raise AssertionError
""",
    "privileges": """
status = open("/proc/self/status").read()
assert "NoNewPrivs:\\t1\\n" in status
assert "CapPrm:\\t0000000000000000\\n" in status
""",
    "system calls": """
import os, socket
for forbidden in (os.fork, socket.socket, lambda: os.kill(1, 0), lambda: os.execv("/", ["/"])):
    try:
        forbidden()
    except PermissionError:
        continue
    raise AssertionError
""",
    "files": """
import os, random, re, json, decimal, hashlib
assert not os.path.exists("/proc/self")
try:
    open(os.__file__, "ab")
except OSError:
    pass
else:
    raise AssertionError
open("file", "w").write("text")
""",
    "landlock": """
import os, random, re, json, decimal, hashlib
try:
    os.listdir("/")
except PermissionError:
    pass
else:
    assert not os.path.exists("/proc/self")
""",
    "user": """
import os, random, re, json, decimal, hashlib
assert os.getuid() != 0
""",
    "network": """
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), 5)
except OSError:
    pass
else:
    raise AssertionError
""",
    "processes": """
import os
assert os.getppid() == 0
assert os.getpid() < 9
""",
}


@functools.cache
def sandbox_layers() -> tuple[str, ...]:
    """The layers that hold on this machine, out of `LAYERS`, each proved by a program.

    Where "limits" is missing, programs are not run. What is missing beyond that is common: Docker's
    default profile and Ubuntu's AppArmor allow no namespaces.
    """
    active: tuple[str, ...] = ()
    for layer in LAYERS:
        if _holds(layer, (*active, layer)):
            active = (*active, layer)
    return active


def _holds(layer: str, layers: Sequence[str]) -> bool:
    try:
        with (
            ProcessRunner(_LIMITS, layers) as runner,
            socket.create_server(("127.0.0.1", 0)) as server,
        ):
            program = _PROBES[layer].replace("{port}", str(server.getsockname()[1]))
            # Twice: a machine that is busy for a moment must not cost a layer.
            outcomes = (runner.run(Program(program)).outcome for _ in range(2))
            return any(outcome is Outcome.PASSED for outcome in outcomes)
    except OSError:
        return False
