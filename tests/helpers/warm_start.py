"""Start `python -m MODULE` from a process that has imported the large libraries already.

Importing torch, transformers and pytest takes seconds of each command and gate that tests run. One
server per test process imports them once and forks for each run. What it forks is a process like
any other: with its own exit status, signals, file descriptors and `sys.modules`, from which nothing
of erasetest has been imported yet.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch", "transformers", "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto", "transformers.models.qwen2.modeling_qwen2",
    "transformers.generation", "jsonschema", "numpy", "pytest", "_pytest.pytester",
    "safetensors.torch", "tabulate", "typer", "filelock", "detect_secrets",
)  # fmt: skip

_QUIET = {
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""What `erasetest.support.torch_environment.quiet` sets before torch is imported."""

_AT_RUN_TIME = ("ERASETEST_", "PYTEST_", "TMPDIR", "COLUMNS", "XDG_CACHE_HOME", "HYPOTHESIS_")
"""Beginnings of the variables that are read when they are used, not when something is imported."""

_LARGEST = 1 << 16


def can_start(variables: Mapping[str, str]) -> bool:
    """Return whether a run with these additional variables can start from the server."""
    return sys.platform == "linux" and all(name.startswith(_AT_RUN_TIME) for name in variables)


class Server:
    """The client's side of the process that forks."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it; its variables are those of every run."""
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(its.fileno())],
                env={**environment, **_QUIET},
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self.stop)

    def stop(self) -> None:
        """End it: it reads the end of the stream."""
        self._socket.close()
        self._process.wait(10)

    def run(
        self, module: str, arguments: tuple[str, ...], *, cwd: Path, timeout: float,
        environment: Mapping[str, str],
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a module as `subprocess.run` does with `capture_output` and `text`."""
        request = {
            "module": module,
            "arguments": arguments,
            "cwd": str(cwd),
            "environment": dict(environment),
        }
        pipes = [os.pipe(), os.pipe()]
        socket.send_fds(self._socket, [json.dumps(request).encode()], [w for _, w in pipes])
        for _, write in pipes:
            os.close(write)
        pid = int(self._socket.recv(_LARGEST))
        command = [sys.executable, "-m", module, *arguments]
        try:
            output, errors = _read_all([read for read, _ in pipes], time.monotonic() + timeout)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._socket.recv(_LARGEST)
            raise subprocess.TimeoutExpired(command, timeout) from None
        finally:
            for read, _ in pipes:
                os.close(read)
        status = int(self._socket.recv(_LARGEST))
        return subprocess.CompletedProcess(command, status, output, errors)


def _read_all(pipes: list[int], deadline: float) -> tuple[str, str]:
    read: dict[int, list[bytes]] = {pipe: [] for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, _LARGEST)
                if not data:
                    selector.unregister(key.fd)
                read[key.fd].append(data)
    output, errors = (
        b"".join(read[pipe]).decode().replace("\r\n", "\n").replace("\r", "\n") for pipe in pipes
    )
    return output, errors


def _requests(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield the request in the process that was forked for it; the server returns at the end."""
    while True:
        data, streams, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            for number, stream in enumerate(streams, 1):
                os.dup2(stream, number)
                os.close(stream)
            yield json.loads(data)
            return
        for stream in streams:
            os.close(stream)
        connection.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _serve(connection: socket.socket) -> None:
    for name in LIBRARIES:
        __import__(name)
    # It has a plugin for pytest, which would warn that it can no longer rewrite its assertions.
    sys.modules["anyio"].__doc__ = "PYTEST_DONT_REWRITE"
    # The collector would write to every object, and so copy the memory of each page for each run.
    gc.collect()
    gc.freeze()
    for request in _requests(connection):
        # As those of a new process: whether they can be sought depends on what they are.
        sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
        sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
        sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, closefd=False)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        # Otherwise all runs would draw the same numbers.
        random.seed()
        sys.argv = ["-m", *request["arguments"]]
        sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` writes it
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
