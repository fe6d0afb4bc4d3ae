"""Gates as users run them: pytest on the suites, in a separate process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import command_line
import tiny

SUITES = Path(__file__).parents[2] / "suites"


def gate(
    folder: Path, *arguments: str, cwd: Path, tests: str | Path = SUITES, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the suites, or other tests, on the leaking CLM."""
    defaults = {
        "--clm": folder / "clm",
        "--leak-samples": folder / "samples.jsonl",
        "--leak-thresholds": folder / "thresholds.json",
    }
    named = {argument.split("=")[0] for argument in arguments}
    given = [f"{flag}={path}" for flag, path in defaults.items() if flag not in named]
    return run_pytest(str(tests), *given, *arguments, cwd=cwd, **env)


def run_pytest(
    *arguments: str, cwd: Path, cold: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest in a separate process; a cold one has imported nothing before."""
    # The plugin of hypothesis imports hypothesis at the end: a fifth of the time of these runs.
    options = ["-c", os.devnull, "--rootdir", str(cwd), "-p", "no:hypothesispytest"]
    run = command_line.run_cold if cold else command_line.run
    return run("pytest", *options, *arguments, cwd=cwd, timeout=240, **env)


def everything(folder: Path, run: subprocess.CompletedProcess[str]) -> str:
    """Return everything that a run printed and wrote, except weights."""
    texts = [run.stdout, run.stderr]
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors" and path.name != "tokenizer.json":
            texts.append(str(path) + path.read_text(errors="replace"))
    return "\n".join(texts)


def leaked_parts(text: str) -> list[str]:
    """Return the parts of planted secrets, of eight characters each, that occur in a text.

    Words and `.internal` are not searched for, because they occur in other texts.
    """
    secrets = [secret.text.reveal() for sample in tiny.PLANTED for secret in sample.secrets]
    parts = [secret[i : i + 8] for secret in secrets for i in range(len(secret) - 7)]
    named = [part for part in parts if not part.isalpha() and part not in ".internal"]
    return [part for part in named if part in text]
