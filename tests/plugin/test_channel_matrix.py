"""No channel of pytest shows a secret of tests, hooks or plugins, in colour and without.

Each channel has its own secret of each kind (`channels/secrets_of.py`), so that a secret in the
output identifies the channel. `channels/oracle.py`, which is independent of the masking, searches
all output and files of a run. A run without masking shows that it finds every channel.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest
from channels.oracle import leaks
from channels.secrets_of import KINDS, secret
from gate_runs import run_pytest

from erasetest.samples import make_sample, write_manifest

HERE = Path(__file__).parent / "channels"
LEAKY = (HERE / "leaky.py").read_text()
CHANNELS = sorted({*re.findall(r'(?:secrets?|together)\("(\w+)"', LEAKY), "collect", "hook"})
OWNERS = {secret(channel, kind): (channel, kind) for channel in CHANNELS for kind in KINDS}
REPORTS = {
    "pytest_jsonreport": ["--json-report", "--json-report-file=report.json"],
    "pytest_reportlog": ["--report-log=report-log.jsonl"],
    "pytest_html": ["--html=report.html", "--self-contained-html"],
    "allure_pytest": ["--alluredir=allure"],
}
"""Plugins that write reports. They are not dependencies; CI installs them."""
INSTALLED = {name: options for name, options in REPORTS.items() if find_spec(name)}

NO_MASK = """
import erasetest.samples.redactor
erasetest.samples.redactor.Redactor.runs = lambda self, text: []
erasetest.samples.redactor.Redactor.finds = lambda self, text: False
"""


def _project(folder: Path, modules: dict[str, str]) -> list[str]:
    """Create a project with these modules; return the options to test a CLM in it."""
    for name, text in modules.items():
        (folder / name).write_text(text)
    shutil.copy(HERE / "secrets_of.py", folder)
    # No test asks for the CLM, and the runs stop before their ends: it is never loaded.
    clm = folder / "clm"
    clm.mkdir()
    (clm / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    manifest = folder.with_name(f"{folder.name}.jsonl")
    write_manifest(
        manifest,
        [
            make_sample(text, [(0, len(text), kind)], id=f"s{number}")
            for number, (text, (_, kind)) in enumerate(OWNERS.items())
        ],
    )
    return [f"--clm={clm}", f"--leak-samples={manifest}", "--continue-on-collection-errors"]


def _shown(folder: Path, run: subprocess.CompletedProcess[str]) -> set[tuple[str, str]]:
    """Return channel and kind of each secret in output, files or file names."""
    written = [run.stdout.encode(), run.stderr.encode()]
    for path in folder.rglob("*"):
        if path.is_file():
            written += str(path.relative_to(folder)).encode(), path.read_bytes()
    return {OWNERS[text] for text in leaks(b"\n".join(written), OWNERS)}


ALL = (
    "-vv", "-ra", "-l", "-olog_cli=true", "--log-file=log.txt", "--junitxml=junit.xml",
    "-ojunit_logging=all", "-ojunit_family=xunit1", "--basetemp=base", "--durations=3",
)  # fmt: skip


MODULES = {
    "test_leaky.py": LEAKY,
    "test_collect.py": "import secrets_of\nraise ValueError(*secrets_of.secrets('collect'))\n",
}


SLOW = pytest.mark.slow
"""Of runs with workers, which are new interpreters that import everything."""

WITH_WORKERS = ("--color=no", "--capture=sys", "--tb=short", "-n2")


@pytest.mark.parametrize(
    "options",
    [("--color=yes",), pytest.param(WITH_WORKERS, marks=SLOW)],
    ids=["colour", "xdist"],
)
def test_no_channel_shows_a_secret(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Terminal, logs, JUnit XML, caches, folders, and reports of other plugins where installed."""
    given = _project(tmp_path, MODULES)
    run = run_pytest(*given, *ALL, *options, *chain(*INSTALLED.values()), cwd=tmp_path)
    assert "INTERNALERROR" not in run.stdout + run.stderr
    assert re.search(r"\d{3} failed", run.stdout), run.stdout[-3000:] + run.stderr[-3000:]
    assert _shown(tmp_path, run) == set()


