"""Commands and other modules, run as users run them."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import warm_start

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "ERASETEST_ID_KEY": "tests",
    "HF_HUB_OFFLINE": "1",
    "COLUMNS": "200",
}


def hear_ctrl_c() -> None:
    """Restore the default action of SIGINT, which background jobs of a script ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(
    module: str, *arguments: str, cwd: Path, timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module arguments` in a folder, with more environment variables.

    The process is a fork of one that has imported the large libraries, unless a variable is given
    that could change how they are imported.
    """
    if warm_start.can_start(variables):
        return _server().run(
            module, arguments, cwd=cwd, timeout=timeout, environment={**ENVIRONMENT, **variables}
        )
    return run_cold(module, *arguments, cwd=cwd, timeout=timeout, **variables)


def start(
    module: str, *arguments: str, cwd: Path, variables: Mapping[str, str] | None = None,
    **options: Any,
) -> subprocess.Popen[str]:  # fmt: skip
    """Start `python -m module arguments`, as `run` does, and return the running process.

    Args:
        module: to run.
        arguments: of its command line.
        cwd: the folder to run it in.
        variables: more environment variables.
        options: of `Popen`: the streams, and `start_new_session`.
    """
    environment = {**ENVIRONMENT, **(variables or {})}
    options |= {"cwd": cwd, "env": environment, "text": True}
    if warm_start.can_start(variables or {}):
        what = {"module": module, "arguments": list(arguments)}
        return warm_start.Forked(_server(), what, **options)
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, preexec_fn=hear_ctrl_c, **options)


@functools.cache
def _server() -> warm_start.Server:
    return warm_start.Server(ENVIRONMENT)


def run_cold(
    module: str, *arguments: str, cwd: Path, timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module arguments` in a new interpreter, where imports are the point."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def erasetest(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of erasetest in a new process."""
    return run("erasetest.cli", *arguments, cwd=cwd)


def erasetest_here(
    capfd: pytest.CaptureFixture[str], *arguments: str, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command of erasetest in this process, which saves the start of another.

    It is the same `main`. What it changes in its process is restored: the arguments, the folder,
    the environment, the handlers of signals and of warnings.

    Args:
        capfd: captures what is written to the file descriptors, by C libraries too.
        arguments: of the command line.
        cwd: the folder to run it in.
    """
    from erasetest.cli import main

    folder = Path.cwd()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    capfd.readouterr()
    try:
        os.chdir(cwd)
        with (
            mock.patch.dict(os.environ, ENVIRONMENT),
            mock.patch.object(sys, "argv", ["erasetest", *arguments]),
            mock.patch.object(warnings, "showwarning", warnings.showwarning),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    finally:
        os.chdir(folder)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    written = capfd.readouterr()
    assert isinstance(ended.value.code, int)
    return subprocess.CompletedProcess(arguments, ended.value.code, written.out, written.err)


def first_of_each_command(cases: Mapping[str, tuple[Sequence[str], str]], count: int) -> set[str]:
    """Return the names of the first cases of each command, for those that need a new process."""
    names: dict[str, list[str]] = {}
    for name, (arguments, _) in cases.items():
        names.setdefault(arguments[0], []).append(name)
    return {name for of_command in names.values() for name in of_command[:count]}
