"""Under pytest-xdist: workers share one ledger, and the controller judges."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_erasetest.run_state import REFUSED, run_state


def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the results of the run are kept."""
    state = run_state(node.config)
    if state is not None:
        node.workerinput["erasetest_ledger"] = state.temporary
        node.workerinput["erasetest_given"] = state.given


@pytest.hookimpl(tryfirst=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what a worker says at its end; a worker that died says nothing."""
    output = getattr(node, "workeroutput", None)
    if output is not None and output.get("erasetest_refused"):
        node.config.stash[REFUSED] = output["erasetest_refused"]
    state = run_state(node.config)
    if state is None:
        return
    if output is None:
        state.delivered.errors.append(f"worker {node.gateway.id} died")
        return
    state.delivered.expected.update(output.get("erasetest_expected", ()))
    state.delivered.tests.update(output.get("erasetest_tests", ()))
    state.crashed = state.crashed or output.get("erasetest_crashed")
