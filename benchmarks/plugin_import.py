"""Cost of the plugin for a run of pytest that does not use it.

Runs `pytest` on an empty test file with and without the plugin, in alternation, and writes the
median difference of the wall times of each pair to `benchmarks/results/plugin_import.md`:

    python benchmarks/plugin_import.py --pairs 40
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "plugin_import.md"

LIMIT_MS = 20.0
"""Accepted median difference, in milliseconds."""


def run_pytest(folder: Path, *options: str) -> float:
    """Return the wall time of a run of pytest without other plugins, in seconds."""
    # Other installed plugins would add to the noise of both runs.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider"]
    start = time.perf_counter()
    subprocess.run(
        [*command, *options, "test_empty.py"],
        cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - start


def measure(pairs: int) -> list[tuple[float, float]]:
    """Return the wall times without and with the plugin of so many pairs, in seconds."""
    with_plugin = ("-p", "pytest_erasetest.plugin")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_nothing():\n    pass\n")
        # Compiles the modules of both.
        run_pytest(folder)
        run_pytest(folder, *with_plugin)
        times = []
        for pair in range(pairs):
            # The order alternates, because the second run of a pair finds warmer caches.
            if pair % 2:
                loaded = run_pytest(folder, *with_plugin)
                times.append((run_pytest(folder), loaded))
            else:
                plain = run_pytest(folder)
                times.append((plain, run_pytest(folder, *with_plugin)))
        return times


def table(times: list[tuple[float, float]]) -> str:
    """Return the results as Markdown."""
    plain, loaded = ([1000 * value for value in column] for column in zip(*times, strict=True))
    differences = sorted(b - a for a, b in zip(plain, loaded, strict=True))
    quarter = len(differences) // 4
    return (
        "# Cost of the plugin for a run of pytest that does not use it\n\n"
        f"{len(times)} pairs of runs on a file with one empty test, by "
        "`benchmarks/plugin_import.py`: wall times in milliseconds.\n\n"
        "| without | with | median difference | quartiles | accepted |\n"
        "|---|---|---|---|---|\n"
        f"| {statistics.median(plain):.0f} | {statistics.median(loaded):.0f} "
        f"| {statistics.median(differences):.1f} "
        f"| {differences[quarter]:.1f} to {differences[-1 - quarter]:.1f} | {LIMIT_MS:.0f} |\n\n"
        f"Python {platform.python_version()}, pytest {version('pytest')}, "
        f"{os.cpu_count()} cores.\n"
    )


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    text = table(measure(parser.parse_args().pairs))
    print(text)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
