"""Runs every program of `evil/` in the sandbox and prints the results.

    python tests/evil_table.py

With names of layers, only those are applied. `--plain` runs each in one process with its test and
trusts the exit status, as checkers without a sandbox do. `--open-boundary` runs them in the sandbox
without the checks of the test's process, for programs that speak the protocol themselves. The exit
status is 1 if a program passed or did harm (0 with these two options). `--json` is for the tests.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tabulate import tabulate

from erasetest.utility.sandbox import Limits, Outcome, Program, fork_server, sandbox_layers
from erasetest.utility.sandbox.process import ProcessRunner

EVIL = Path(__file__).parent / "evil"
LIMITS = Limits(cpu_seconds=1, wall_seconds=3)
TOO_MUCH = ("memory", "runs", "relatives")
"""Effects that are not run without a sandbox: the last would stop or kill this process. Programs
that fill disks are not run either."""

_KEPT = (0o646, 1000, 10**9)
"""Mode, size and time of a file that must not be changed."""


@dataclass
class Seen:
    """The effects of one evil program."""

    name: str
    outcome: str
    wrote: bool
    changed: bool
    connected: bool
    left: bool
    killed: bool
    peak_bytes: int

    def harm(self) -> list[str]:
        """Return the effects that the sandbox should have prevented."""
        seen = ("wrote", "changed", "connected", "left", "killed")
        done = [name for name in seen if getattr(self, name)]
        done += ["passed"] if self.outcome == Outcome.PASSED.value else []
        return done + (["memory"] if self.peak_bytes > LIMITS.memory_bytes else [])


def header(path: Path, field: str) -> str | None:
    """Return a field of the comments at the top of an evil program."""
    found = re.search(rf"^# {field}: (.*)$", path.read_text(), re.MULTILINE)
    return found[1] if found else None


class Traps:
    """Targets of attacks: a file not to write, servers not to reach, a process not to kill."""

    def __init__(self, folder: Path) -> None:
        self.canary = folder / "canary"
        name = f"erasetest-{random.getrandbits(64):x}"
        self.servers = [
            _bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            _bound(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
            _bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            _bound(socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "socket")),
            _bound(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + name),
            _bound(socket.AF_UNIX, socket.SOCK_DGRAM, str(folder / "datagrams")),
            _bound(socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{name}-datagrams"),
        ]
        for path in folder.iterdir():
            path.chmod(0o666)  # an ordinary user may write there too
        self.kept = folder / "kept"
        self._keep()
        self.stranger = _sleeper()
        ipv4, ipv6, udp = (server.getsockname()[1] for server in self.servers[:3])
        self.names = {
            "CANARY": str(self.canary),
            "PORT": ipv4,
            "PORT6": ipv6,
            "UDP": udp,
            "UNIX": str(folder / "socket"),
            "UNIX_DATAGRAMS": str(folder / "datagrams"),
            "KEPT": str(self.kept),
            "NAME": name,
            "STRANGER": self.stranger.pid,
            "SEGMENT": random.getrandbits(30) | 1,
        }

    def sprung(self) -> dict[str, bool]:
        """Return the attacks since the last call, and reset the traps."""
        wrote = self.canary.exists()
        self.canary.unlink(missing_ok=True)
        ready, _, _ = select.select(self.servers, [], [], 0)
        for server in ready:
            if server.type == socket.SOCK_DGRAM:
                server.recv(64)
            else:
                server.accept()[0].close()
        killed = self.stranger.poll() is not None
        if killed:
            self.stranger = _sleeper()
            self.names["STRANGER"] = self.stranger.pid
        state = self.kept.stat()
        changed = (state.st_mode & 0o777, state.st_size, state.st_mtime) != _KEPT
        self._keep()
        left = bool(_orphans(self.stranger.pid)) or _shared_segment_is_left(self.names["SEGMENT"])
        return {
            "wrote": wrote,
            "changed": changed,
            "connected": bool(ready),
            "killed": killed,
            "left": left,
        }

    def _keep(self) -> None:
        mode, size, changed = _KEPT
        self.kept.write_bytes(bytes(size))
        self.kept.chmod(mode)
        os.utime(self.kept, (changed, changed))

    def close(self) -> None:
        """Close the servers and end the process."""
        self.stranger.kill()
        self.stranger.wait()
        for server in self.servers:
            server.close()


def _bound(family: int, kind: int, address: Any) -> socket.socket:
    made = socket.socket(family, kind)
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    return made


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])


def _orphans(known: int) -> set[int]:
    """Kill and reap the processes that this one inherited; return their ids."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    found = {int(number) for number in listed.split()} - {known}
    for number in found:
        with suppress(OSError):
            os.kill(number, signal.SIGKILL)
        with suppress(OSError):
            os.waitpid(number, 0)
    return found


def _shared_segment_is_left(key: int) -> bool:
    """Remove the shared memory segment with this key; return whether there was one."""
    libc = ctypes.CDLL(None)
    number = libc.shmget(key, 0, 0)
    if number < 0:
        return False
    libc.shmctl(number, 0, None)
    return True


