"""Which tests use fixtures of this plugin. Called for every test of every run of pytest."""

from __future__ import annotations

import pytest

from pytest_erasetest import fixtures


def our_fixtures(item: pytest.Item) -> set[str]:
    """Return the fixtures of this plugin that a test asks for and that nobody overrides."""
    info = getattr(item, "_fixtureinfo", None)
    found = getattr(info, "name2fixturedefs", {})
    return {
        name
        for name, definitions in found.items()
        if definitions and getattr(definitions[-1].func, "__module__", "") == fixtures.__name__
    }


def asks_for_samples(metafunc: pytest.Metafunc) -> bool:
    """Whether a test's `sensitive_sample` is our fixture, not a parameter of the test."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        split = names.split(",") if isinstance(names, str) else names
        if "sensitive_sample" in [name.strip() for name in split]:
            return False
    return "sensitive_sample" in our_fixtures(metafunc.definition)
