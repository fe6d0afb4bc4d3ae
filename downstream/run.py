"""Run gates with other pytest plugins, and compare them with the same gates without the plugin.

See README.md in this folder.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugin_table import PLUGINS, Plugin

HERE = Path(__file__).resolve().parent
LIMIT = 900
"""Seconds for one gate."""

SCENARIOS: dict[str, tuple[str, ...]] = {
    "leaking": ("--clm={clms}/leaking", "test_own.py"),
    "clean": ("--clm={clms}/clean",),
    "erase": (
        "--clm={clms}/leaking",
        "--erase",
        "--erase-retain={clms}/retained.jsonl",
        "--erase-out=erased",
    ),
}
"""Arguments of a gate by name of the scenario, besides manifest, thresholds and report."""

NOT_READ = (".safetensors", ".pyc")
SOURCES = ("test_own.py", "tokenizer.json")
"""Inputs of a run: the test that contains secrets, and a vocabulary."""


@dataclass(slots=True)
class Run:
    """The result of a gate."""

    status: int
    verdict: str | None
    verdicts: dict[str, Any]
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def main() -> int:
    """Print a row per plugin and scenario; return 1 if any differs from the run without it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="plugins to run (default: all)")
    parser.add_argument("--checkout", type=Path, default=HERE.parent, help="checkout to install")
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS))
    parser.add_argument("--keep", type=Path, help="folder for the files of the runs, which is kept")
    given = parser.parse_args()
    unknown = set(given.names) - {plugin.name for plugin in PLUGINS}
    if unknown:
        parser.error(f"no plugin {', '.join(sorted(unknown))}: see plugin_table.py")
    plugins = [plugin for plugin in PLUGINS if not given.names or plugin.name in given.names]
    scenarios = given.scenario or list(SCENARIOS)
    work = (given.keep or Path(tempfile.mkdtemp(prefix="downstream-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    try:
        return compare(given.checkout.resolve(), work, plugins, scenarios)
    finally:
        if given.keep is None:
            shutil.rmtree(work, ignore_errors=True)


def compare(checkout: Path, work: Path, plugins: list[Plugin], scenarios: list[str]) -> int:
    """Run the gates alone, then with each plugin; print the differences. Return the exit status."""
    wheel = build(checkout, work / "wheel")
    alone = environment(work / "alone", wheel)
    clms = work / "clms"
    clms.mkdir(exist_ok=True)
    path = os.pathsep.join(str(checkout / folder) for folder in ("tests/helpers", ".", "plugins"))
    command = [alone, HERE / "make_clms.py", clms]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path}, timeout=LIMIT)
    secrets: list[str] = json.loads((clms / "secrets.json").read_text())
    wanted = {s: gate(alone, work / f"alone-{s}", clms, s, (), secrets) for s in scenarios}
    print(f"{'plugin':<28} {'scenario':<9} {'status':<10} {'verdict':<22} {'s':>4}  result")
    failed = any(row("(alone)", scenario, wanted[scenario]) for scenario in scenarios)
    for plugin in plugins:
        python = environment(work / plugin.name, wheel, f"{plugin.name}=={plugin.version}")
        for scenario in scenarios:
            folder = work / f"{plugin.name}-{scenario}"
            found = gate(python, folder, clms, scenario, plugin.arguments, secrets)
            found.faults += differences(found, wanted[scenario], plugin, folder)
            failed |= row(f"{plugin.name} {plugin.version}", scenario, found, wanted[scenario])
    return int(failed)


def row(name: str, scenario: str, found: Run, wanted: Run | None = None) -> bool:
    """Print a row of the table; return whether it has faults."""
    wanted = wanted or found
    status = f"{found.status}" if found.status == wanted.status else _both(wanted, found, "status")
    same = found.verdict == wanted.verdict
    verdict = f"{found.verdict}" if same else _both(wanted, found, "verdict")
    result = "; ".join(found.faults) or "same"
    print(
        f"{name:<28} {scenario:<9} {status:<10} {verdict:<22} {found.seconds:4.0f}  {result}",
        flush=True,
    )
    return bool(found.faults)


def _both(wanted: Run, found: Run, what: str) -> str:
    return f"{getattr(wanted, what)} -> {getattr(found, what)}"


def build(checkout: Path, folder: Path) -> Path:
    """Build and return the wheel of a checkout."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(checkout)]
    subprocess.run(command, check=True, timeout=LIMIT)
    (wheel,) = folder.glob("erasetest-*.whl")
    return wheel


def environment(folder: Path, *requirements: Path | str) -> Path:
    """Create a virtual environment with these requirements; return its interpreter.

    It shares the packages of the interpreter that runs this, because torch and transformers are
    large. They are last on its path, so the packages of the environment take precedence.
    """
    venv.create(folder, clear=True, with_pip=False, symlinks=True)
    (own,) = folder.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (own / "zz_shared.pth").write_text("\n".join(shared) + "\n")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for requirement in requirements:
        wheel = isinstance(requirement, Path)
        # The dependencies of the wheel are shared; those of a plugin may be missing.
        how = ["--no-deps", "--ignore-installed"] if wheel else []
        command = [*pip, "--python", str(python), "install", *how, str(requirement)]
        subprocess.run(command, check=True, timeout=LIMIT)
    return python


def gate(
    python: Path,
    folder: Path,
    clms: Path,
    scenario: str,
    arguments: tuple[str, ...],
    secrets: list[str],
) -> Run:
    """Run a gate in a new folder, and return its result.

    Args:
        python: interpreter of the virtual environment.
        folder: working folder of the gate.
        clms: the folder that `make_clms.py` wrote.
        scenario: a key of `SCENARIOS`.
        arguments: those of the plugin.
        secrets: texts that must not be in any output.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(clms / "test_own.py", folder)
    given = [argument.format(clms=clms) for argument in SCENARIOS[scenario]]
    command = [
        str(python), "-m", "erasetest.cli", "gate", "-c", os.devnull, "--rootdir", str(folder),
        "--pyargs", "pytest_erasetest.suites", *given,
        f"--leak-samples={clms / 'samples.jsonl'}",
        f"--leak-thresholds={clms / 'thresholds.json'}",
        "--leak-report=leakage.json", "--junit-xml=junit.xml", *arguments,
    ]  # fmt: skip
    plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**plain, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    run = Run(done.returncode, None, {}, seconds=time.monotonic() - started)
    report = folder / "leakage.json"
    if report.is_file():
        document = json.loads(report.read_text())
        run.verdict = document["verdict"]
        run.verdicts = {
            sample["id"]: (sample["verdict"], (sample["after"] or {}).get("verdict"))
            for sample in document["samples"]
        }
    else:
        run.faults.append("no leakage report")
    if " erasetest ====" not in done.stdout:
        run.faults.append("no summary on the terminal")
    if "Traceback (most recent call last)" in done.stderr or "INTERNALERROR" in done.stdout:
        run.faults.append("a traceback or an internal error")
    if files := shown(folder, secrets):
        more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
        run.faults.append(f"a secret in {files[0]}{more}")
    return run


def shown(folder: Path, secrets: list[str]) -> list[str]:
    """Return the files below a folder that contain eight consecutive characters of a secret.

    The characters are searched for as they are, and in JSON and HTML encoding. Words are not
    searched for, because they occur in other texts.
    """
    parts = {secret[i : i + 8] for secret in secrets for i in range(len(secret) - 7)}
    parts = {part for part in parts if not part.isalpha() and part not in ".internal"}
    parts |= {json.dumps(part)[1:-1] for part in parts}
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in NOT_READ or path.name in SOURCES:
            continue
        text = path.read_text(errors="replace")
        text = f"{path}\n{text}\n{html.unescape(html.unescape(text))}"
        if any(part in text for part in parts):
            found.append(str(path.relative_to(folder)))
    return found


def differences(found: Run, wanted: Run, plugin: Plugin, folder: Path) -> list[str]:
    """Return what a plugin changed, and whether it was active at all."""
    faults = []
    if found.status != wanted.status:
        faults.append("another exit status")
    if found.verdict != wanted.verdict:
        faults.append("another verdict")
    changed = [
        name for name, verdict in wanted.verdicts.items() if found.verdicts.get(name) != verdict
    ]
    if changed:
        faults.append(f"{len(changed)} samples have other verdicts")
    if plugin.shown not in (folder / "stdout.txt").read_text():
        faults.append("the plugin was not loaded")
    faults += [f"it wrote no {name}" for name in plugin.writes if not (folder / name).exists()]
    return faults


if __name__ == "__main__":
    sys.exit(main())
