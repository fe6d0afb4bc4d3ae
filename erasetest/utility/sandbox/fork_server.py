"""The fork server: a fork starts in a fraction of the time of a new interpreter."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

# An import, not a script: the bytecode of a script is not cached.
_LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv[1]); import inside.launcher as launcher; "
    "del sys.path[0]; launcher.main()"
)
_END_SECONDS = 5.0
"""Time that descendants get to end after the server."""


class ForkServer:
    """A process whose forks run one program at a time (`inside/launcher.py`).

    Args:
        inherited: a descriptor that its forks may use.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(self, inherited: int | None) -> None:
        python = os.path.realpath(sys.executable)
        # No preexec_fn, which is unsafe with threads, and torch starts some in this process.
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this package's module
            [python, "-I", "-S", "-c", _LAUNCH, str(Path(__file__).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            bufsize=0,
            start_new_session=True,
            pass_fds=() if inherited is None else (inherited,),
        )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)

    def ask(self, job: bytes, seconds: float) -> str:
        """Send a job and return the line that the server answers.

        Raises:
            TimeoutError: it does not answer within that time.
            ChildProcessError: it has ended; the argument is its status.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        unwritten, answer = memoryview(job), b""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as ready:
            ready.register(stdin, selectors.EVENT_WRITE)
            ready.register(stdout, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                for key, _ in ready.select(left):
                    if key.fileobj is stdout:
                        more = os.read(stdout.fileno(), 1 << 16)
                        if not more:
                            raise ChildProcessError(self._process.wait())
                        answer += more
                        continue
                    with suppress(BrokenPipeError):  # its standard output reports the reason
                        unwritten = unwritten[os.write(stdin.fileno(), unwritten[: 1 << 16]) :]
                        if unwritten:
                            continue
                    ready.unregister(stdin)
        return answer.decode("utf-8", "replace").rstrip("\n")

    def end(self) -> None:
        """Terminate the server and the program that it runs."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def close(self, *, at_once: bool = False) -> None:
        """Terminate the server and wait for it; `at_once` kills all processes of its session."""
        if at_once:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.end()
        self._process.wait()
        self._wait_for_forks()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _wait_for_forks(self) -> None:
        """Wait until the supervisor closes the pipe: then no process of a program is left."""
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(stdout, selectors.EVENT_READ)
            while ready.select(_END_SECONDS) and os.read(stdout.fileno(), 1 << 16):
                pass
