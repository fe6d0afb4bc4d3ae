"""Whether the tests of a run can use what it was given, found out before anything is loaded."""

from __future__ import annotations

import pytest

from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample
from pytest_erasetest import fixtures
from pytest_erasetest.files_used import check_files
from pytest_erasetest.run_state import NO_CLM, REQUEST, RunState, run_state


def unusable(config: pytest.Config, state: RunState) -> str | None:
    """Why the run cannot use what it was given, if so; settings of an ini file wait for a test."""
    try:
        check_files(config, state.settings, ours=state.given)
        if state.given:
            _prepare(config, state)
    except BadInput as error:
        state.gate.given.held.close()
        return state.redactor.text(str(error))
    return None


def _prepare(config: pytest.Config, state: RunState) -> None:
    """Check what was given, once, before anything is loaded.

    Raises:
        BadInput: it cannot be used.
    """
    if state.prepared:
        return
    state.prepared = True
    check_files(config, state.settings, ours=True)
    given = state.gate.given
    if REQUEST in config.stash:
        _ = given.samples
    given.check(state.gate.opener.progress)
    given.reserves_late = state.worker
    if not state.worker:
        given.reserve()
    if getattr(config.option, "reportchars", None) == "fE":
        # A line for each of thousands of leaks would hide our summary, which has the worst.
        config.option.reportchars = "E"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a run whose tests need what was not given, or cannot be used."""
    config = session.config
    asking = [item.nodeid for item in session.items if our_fixtures(item)]
    if not asking:
        return
    refusal = _refusal(config)
    output = getattr(config, "workeroutput", None)
    if refusal is not None and output is None:
        raise pytest.UsageError(refusal)
    if refusal is not None and output is not None:
        # A worker has no way to end the run: the controller does, by what it says here.
        output["erasetest_refused"] = refusal
        session.items.clear()
        return
    state = run_state(config)
    if state is not None:
        state.delivered.tests.update(asking)


def _refusal(config: pytest.Config) -> str | None:
    """Why tests of a CLM cannot run, if so."""
    state = run_state(config)
    if state is None:
        return NO_CLM
    try:
        _prepare(config, state)
        _ = state.gate.given.samples
    except BadInput as error:
        return state.redactor.text(str(error))
    return None


def asks_for_samples(metafunc: pytest.Metafunc) -> bool:
    """Whether a test's `sensitive_sample` is our fixture, and not its own parameter."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        split = names.split(",") if isinstance(names, str) else names
        if "sensitive_sample" in [name.strip() for name in split]:
            return False
    return "sensitive_sample" in our_fixtures(metafunc.definition)


def our_fixtures(item: pytest.Item) -> set[str]:
    """The fixtures of this plugin that a test asks for, and that nobody defined anew."""
    info = getattr(item, "_fixtureinfo", None)
    found = getattr(info, "name2fixturedefs", {})
    return {
        name
        for name, definitions in found.items()
        if definitions and getattr(definitions[-1].func, "__module__", "") == fixtures.__name__
    }


def samples_of(state: RunState) -> list[SensitiveSample]:
    """The samples; none where they cannot be read, which refuses the run after collection."""
    try:
        return state.gate.given.samples
    except BadInput:
        return []
