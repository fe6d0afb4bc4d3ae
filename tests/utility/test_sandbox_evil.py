"""No program of `evil/` passes or does harm; without a sandbox, most of them do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from evil_table import EVIL, TOO_MUCH, Seen, header

from erasetest.utility.sandbox import sandbox_layers

SCRIPT = Path(__file__).parents[1] / "evil_table.py"
ORDINARY = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
"""Command that turns root into an ordinary user who can read the files of this interpreter."""

PARTS = 3
NAMESPACES = ("files", "network", "processes")
WITHOUT = {
    "every layer": (),
    "no namespaces, as in a container": NAMESPACES,
    "no system call filter and no Landlock": ("system calls", "landlock"),
    "no Landlock": ("landlock",),
    "no namespace of files": ("files",),
}
DONE = {
    "passes": "passed", "writes": "wrote", "connects": "connected", "stays": "left",
    "leaves": "left", "kills": "killed", "changes": "changed",
}  # fmt: skip


def _seen(*arguments: str, before: tuple[str, ...] = ()) -> list[Seen]:
    command = [*before, sys.executable, str(SCRIPT), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [Seen(**each) for each in json.loads(done.stdout)]


ON_THE_WIRE = {path.stem for path in EVIL.glob("*.py") if header(path, "with") == "wire"}
"""Programs that speak the protocol between program and test themselves."""
ENDLESS = {path.stem for path in EVIL.glob("*.py") if header(path, "ends")}
"""Programs that only a limit of time ends."""
OPENS = {name for name in ON_THE_WIRE if "opens" in (header(EVIL / f"{name}.py", "effect") or "")}
"""Those of them that pass or do harm if the test's process checks nothing."""


def _seen_in_sandbox(layers: list[str], before: tuple[str, ...], leave_out: set[str]) -> list[Seen]:
    """Run three parts of the programs concurrently: many of them wait until they are stopped.

    Not without a sandbox, where one part would find what a program of another left.
    """
    names = sorted({path.stem for path in EVIL.glob("*.py")} - leave_out)

    def part(number: int) -> list[Seen]:
        return _seen(*layers, "--only", *names[number::PARTS], before=before)

    with ThreadPoolExecutor(PARTS) as pool:
        return [seen for found in pool.map(part, range(PARTS)) for seen in found]


@cache
def _can_be_ordinary() -> bool:
    command = [*ORDINARY, sys.executable, "-c", "import os; assert os.getuid() == 1000"]
    return bool(shutil.which("unshare")) and not subprocess.run(command, check=False).returncode


def test_there_are_enough() -> None:
    """At least forty, thirty of them speaking the protocol, each with a known effect."""
    effects = [header(path, "effect") for path in EVIL.glob("*.py")]
    assert len(effects) >= 40
    assert set(effects) == {*DONE, *TOO_MUCH, "nothing", "opens", "opens and writes"}
    assert len(ON_THE_WIRE) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("user", ["root", "an ordinary user"])
@pytest.mark.parametrize("without", WITHOUT.values(), ids=WITHOUT.keys())
def test_nothing_passes_and_nothing_is_left(user: str, without: tuple[str, ...]) -> None:
    """No file outside, connection, process or excess memory; as root and as another user."""
    if user == "root" and os.geteuid() != 0:
        pytest.skip("these tests do not run as root")
    if user != "root" and os.geteuid() == 0 and not _can_be_ordinary():
        pytest.skip("root cannot become an ordinary user here")
    layers = [layer for layer in sandbox_layers() if layer not in without]
    if "files" not in layers and "landlock" not in layers:
        pytest.skip("neither namespaces nor Landlock are available here")
    if "system calls" not in layers and "processes" not in layers:
        pytest.skip("neither namespaces nor the system call filter are available here")
    if user == "root" and "files" not in layers:
        layers = [layer for layer in layers if layer != "user"]  # nobody cannot read root's Python
    become = () if user == "root" or os.geteuid() != 0 else tuple(ORDINARY)
    # Neither the protocol nor the limits of time depend on the layers: twice is enough.
    leave_out = set() if without in ((), NAMESPACES) else ON_THE_WIRE | ENDLESS
    # Root has more means against limits than an ordinary user.
    leave_out |= ENDLESS if become else set()
    # No limit counts socket buffers: only the filter prevents their use.
    needed = {path.stem: header(path, "needs") for path in EVIL.glob("*.py")}
    leave_out |= {name for name, layer in needed.items() if layer and layer not in layers}
    seen = _seen_in_sandbox(layers, become, leave_out)
    assert len(seen) == len(list(EVIL.glob("*.py"))) - len(leave_out)
    assert {each.name: each.harm() for each in seen if each.harm()} == {}
    assert {each.outcome for each in seen} <= {"failed", "timeout"}, "a fault is no verdict"
    assert {each.outcome for each in seen if each.name in ENDLESS} <= {"timeout"}


@pytest.mark.slow
def test_they_are_evil() -> None:
    """In one process with their test and without limits, they have their effect."""
    done = {each.name: each.harm() for each in _seen("--plain")}
    effects = {name: header(EVIL / f"{name}.py", "effect") for name in done}
    wanted = {name: DONE[effect] for name, effect in effects.items() if effect in DONE}
    assert {name: what for name, what in wanted.items() if what not in done[name]} == {}
    assert len(wanted) >= 40


@pytest.mark.slow
def test_the_boundary_is_what_stops_them() -> None:
    """If the test's process checks nothing, those that attack it succeed."""
    seen = _seen("limits", "--open-boundary", "--only", *sorted(OPENS))
    assert {each.name for each in seen if each.harm()} == OPENS
    assert len(OPENS) >= 20
