"""The layers of the sandbox, and which of them are active on this machine.

To add a layer, add its name to `LAYERS`, a probe here, and its implementation to
`inside/confine.py`.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Sequence

from erasetest.utility.sandbox.process import ProcessRunner
from erasetest.utility.sandbox.programs import Limits, Outcome, Program

LAYERS = {
    "limits": "a separate process with limits on CPU time, memory, files and processes",
    "privileges": "no capabilities and no way to gain any (no_new_privs)",
    "system calls": "only those of a calculation: no new process, socket or signal (seccomp)",
    "files": "only the libraries, read-only, and an empty folder in memory",
    "landlock": "no TCP, no signal to others; without 'files': reads libraries, writes nothing",
    "user": "not root",
    "network": "a network namespace without interfaces",
    "processes": "a process namespace that dies with the program",
}
"""Each layer and its effect, in the order in which they are probed."""

_LIMITS = Limits(cpu_seconds=20, memory_bytes=256 << 20)

# Each fails where its layer has no effect. Some import library modules that are files, so that a
# layer that hides the library does not count as working.
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
    """Return the layers of `LAYERS` that are active on this machine, each verified by a program.

    Other layers than "limits" are often missing: Docker's default profile and Ubuntu's AppArmor
    allow no namespaces.
    """
    active: tuple[str, ...] = ()
    for layer in LAYERS:
        if _is_effective(layer, (*active, layer)):
            active = (*active, layer)
    return active


def _is_effective(layer: str, layers: Sequence[str]) -> bool:
    try:
        with (
            ProcessRunner(_LIMITS, layers) as runner,
            socket.create_server(("127.0.0.1", 0)) as server,
        ):
            program = _PROBES[layer].replace("{port}", str(server.getsockname()[1]))
            # Twice, so that a load peak does not disable a layer.
            outcomes = (runner.run(Program(program)).outcome for _ in range(2))
            return any(outcome is Outcome.PASSED for outcome in outcomes)
    except OSError:
        return False
