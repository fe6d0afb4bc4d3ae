"""The collected tests: one per sample, those that were asked for, and whether they can run."""

from __future__ import annotations

import pytest

from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample
from pytest_erasetest.files_used import check_files
from pytest_erasetest.fixture_use import our_fixtures
from pytest_erasetest.masking.outputs import mask_names
from pytest_erasetest.run_state import RunState
from pytest_erasetest.stash import NO_CLM, REQUEST, run_state

_ERASURE_MARK = "erasure"
_UTILITY_MARK = "utility"


def parametrize_by_sample(metafunc: pytest.Metafunc) -> None:
    """Make a test case per sample."""
    state = run_state(metafunc.config)
    samples = _samples_or_none(state) if state is not None else []
    if state is None or not samples:
        # A placeholder: `check_or_refuse` refuses the run at the end of collection.
        metafunc.parametrize("sensitive_sample", [0], ids=["none"], indirect=True)
        return
    state.delivered.expected.update(sample.id for sample in samples)
    metafunc.parametrize(
        "sensitive_sample", range(len(samples)), ids=[s.id for s in samples], indirect=True
    )


def _samples_or_none(state: RunState) -> list[SensitiveSample]:
    """Return the samples; none if they cannot be read."""
    try:
        return state.gate.inputs.samples
    except BadInput:
        return []


def select_and_sort(config: pytest.Config, state: RunState, items: list[pytest.Item]) -> None:
    """Deselect the tests of what was not asked for, and sort the others, in place."""
    # Before masking, which changes the names that fixtures are looked up by.
    asking = {item for item in items if our_fixtures(item)}
    mask_names(items, state.redactor.text)
    deselected_marks = {
        mark
        for mark, asked in (
            (_ERASURE_MARK, state.settings.erase),
            (_UTILITY_MARK, state.settings.utility),
        )
        if not asked
    }
    # Other tests may have marks of these names with another meaning.
    deselected = [
        item
        for item in items
        if item in asking and any(item.get_closest_marker(mark) for mark in deselected_marks)
    ]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        out = set(deselected)
        items[:] = [item for item in items if item not in out]
    # The given CLM before the erased one, so that a reader, and `-x`, meet the leaks first.
    items.sort(key=_phase)


def _phase(item: pytest.Item) -> int:
    if item.get_closest_marker(_UTILITY_MARK):
        return 2
    return 1 if item.get_closest_marker(_ERASURE_MARK) else 0


def why_unusable(config: pytest.Config, state: RunState) -> str | None:
    """Return why the run cannot use its inputs, or None.

    The inputs that an ini file names are checked when a test asks for them, not here.
    """
    try:
        check_files(config, state.settings, ours=state.on_command_line)
        if state.on_command_line:
            _prepare(config, state)
    except BadInput as error:
        state.gate.inputs.reservation.close()
        return state.redactor.text(str(error))
    return None


def _prepare(config: pytest.Config, state: RunState) -> None:
    """Check the inputs, once, before anything is loaded.

    Raises:
        BadInput: they cannot be used.
    """
    if state.prepared:
        return
    state.prepared = True
    check_files(config, state.settings, ours=True)
    inputs = state.gate.inputs
    if REQUEST in config.stash:
        _ = inputs.samples
    inputs.check(state.gate.loader.progress)
    inputs.reserves_late = state.worker
    if not state.worker:
        inputs.reserve()
    if getattr(config.option, "reportchars", None) == "fE":
        # pytest's default: a line for each of thousands of leaks would hide our summary.
        config.option.reportchars = "E"


def check_or_refuse(session: pytest.Session, asking: list[str]) -> None:
    """Refuse a run whose tests need what was not given or cannot be used.

    Args:
        session: the session, after collection.
        asking: node ids of the tests that ask for fixtures of the plugin.

    Raises:
        pytest.UsageError: the run is refused, and this is not a worker of pytest-xdist.
    """
    config = session.config
    refusal = _refusal(config)
    output = getattr(config, "workeroutput", None)
    if refusal is not None and output is None:
        raise pytest.UsageError(refusal)
    if refusal is not None and output is not None:
        # A worker cannot end the run: it reports the refusal to the controller, which does.
        output["erasetest_refused"] = refusal
        session.items.clear()
        return
    state = run_state(config)
    if state is not None:
        state.delivered.tests.update(asking)


def _refusal(config: pytest.Config) -> str | None:
    """Return why tests of a CLM cannot run, or None."""
    state = run_state(config)
    if state is None:
        return NO_CLM
    try:
        _prepare(config, state)
        _ = state.gate.inputs.samples
    except BadInput as error:
        return state.redactor.text(str(error))
    return None