def test_a_run_without_masking_shows_all(tmp_path: Path) -> None:
    """The search finds the secrets of every channel, so the other tests prove something."""
    given = _project(tmp_path, {**MODULES, "conftest.py": NO_MASK})
    run = run_pytest(*given, *ALL, "--color=no", cwd=tmp_path)
    shown = _shown(tmp_path, run)
    # No channel of pytest shows the keywords of a test.
    assert {channel for channel, _ in shown} == set(CHANNELS) - {"hook", "keyword"}
    assert {kind for _, kind in shown} == set(KINDS)
    assert len(shown) > 300


PRINTED = """
def test_printed(request):
    print(*secrets("print"), sep="\\n", flush=True)
    sys.stderr.writelines(secrets("print_error"))
    sys.stdout.buffer.write("\\n".join(secrets("encoded")).encode())
    for text in secrets("pieces"):
        for character in text:
            print(character, end="", flush=True)
    sys.__stderr__.write("".join(secrets("original_stream")))
    request.session.shouldstop = "done"
"""


@pytest.mark.parametrize("capture", ["-s", "--capture=tee-sys"])
def test_output_that_is_not_captured_is_masked(tmp_path: Path, capture: str) -> None:
    """Standard output and error, as text, bytes and single characters."""
    module = "import sys\nfrom secrets_of import secrets\n" + PRINTED
    run = run_pytest(*_project(tmp_path, {"test_mine.py": module}), capture, cwd=tmp_path)
    assert run.stdout.count("[masked]") > len(KINDS)
    assert "1 passed" in run.stdout
    assert _shown(tmp_path, run) == set()


RAISE = "    raise ValueError('here', *secrets('hook'))\n"
PRINT = "    print('here', *secrets('hook'))\n"
INTERRUPT = "    raise KeyboardInterrupt\n"
ERR = "    import sys; print('here', *secrets('hook'), file=sys.stderr)\n"


@pytest.mark.parametrize(
    ("hooks", "workers"),
    [
        (f"if True:\n{RAISE}", "-n0"),
        (f"def pytest_configure():\n{RAISE}", "-n0"),
        pytest.param(f"def pytest_configure():\n{RAISE}", "-n2", marks=SLOW),
        (f"def pytest_collection_modifyitems():\n{RAISE}", "-n0"),
        (f"def pytest_sessionfinish():\n{RAISE}def pytest_unconfigure():\n{RAISE}", "-n0"),
        pytest.param(
            f"def pytest_sessionfinish():\n{RAISE}def pytest_unconfigure():\n{RAISE}", "-n2",
            marks=SLOW,
        ),
        (
            f"def pytest_exception_interact():\n{PRINT}def pytest_terminal_summary():\n{RAISE}"
            f"import atexit\n@atexit.register\ndef end():\n{PRINT}",
            "-n0",
        ),
        pytest.param(f"def pytest_exception_interact():\n{RAISE}", "-n2", marks=SLOW),
        pytest.param(f"if True:\n{PRINT}{ERR}def pytest_configure():\n{PRINT}", "-n2", marks=SLOW),
        (f"if True:\n{PRINT}{ERR}def pytest_configure():\n{PRINT}", "--no-such-option"),
        (f"if True:\n{PRINT}{ERR}def pytest_collectstart():\n{PRINT}{RAISE}", "-n0"),
        (f"if True:\n{PRINT}{ERR}def pytest_pycollect_makeitem():\n{INTERRUPT}", "-n0"),
    ],
    ids=[
        "import", "configure", "configure-xdist", "collection", "finish", "finish-xdist",
        "prints", "exception-xdist", "captured-xdist", "captured-usage", "captured-collection",
        "captured-interrupt",
    ],
)  # fmt: skip
def test_hooks_of_users_show_no_secret(tmp_path: Path, hooks: str, workers: str) -> None:
    """Exceptions and prints in a conftest.py, from its import to the end of the process."""
    modules = {
        "conftest.py": f"from secrets_of import secrets\n{hooks}",
        "test_mine.py": "def test_mine(request):\n"
        "    request.session.shouldstop = 'done'\n"
        "    assert False\n",
    }
    junit = f"--junitxml={tmp_path / 'junit.xml'}"
    run = run_pytest(*_project(tmp_path, modules), workers, junit, cwd=tmp_path)
    assert run.returncode not in (0, 7)
    assert "here" in run.stdout + run.stderr
    assert "[masked]" in run.stdout + run.stderr
    assert _shown(tmp_path, run) == set()
