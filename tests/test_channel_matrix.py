"""No channel of pytest shows a secret: what tests, hooks and plugins show, in colour and without.

Each channel shows a secret of each kind, its own (`channels/secrets_of.py`), so that a find names
the channel. Everything that a run printed and wrote is searched by code that shares nothing with
the code that masks (`channels/oracle.py`); a run without masking shows that it finds every channel.
"""

from __future__ import annotations

import json
import re
import subprocess
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest
from channels.oracle import leaks
from channels.secrets_of import KINDS, secret
from gates import run_pytest

HERE = Path(__file__).parent / "channels"
LEAKY = (HERE / "leaky.py").read_text()
CHANNELS = sorted({*re.findall(r'secrets?\("(\w+)"', LEAKY), "collect"})
MODULES = {
    "pytest_jsonreport": ["--json-report", "--json-report-file=report.json"],
    "pytest_reportlog": ["--report-log=report-log.jsonl"],
    "pytest_html": ["--html=report.html", "--self-contained-html"],
    "allure_pytest": ["--alluredir=allure"],
}
INSTALLED = {name: options for name, options in MODULES.items() if find_spec(name)}

NO_MASK = """
import erasetest.redact
erasetest.redact.Redactor.runs = lambda self, text: []
erasetest.redact.Redactor.finds = lambda self, text: False
"""


def _project(folder: Path, hooks: str = "") -> list[str]:
    """A project whose tests leak, and what makes pytest test a CLM in it."""
    for name, text in {
        "test_leaky.py": LEAKY,
        "secrets_of.py": (HERE / "secrets_of.py").read_text(),
        "test_collect.py": "import secrets_of\nraise ValueError(*secrets_of.secrets('collect'))\n",
        "conftest.py": f"from secrets_of import secrets\n{hooks}\n",
    }.items():
        (folder / name).write_text(text)
    clm = folder / "clm"
    clm.mkdir()
    (clm / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    manifest = folder.with_name(f"{folder.name}.jsonl")
    rows = [
        {
            "id": f"{number}-{kind}",
            "content": text,
            "secrets": [{"start": 0, "end": len(text), "kind": kind}],
        }
        for number, channel in enumerate([*CHANNELS, "hook"])
        for kind in KINDS
        for text in [secret(channel, kind)]
    ]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [f"--clm={clm}", f"--leak-samples={manifest}"]


def _run(folder: Path, *options: str, hooks: str = "") -> subprocess.CompletedProcess[str]:
    given = _project(folder, hooks)
    return run_pytest("--continue-on-collection-errors", *given, *options, cwd=folder)


def _shown(folder: Path, run: subprocess.CompletedProcess[str]) -> set[str]:
    """Channel and kind of what was printed or written, or stands in the name of a file."""
    owners = {secret(c, kind): f"{c} {kind}" for c in [*CHANNELS, "hook"] for kind in KINDS}
    files = [path for path in folder.rglob("*") if path.is_file()]
    data = b"\n".join(
        [run.stdout.encode(), run.stderr.encode()]
        + [str(path.relative_to(folder)).encode() + b"\n" + path.read_bytes() for path in files]
    )
    return {owners[text] for text in leaks(data, owners)}


ALL = (
    "-vv", "-ra", "-l", "-olog_cli=true", "--log-file=log.txt", "--junitxml=junit.xml",
    "-ojunit_logging=all", "-ojunit_family=xunit1", "--basetemp=base", "--durations=3",
)  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        ("--color=yes",),
        ("--color=no", "--capture=sys", "--tb=short"),
        ("--color=yes", "-n2"),
        ("--color=no", "-s", "--tb=native", "--deselect=test_leaky.py::test_file_descriptor",
         "--deselect=test_leaky.py::test_child"),
    ],
    ids=["colour", "capture-sys", "xdist", "uncaptured"],
)  # fmt: skip
def test_no_channel_shows_a_secret(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Terminal, logs, JUnit XML, caches, folders, and reports of other plugins where installed."""
    run = _run(tmp_path, *ALL, *options, *chain.from_iterable(INSTALLED.values()))
    assert "INTERNALERROR" not in run.stdout + run.stderr
    assert re.search(r"\d{2,} failed, ", run.stdout), run.stdout[-3000:] + run.stderr[-3000:]
    assert _shown(tmp_path, run) == set()
