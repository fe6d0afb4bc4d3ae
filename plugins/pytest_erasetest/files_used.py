"""The files that a run reads and writes: ours, and those that pytest and other plugins write."""

from __future__ import annotations

from typing import Any

import pytest

from erasetest.support.path_collisions import (
    Use,
    check_collisions,
    reads,
    reads_checkpoint,
    writes,
    writes_folder,
)
from pytest_erasetest.options import Settings

_WRITTEN_BY_OTHERS = {
    "xmlpath": "--junitxml",
    "log_file": "--log-file",
    "debug": "--debug",
    "report_log": "--report-log",
    "htmlpath": "--html",
}
"""Files that pytest and common plugins write, by their attribute of `config.option`."""

_FOLDERS_OF_OTHERS = {"basetemp": "--basetemp", "allure_report_dir": "--alluredir"}
"""Folders that they write to, and may empty first."""


def check_files(config: pytest.Config, settings: Settings, *, ours: bool) -> None:
    """Refuse a run that would overwrite one of its own files.

    Args:
        config: names the files that pytest and other plugins write.
        settings: names the files that this plugin reads and writes.
        ours: whether to compare the files of this plugin with each other too.

    Raises:
        BadInput: names both options.
    """
    used = _used(settings)
    if ours:
        check_collisions(used)
    for use in _written_by_others(config):
        for mine in used:
            check_collisions([use, mine])


def check_debug_file(given: Any) -> None:
    """Refuse a trace file of `--debug` that is one of our files.

    Args:
        given: the options of the command line, which pytest has parsed and not acted on yet.

    Raises:
        BadInput: names both options.
    """
    debug = getattr(given, "debug", None)
    if not debug:
        return
    names = ("leak_samples", "leak_report", "leak_thresholds", "leak_baseline", "leak_store",
             "erase_retain", "utility")  # fmt: skip
    for name in names:
        value = getattr(given, f"erasetest_{name}", None)
        paths = value if isinstance(value, list) else [value]
        option = f"--{name.replace('_', '-')}"
        check_collisions([*reads(option, *paths), *writes("--debug", debug)])


def _used(settings: Settings) -> list[Use]:
    s = settings
    baseline = writes if s.leak_accept else reads
    return [
        *reads_checkpoint("--clm", s.clm),
        *reads_checkpoint("--clm-adapter", s.loading.adapter),
        *reads_checkpoint("--clm-base", s.clm_base),
        *reads_checkpoint("--utility-against", s.utility_against),
        *reads("--leak-samples", *s.leak_samples),
        *reads("--leak-thresholds", s.leak_thresholds),
        *reads("--erase-retain", s.erase_retain),
        *reads("--utility", None if s.utility == "demo" else s.utility),
        *baseline("--leak-baseline", s.leak_baseline),
        *writes("--leak-store", s.leak_store),
        *writes("--leak-report", *s.leak_report),
        *writes_folder("--erase-out", s.erase_out),
    ]


def _written_by_others(config: pytest.Config) -> list[Use]:
    def option(name: str) -> str | None:
        value = getattr(config.option, name, None)
        return str(value) if value else None

    files = {name: option(name) for name in _WRITTEN_BY_OTHERS}
    if files["log_file"] is None and config.pluginmanager.hasplugin("logging"):
        files["log_file"] = config.getini("log_file") or None
    found = [use for name, path in files.items() for use in writes(_WRITTEN_BY_OTHERS[name], path)]
    if getattr(config.option, "json_report", False):
        found += writes("--json-report-file", option("json_report_file"))
    for name, flag in _FOLDERS_OF_OTHERS.items():
        found += writes_folder(flag, option(name))
    return found