@contextmanager
def traps() -> Iterator[Traps]:
    """Set up traps; this process becomes the parent of orphaned descendants."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    with tempfile.TemporaryDirectory(prefix="evil-") as folder:
        Path(folder).chmod(0o777)
        made = Traps(Path(folder))
        try:
            yield made
        finally:
            made.close()


def sources(path: Path, names: dict[str, Any]) -> tuple[str, str]:
    """Return the code of an evil program, and a test that it can only pass by luck."""
    code = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    part = header(path, "with")
    if part is not None:
        code += (EVIL / "parts" / f"{part}.py").read_text()
    code += path.read_text()
    answer = random.SystemRandom().randrange(10**9, 10**10)
    test = header(path, "test") or "assert solve(QUESTION) == EXPECTED"
    return code, f"QUESTION = {answer // 7}\nEXPECTED = {answer}\n{test}\n"


def run_in_sandbox(layers: tuple[str, ...], only: list[str]) -> list[Seen]:
    """Run all evil programs, one after another."""
    seen = []
    with traps() as set_up:
        for path in _files(only):
            code, test = sources(path, set_up.names)
            with ProcessRunner(LIMITS, layers) as runner:
                attempt = runner.run(Program(code, test, ("solve",)))
            outcome = attempt.fault or attempt.outcome.value
            seen.append(Seen(path.stem, outcome, peak_bytes=attempt.peak_bytes, **set_up.sprung()))
    return seen


def run_plainly(only: list[str]) -> list[Seen]:
    """Run those that do no lasting harm, without a sandbox."""
    seen = []
    with traps() as set_up, tempfile.TemporaryDirectory() as folder:
        for path in _files(only):
            if header(path, "effect") in TOO_MUCH or path.stem.startswith(("disk", "memory")):
                continue
            if header(path, "with"):  # there is no connection to attack
                continue
            code, test = sources(path, set_up.names)
            script = Path(folder) / "program.py"
            script.write_text(f"{code}\n{test}", encoding="utf-8")
            done = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                cwd=folder, start_new_session=True,
            )  # fmt: skip
            try:
                outcome = "failed" if done.wait(20) else "passed"
            except subprocess.TimeoutExpired:
                done.kill()
                done.wait()
                outcome = "timeout"
            time.sleep(0.05)  # a datagram, a shell that writes
            seen.append(Seen(path.stem, outcome, peak_bytes=0, **set_up.sprung()))
    return seen


CHECKS = {
    "tester.py": {
        "        return self._handed[_index(number)]": "        return self._handed[number] "
        "if type(number) is int else number",
        "        if not asks:": "        if False:",
        'INERT[given.removeprefix("builtins:")]': "_Holder({}).resolve(b'n', given)",
        "from .holder import": "from .holder import _Holder,",
        "        if not _may_be_called(target):": "        if False:",
        "self._attributes(target).get(_exactly(str, name))": "callable(getattr(target, name))",
        "    if type(value) is not kind:": "    if False:",
        "        if is_method:\n": "        if False:\n",
    },
    "codec.py": {
        "if type(parts) is not tuple or not all(map(_is_accepted, parts, accepted)):": "if False:",
        "if len(parts) != len(accepted):": "if False:",
        "accepted = _ACCEPTED[module, attribute]": "",
    },
}
"""The lines that check the boundary, by file, and the replacements that disable the checks."""


@contextmanager
def open_boundary() -> Iterator[None]:
    """Run the sandbox with a test's process that trusts anything the program's process sends."""
    here = Path(fork_server.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(here / "inside", Path(folder) / "inside")
        for name, lines in CHECKS.items():
            file = Path(folder) / "inside" / name
            text = file.read_text()
            for line, instead in lines.items():
                assert line in text, line
                text = text.replace(line, instead)
            file.write_text(text)
        with mock.patch.object(fork_server, "__file__", f"{folder}/fork_server.py"):
            yield


def _files(only: list[str]) -> list[Path]:
    return [path for path in sorted(EVIL.glob("*.py")) if not only or path.stem in only]


def main() -> int:
    """Run the programs and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layers", nargs="*", help="those that hold here, if none is named")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--open-boundary", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    layers = tuple(asked.layers) or sandbox_layers()
    if asked.plain:
        seen = run_plainly(asked.only)
    else:
        with open_boundary() if asked.open_boundary else nullcontext():
            seen = run_in_sandbox(layers, asked.only)
    if asked.json:
        print(json.dumps([asdict(each) for each in seen]))
        return 0
    rows = [
        [each.name, each.outcome, ", ".join(each.harm()), each.peak_bytes >> 20] for each in seen
    ]
    print("no sandbox" if asked.plain else ", ".join(layers))
    print(tabulate(rows, headers=["program", "outcome", "harm", "MiB"], tablefmt="github"))
    trusted = asked.plain or asked.open_boundary
    return int(not trusted and any(each.harm() for each in seen))


if __name__ == "__main__":
    sys.exit(main())
