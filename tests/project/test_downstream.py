"""What the runner of `downstream/` sees, and that it sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECRET = 'pä55"<→>\\wörtchen'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The runner's module."""
    monkeypatch.syspath_prepend(ROOT / "downstream")
    return pytest.importorskip("run")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.txt", f"x {SECRET} y"),
        ("a part.txt", SECRET[3:11]),
        ("log.jsonl", json.dumps({"text": SECRET})),
        ("page.html", "p&auml;55&quot;&lt;&rarr;&gt;\\w&ouml;rtchen"),
        ("data.html", json.dumps({"text": SECRET}).replace('"', "&#34;")),
    ],
)
def test_a_secret_is_seen_in_whatever_form(
    run: Any, tmp_path: Path, name: str, content: str
) -> None:
    """As it is, in part, and as JSON and HTML write it."""
    (tmp_path / name).write_text(content)
    assert run.shown(tmp_path, [SECRET]) == [name]


def test_what_is_no_secret_is_not_seen(run: Any, tmp_path: Path) -> None:
    """Masked text, seven characters, words, and what the test itself says."""
    (tmp_path / "test_own.py").write_text(SECRET)
    (tmp_path / "masked.txt").write_text(f"[masked] {SECRET[:7]} wörtchen")
    assert run.shown(tmp_path, [SECRET]) == []


@pytest.mark.parametrize(
    ("changes", "header", "fault"),
    [
        ({}, "plugins: html-4.2.0", None),
        ({"status": 1}, "plugins: html-4.2.0", "another exit status"),
        ({"verdict": "leaks"}, "plugins: html-4.2.0", "another verdict"),
        ({"verdicts": {"a": ("leak", None)}}, "plugins: html-4.2.0", "1 samples have other verd"),
        ({"verdicts": {}}, "plugins: html-4.2.0", "1 samples have other verdicts"),
        ({}, "plugins: html-4.1.0", "the plugin was not loaded"),
    ],
)
def test_differences_are_faults(
    run: Any, tmp_path: Path, changes: dict[str, Any], header: str, fault: str | None
) -> None:
    """Of status, verdicts and samples; and a plugin that was not at work."""
    (tmp_path / "stdout.txt").write_text(header)
    (tmp_path / "report.html").touch()
    plugin = run.Plugin("pytest-html", "4.2.0", (), ("report.html",))
    plain: dict[str, Any] = {"status": 0, "verdict": "clean", "verdicts": {"a": ("pass", None)}}
    faults = run.differences(run.Run(**{**plain, **changes}), run.Run(**plain), plugin, tmp_path)
    assert [f[: len(fault or "")] for f in faults] == ([fault] if fault else [])
    (tmp_path / "report.html").unlink()
    found = run.differences(run.Run(**plain), run.Run(**plain), plugin, tmp_path)
    assert "it wrote no report.html" in found


def test_the_promised_plugins_are_tried(run: Any) -> None:
    """Each in one version, so that a failure is ours."""
    names = [plugin.name for plugin in run.PLUGINS]
    assert sorted(names) == [
        "allure-pytest", "pytest-cov", "pytest-html", "pytest-json-report", "pytest-randomly",
        "pytest-reportlog", "pytest-rerunfailures", "pytest-retry", "pytest-timeout",
        "pytest-xdist",
    ]  # fmt: skip
    assert all(plugin.version[0].isdigit() for plugin in run.PLUGINS)
