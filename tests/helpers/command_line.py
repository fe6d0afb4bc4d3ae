"""Modules run as users run them: each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "ERASETEST_ID_KEY": "tests",
    "HF_HUB_OFFLINE": "1",
    "COLUMNS": "200",
}


def hear_ctrl_c() -> None:
    """Before a process begins: a job in the background of a script is started deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(
    module: str, *arguments: str, cwd: Path, timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`python -m module arguments` in a folder, with more variables of the environment."""
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
    """A command of erasetest."""
    return run("erasetest.cli", *arguments, cwd=cwd)
