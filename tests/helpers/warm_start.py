"""Start `python -m MODULE` from a process that has imported the large libraries already.

Importing torch, transformers and pytest takes seconds of each command and gate that tests run. One
server per test process imports them once and forks for each run; several may run at once. What it
forks is a process like any other: with its own exit status, signals, file descriptors and
`sys.modules`, into which nothing of erasetest has been imported yet. The workers of xdist that it
starts are forks too, of a second server that was forked before it did anything.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import inspect
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

LIBRARIES = (
    "torch", "transformers", "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto", "transformers.models.qwen2.modeling_qwen2",
    "transformers.generation", "jsonschema", "numpy", "pytest", "_pytest.pytester",
    "safetensors.torch", "tabulate", "typer", "filelock", "detect_secrets", "xdist.remote",
)  # fmt: skip

_QUIET = {
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""What `erasetest.support.torch_environment.quiet` sets before torch is imported."""

_AT_RUN_TIME = (
    "ERASETEST_", "PYTEST_", "TMPDIR", "COLUMNS", "XDG_CACHE_HOME", "HYPOTHESIS_",
    "TERM",
)  # fmt: skip
"""Beginnings of the variables that are read when they are used, not when something is imported."""


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

    def fork(self, request: Mapping[str, Any], streams: list[int]) -> tuple[int, BinaryIO]:
        """Return the process that was forked for a request, and a file with its wait status."""
        read, write = os.pipe()
        socket.send_fds(self._socket, [json.dumps(request).encode()], [*streams, write])
        os.close(write)
        status = os.fdopen(read, "rb", buffering=0)
        return int(status.readline()), status

    def run(
        self, module: str, arguments: tuple[str, ...], *, cwd: Path, timeout: float,
        environment: Mapping[str, str],
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a module as `subprocess.run` does with `capture_output` and `text`."""
        what = {"module": module, "arguments": list(arguments)}
        with Forked(
            self, what, cwd=cwd, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


class Forked(subprocess.Popen[Any]):
    """A process of the server, with all methods of `Popen`; only its start and wait differ."""

    def __init__(self, server: Server, what: Mapping[str, Any], **options: Any) -> None:
        """Start `python -m MODULE` or `python -c CODE`.

        Args:
            server: forks it.
            what: the `module` to run and its `arguments`, or the `code`.
            options: of `Popen`: `cwd`, `env`, `start_new_session`, and all that concern streams.
        """
        self._server = server
        self._what = what
        super().__init__([sys.executable, str(what)], **options)

    def _execute_child(self, *given: Any) -> None:
        named = dict(zip(_EXECUTE_CHILD, given, strict=True))
        request = {
            **self._what,
            "cwd": str(named["cwd"]),
            "environment": dict(named["env"]),
            "session": named["start_new_session"],
            "hangup": signal.getsignal(signal.SIGHUP) == signal.SIG_DFL,
        }
        theirs = [named[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if file < 0 else file for number, file in enumerate(theirs)]
        self.pid, self._status = self._server.fork(request, streams)
        self._child_created = True
        self._close_pipe_fds(*(named[name] for name in _EXECUTE_CHILD[10:16]))  # type: ignore[attr-defined]

    def _try_wait(self, flags: int) -> tuple[int, int]:
        ready = select.select([self._status], [], [], 0 if flags & os.WNOHANG else None)[0]
        if not ready:
            return 0, 0
        with self._status:
            # Nothing, if the server was killed.
            return self.pid, int(self._status.readline() or signal.SIGKILL)

    def _internal_poll(self, _deadstate: int | None = None, **_: object) -> int | None:
        if _deadstate is not None:
            # Called by `__del__`: nobody waits for it, and the file may have been closed before.
            self.returncode = _deadstate
        elif self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode


_EXECUTE_CHILD = tuple(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]  # type: ignore[attr-defined]


def _requests(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield the request in the process that was forked for it; the server returns at the end."""
    running: dict[int, tuple[int, int]] = {}
    while True:
        ready, _, _ = select.select([connection, *running], [], [])
        for ended in set(ready) & set(running):
            pid, control = running.pop(ended)
            status = os.waitpid(pid, 0)[1]
            with contextlib.suppress(BrokenPipeError):  # the client has ended
                os.write(control, b"%d\n" % status)
            os.close(control)
            os.close(ended)
        if connection not in ready:
            continue
        data, files, _, _ = socket.recv_fds(connection, 1 << 20, 4)
        if not data:
            return
        *streams, control = files
        pid = os.fork()
        if pid == 0:
            connection.close()
            for other in (control, *running, *(control for _, control in running.values())):
                os.close(other)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            yield json.loads(data)
            return
        for stream in streams:
            os.close(stream)
        os.write(control, b"%d\n" % pid)
        running[os.pidfd_open(pid)] = pid, control


def _inherit(request: Mapping[str, Any]) -> None:
    """Give this process the session, and the actions of signals, of one that the client starts."""
    if request["session"]:
        os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL if request["hangup"] else signal.SIG_IGN)
    # Even if this is a background job of a script, which ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _import_libraries() -> None:
    for name in LIBRARIES:
        __import__(name)
    # It has a plugin for pytest, which would warn that it can no longer rewrite its assertions.
    sys.modules["anyio"].__doc__ = "PYTEST_DONT_REWRITE"
    # The collector would write to every object, and so copy the memory of each page for each run.
    gc.collect()
    gc.freeze()


def _serve(connection: socket.socket) -> None:
    """Fork for each request; in the forked process, do what is requested."""
    for request in _requests(connection):
        # As those of a new process: whether they can be sought depends on what they are.
        sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
        sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
        sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, closefd=False)
        _inherit(request)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        # Otherwise all runs would draw the same numbers.
        random.seed()
        # It was found by the variables of the server.
        tempfile.tempdir = None
        if "code" in request:
            sys.argv = ["-c"]
            exec(request["code"], vars(sys.modules["__main__"]))
            return
        if any(argument.startswith("-n") for argument in request["arguments"]):
            _fork_the_workers_of_xdist()
        sys.argv = ["-m", *request["arguments"]]
        sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` writes it
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _fork_the_workers_of_xdist() -> None:
    """Have workers of this process forked by a server that is a copy of this process as it is."""
    from execnet.gateway_io import Popen2IO, Popen2IOMaster

    server = Server.__new__(Server)
    server._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        server._socket.close()
        _serve(its)
        os._exit(0)
    its.close()

    def start(self: Any, args: Sequence[str], execmodel: Any) -> None:
        self.popen = Forked(
            server, {"code": args[-1]}, cwd=os.getcwd(), env=dict(os.environ),  # noqa: PTH109
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        Popen2IO.__init__(self, self.popen.stdin, self.popen.stdout, execmodel=execmodel)

    Popen2IOMaster.__init__ = start  # type: ignore[method-assign]


if __name__ == "__main__":
    _import_libraries()
    _serve(socket.socket(fileno=int(sys.argv[1])))
