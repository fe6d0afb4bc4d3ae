"""What only a GPU shows: equality with a CPU, speed and memory of probing and erasing.

    python benchmarks/gpu.py [--again PART ...]
    python benchmarks/gpu.py --device cpu --small -o FOLDER

It takes ten minutes at most, needs no network, and writes `gpu.json`, part by part, and `gpu.md`
into `benchmarks/results`. A part that is in the file is not measured again; one that does not fit
the time that is left is named as skipped, and measured by the next run. Everything is made from
seeds. With `--small` the sizes are those that a CPU computes in seconds: they test this program,
and say nothing about a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tabulate import tabulate

from erasetest.support.atomic_files import write_text
from erasetest.support.torch_environment import quiet, silence_transformers

quiet()

import torch  # noqa: E402
from gpu_clms import Setup  # noqa: E402
from gpu_parts import equality, erasing, throughput, tokenizers  # noqa: E402

RESULTS = Path(__file__).parent / "results"
SECONDS = 600

PARTS: dict[str, tuple[Callable[[Setup], dict[str, Any]], int, str]] = {
    "equality": (
        equality,
        150,
        "Probing on the device against a CPU in float32: a CLM that recites planted secrets",
    ),
    "throughput": (throughput, 150, "Verdicts of never-seen samples, over a forward pass"),
    "erasing": (erasing, 180, "Gradients of an erasing step, over those of a training step"),
    "tokenizers": (tokenizers, 90, "Both families of tokenizers, on the device and on a CPU"),
}
"""Function, limit of time in seconds, and title of each part."""


class OverTime(Exception):
    """A part took longer than its limit."""


def main() -> int:
    """Measure the parts that are missing; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure what only a GPU shows.")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu beside --small")
    parser.add_argument("--small", action="store_true", help="sizes to test this program with")
    parser.add_argument("--again", nargs="*", default=[], choices=sorted(PARTS), metavar="PART")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit of the whole run")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, metavar="FOLDER")
    asked = parser.parse_args()
    begin = time.monotonic()
    problem = unusable(asked.device, small=asked.small)
    if not problem and asked.small and asked.output == RESULTS:
        problem = "--small measures nothing that is worth keeping: name another folder with -o"
    if problem:
        print(f"gpu.py: {problem}", file=sys.stderr)
        return 1
    setup = Setup(torch.device(asked.device), asked.small)
    silence_transformers()
    asked.output.mkdir(parents=True, exist_ok=True)
    path = asked.output / "gpu.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    machine = hardware(setup)
    if found.get("machine", machine) != machine:
        print(f"gpu.py: {path}: was measured on another machine: name a new folder with -o",
              file=sys.stderr)  # fmt: skip
        return 1
    found["machine"] = machine
    for part in PARTS:
        if part not in found or part in asked.again:
            left = asked.seconds - (time.monotonic() - begin)
            measure_part(part, setup, left, found)
            write_text(path, json.dumps(found, indent=1) + "\n")
            write_text(path.with_suffix(".md"), as_markdown(found))
            if part in found["skipped"]:
                print(f"{part}: skipped: {found['skipped'][part]}", flush=True)
            else:
                print(f"{part}: measured in {found[part]['seconds']} s", flush=True)
    return int(bool(found.get("skipped")))


def unusable(device: str, *, small: bool) -> str | None:
    """Return why nothing can be measured on a device; None if it can."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return None if small else "a CPU takes hours for these sizes: give --small, or a GPU"
    if kind != "cuda":
        return f"device {device!r} is unknown: expected cuda, cuda:N, or cpu beside --small"
    if not torch.cuda.is_available():
        return "this machine has no CUDA device: run it on one, or give --device cpu --small"
    return None


def measure_part(part: str, setup: Setup, left: float, found: dict[str, Any]) -> None:
    """Measure a part into `found`, or name there why it was skipped."""
    measure, limit, _ = PARTS[part]
    skipped = found.setdefault("skipped", {})
    if left < limit:
        skipped[part] = f"{max(0, left):.0f} s were left, and it may take {limit}"
        return
    begin = time.monotonic()
    try:
        with at_most(limit):
            found[part] = {"seconds": 0.0, "rows": measure(setup)}
    except OverTime:
        skipped[part] = f"it took longer than {limit} s"
    except Exception as error:
        # The other parts are worth having: a GPU is lent for minutes.
        traceback.print_exc()
        skipped[part] = f"it failed ({type(error).__name__})"
    else:
        skipped.pop(part, None)
        found[part]["seconds"] = round(time.monotonic() - begin, 1)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `OverTime` in the block when the time is over."""

    def end(number: int, frame: object) -> None:
        raise OverTime

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def hardware(setup: Setup) -> dict[str, Any]:
    """Return what the figures depend on."""
    versions = {
        "torch": torch.__version__, "CUDA": torch.version.cuda, "Python": platform.python_version(),
        "sizes": "small" if setup.small else "full",
    }  # fmt: skip
    if setup.device.type == "cpu":
        return {"device": f"CPU, {platform.machine()}", **versions}
    properties = torch.cuda.get_device_properties(setup.device)
    return {
        "device": torch.cuda.get_device_name(setup.device),
        "memory, GiB": round(properties.total_memory / 2**30, 1),
        "driver": driver(),
        **versions,
    }


def driver() -> str | None:
    """Return the version of the driver; None if the tool that knows it is missing."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with contextlib.suppress(OSError, IndexError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.split()[0]
    return None


def as_markdown(found: dict[str, Any]) -> str:
    """Return a table for each part that is measured, and the names of the others."""
    named = ", ".join(f"{name} {value}" for name, value in found["machine"].items() if value)
    lines = ["# Probing and erasing on a GPU\n", f"{named}. Made by `python benchmarks/gpu.py`.\n"]
    for part, (_, _, title) in PARTS.items():
        lines.append(f"## {title}\n")
        if part not in found:
            lines.append(f"Skipped: {found.get('skipped', {}).get(part, 'not reached')}.\n")
            continue
        rows = found[part]["rows"]
        columns = list(rows)
        values = [
            [name, *(_shown(rows[c].get(name)) for c in columns)] for name in rows[columns[0]]
        ]
        lines.append(tabulate(values, ["", *columns], "github", disable_numparse=True) + "\n")
        lines.append(f"Measured in {found[part]['seconds']} s.\n")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
