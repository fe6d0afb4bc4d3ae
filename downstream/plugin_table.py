"""The pytest plugins that a gate must work with, and how each is used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plugin:
    """A pinned distribution, the arguments that enable it, and what it writes."""

    name: str
    version: str
    arguments: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    """Files and folders that a run must leave, as proof that the plugin was active."""

    @property
    def shown(self) -> str:
        """The name in the header of pytest."""
        return f"{self.name.removeprefix('pytest-')}-{self.version}"


PLUGINS = (
    Plugin("pytest-randomly", "5.1.0", ("--randomly-seed=7",)),
    Plugin("pytest-rerunfailures", "16.7", ("--reruns=1",)),
    Plugin("pytest-retry", "1.7.0", ("--retries=1",)),
    Plugin("pytest-timeout", "2.4.0", ("--timeout=300",)),
    Plugin(
        "pytest-cov",
        "7.1.0",
        ("--cov=pytest_erasetest", "--cov-report=json:coverage.json", "--cov-report=html:cov"),
        ("coverage.json", "cov"),
    ),
    Plugin(
        "pytest-html", "4.2.0", ("--html=report.html", "--self-contained-html"), ("report.html",)
    ),
    Plugin(
        "pytest-json-report",
        "1.5.0",
        ("--json-report", "--json-report-file=report.json"),
        ("report.json",),
    ),
    Plugin("pytest-reportlog", "1.0.0", ("--report-log=log.jsonl",), ("log.jsonl",)),
    Plugin("allure-pytest", "2.16.2", ("--alluredir=allure",), ("allure",)),
    Plugin("pytest-xdist", "3.8.0", ("-n2",)),
)
