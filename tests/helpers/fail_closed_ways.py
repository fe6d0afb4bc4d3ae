"""Cases in which a run could pass without a verdict for every sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Way:
    """How a run is changed, and whether plain pytest can prevent that it passes."""

    arguments: Sequence[str] = ()
    plugin: str = ""
    """Source of a plugin that `-p evil` loads."""
    own_tests: str = ""
    """Source of a test file that runs instead of the suites."""
    ini: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    leaks: bool = False
    """Whether the CLM recites the samples; if not, only a lost verdict can fail the run."""
    gate_alone: str = ""
    """Why only the gate can prevent it; empty if plain pytest can."""


OUTSIDE = "it ends the process where no hook of the plugin runs"

_HOOK = "import os, sys, signal, pytest\n"


def _hook(body: str) -> str:
    return _HOOK + body


_LOST_TESTS = {
    "one id by -k": Way(["-k", "planted-6"]),
    "nothing by -k": Way(["-k", "nothing"]),
    "nothing by -m": Way(["-m", "nothing"]),
    "--ignore-glob": Way(["--ignore-glob=/*memorization*"]),
    "one by --lf": Way(["--lf"], own_tests="def test_mine(leak): pass\n"),
    "one test by its id": Way(["test_mine.py::test_mine[planted-6]"]),
    "a fixture of the sample alone": Way(own_tests="def test_mine(sensitive_sample): pass\n"),
    "a file without tests of a CLM": Way(own_tests="def test_mine(): pass\n"),
    "all skipped": Way(
        plugin=_hook(
            "def pytest_collection_modifyitems(items):\n"
            "    for item in items: item.add_marker(pytest.mark.skip)\n"
        )
    ),
    "all cleared": Way(plugin=_hook("def pytest_collection_modifyitems(items): items.clear()\n")),
    "nothing collected": Way(plugin=_hook("def pytest_collection(session): return True\n")),
    "files ignored": Way(plugin=_hook("def pytest_ignore_collect(): return True\n")),
    "no test run": Way(plugin=_hook("def pytest_runtestloop(session): return True\n")),
    "each test passed over": Way(
        plugin=_hook(
            "@pytest.hookimpl(tryfirst=True)\n"
            "def pytest_runtest_protocol(item): return True\n"
        )
    ),
    "each call passed over": Way(
        plugin=_hook("@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(): return True\n"),
        leaks=True,
    ),
    "stopped with status 0": Way(
        plugin=_hook(
            "def pytest_runtest_setup(item):\n"
            "    if 'planted-7' in item.name: pytest.exit('enough', returncode=0)\n"
        )
    ),
    "attempts without an end": Way(
        plugin=_hook(
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "def pytest_runtest_makereport(item, call):\n"
            "    report = yield\n"
            "    if call.when == 'call': report.outcome = 'rerun'\n"
            "    return report\n"
        )
    ),
}  # fmt: skip

_NO_TESTS = {
    "--co": Way(["--co"]),
    "--collect-only -q": Way(["--collect-only", "-q"]),
    "--co in PYTEST_ADDOPTS": Way(environment={"PYTEST_ADDOPTS": "--co"}),
    "--co by -o addopts": Way(["-o", "addopts=--co"]),
    "--co in pytest.ini": Way(ini="addopts = --co\n"),
    "--co with workers": Way(["--co", "-p", "xdist", "-n2"]),
    "--fixtures": Way(["--fixtures"]),
    "--fixtures-per-test": Way(["--fixtures-per-test"]),
    "--markers": Way(["--markers"]),
    "--setup-plan": Way(["--setup-plan"]),
    "--setup-only": Way(["--setup-only"]),
    "--cache-show": Way(["--cache-show"]),
    "--help": Way(["--help"]),
    "--help in PYTEST_ADDOPTS": Way(environment={"PYTEST_ADDOPTS": "--help"}),
    "--version": Way(["--version"], gate_alone=OUTSIDE),
    "--version twice": Way(["-VV"]),
    "-p no:erasetest": Way(["-p", "no:erasetest"]),
    "-p no:erasetest in PYTEST_ADDOPTS": Way(environment={"PYTEST_ADDOPTS": "-p no:erasetest"}),
    "no plugins": Way(environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
    "another main": Way(
        plugin=_hook("@pytest.hookimpl(tryfirst=True)\ndef pytest_cmdline_main(): return 0\n")
    ),
}

_CHANGED_STATUS = {
    "by a trylast hook": Way(
        plugin=_hook(
            "@pytest.hookimpl(trylast=True)\n"
            "def pytest_sessionfinish(session): session.exitstatus = 0\n"
        ),
        leaks=True,
    ),
    "by a wrapper": Way(
        plugin=_hook(
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "def pytest_sessionfinish(session):\n"
            "    yield\n"
            "    session.exitstatus = 0\n"
        ),
        leaks=True,
    ),
    "by a wrapper that is registered late": Way(
        plugin=_hook(
            "class Late:\n"
            "    @pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "    def pytest_sessionfinish(self, session):\n"
            "        yield\n"
            "        session.exitstatus = 0\n"
            "@pytest.hookimpl(trylast=True)\n"
            "def pytest_sessionstart(session): session.config.pluginmanager.register(Late())\n"
        ),
        leaks=True,
    ),
    "by a wrapper of main": Way(
        plugin=_hook(
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "def pytest_cmdline_main():\n"
            "    yield\n"
            "    return 0\n"
        ),
        leaks=True,
    ),
    "by sys.exit in pytest_unconfigure": Way(
        plugin=_hook("def pytest_unconfigure(): sys.exit(0)\n"), leaks=True
    ),
    "by sys.exit in the summary": Way(
        plugin=_hook("def pytest_terminal_summary(): sys.exit(0)\n"), leaks=True
    ),
    "by sys.exit at the start": Way(plugin=_hook("def pytest_sessionstart(): sys.exit(0)\n")),
    "by sys.exit in a test": Way(own_tests="import sys\ndef test_mine(leak): sys.exit(0)\n"),
    "by pytest.exit at the end": Way(
        plugin=_hook(
            "@pytest.hookimpl(trylast=True)\n"
            "def pytest_sessionfinish(): pytest.exit('over', returncode=0)\n"
        ),
        leaks=True,
    ),
    "by a status of eight zero bits": Way(
        plugin=_hook("def pytest_runtest_setup(): pytest.exit('over', returncode=256)\n"),
        leaks=True,
    ),
    "by the status of an erasure": Way(
        plugin=_hook("def pytest_runtest_setup(): pytest.exit('over', returncode=7)\n"),
        leaks=True,
    ),
    "by reports that say passed": Way(
        plugin=_hook(
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "def pytest_runtest_makereport(item, call):\n"
            "    report = yield\n"
            "    report.outcome, report.longrepr = 'passed', None\n"
            "    return report\n"
        ),
        leaks=True,
    ),
    "by expected failures": Way(
        plugin=_hook(
            "def pytest_collection_modifyitems(items):\n"
            "    for item in items: item.add_marker(pytest.mark.xfail)\n"
        ),
        leaks=True,
    ),
    "without a terminal": Way(["-p", "no:terminal"], leaks=True),
    "-x": Way(["-x"], leaks=True),
    "--sw": Way(["--sw"], leaks=True),
}

_OUTSIDE = {
    "os._exit in a test": Way(
        own_tests="import os\ndef test_mine(leak): os._exit(0)\n", gate_alone=OUTSIDE
    ),
    "os._exit at configure": Way(
        plugin=_hook("def pytest_configure(): os._exit(0)\n"), gate_alone=OUTSIDE
    ),
    "os._exit at the end": Way(
        plugin=_hook("def pytest_unconfigure(): os._exit(0)\n"), leaks=True, gate_alone=OUTSIDE
    ),
    "os._exit at exit": Way(
        plugin=_hook("import atexit\natexit.register(os._exit, 0)\n"),
        leaks=True,
        gate_alone=OUTSIDE,
    ),
    "sys.exit in a plugin's import": Way(plugin=_hook("sys.exit(0)\n"), gate_alone=OUTSIDE),
    "kill -9": Way(
        plugin=_hook("def pytest_runtest_call(): os.kill(os.getpid(), signal.SIGKILL)\n"),
        gate_alone=OUTSIDE,
    ),
    "a clean run inside": Way(
        # It inherits the whole environment, and must not answer for its parent.
        own_tests="import os, subprocess, sys\n"
        "def test_mine(leak):\n"
        "    args = os.environ['INNER'].split('|')\n"
        "    assert subprocess.run([sys.executable, '-m', 'pytest', *args]).returncode == 0\n"
        "    os._exit(0)\n",
        leaks=True,
        gate_alone=OUTSIDE,
    ),
    "ini keys and --co": Way(
        ["--co"],
        ini="clm = {clm}\nleak_samples = samples.jsonl\n",
        gate_alone="ini keys alone ask for no verdict",
    ),
    "ini keys and another file": Way(
        own_tests="def test_mine(): pass\n",
        ini="clm = {clm}\nleak_samples = samples.jsonl\n",
        gate_alone="ini keys alone ask for no verdict",
    ),
    "no CLM": Way(
        own_tests="def test_mine(): pass\n",
        ini="leak_samples = samples.jsonl\n",
        gate_alone="without a CLM, plain pytest has nothing to judge",
    ),
}

_INPUTS = {
    "an empty manifest": Way(["--leak-samples=empty.jsonl"]),
    "no manifest": Way(["--leak-samples=none.jsonl"]),
    "a baseline until the year 9999": Way(["--leak-baseline=ages.json"], leaks=True),
    "a base that is not there": Way(["--clm-base=./none"]),
    "a base of an endpoint": Way(["--clm-base=demo"]),
    "only new leaks, and no base": Way(["--leak-new-only"], leaks=True),
    "only new leaks by an ini key": Way(ini="addopts =\nleak_new_only = true\n", leaks=True),
    "samples and no CLM": Way(ini="clm =\n", environment={"PYTEST_ADDOPTS": "--leak-accept"}),
    "a report over the samples": Way(["--leak-report=samples.json", "--junitxml=samples.json"]),
}

WAYS = {
    f"{group}: {name}": way
    for group, ways in (
        ("no tests", _NO_TESTS),
        ("lost tests", _LOST_TESTS),
        ("changed status", _CHANGED_STATUS),
        ("outside", _OUTSIDE),
        ("inputs", _INPUTS),
    )
    for name, way in ways.items()
}
