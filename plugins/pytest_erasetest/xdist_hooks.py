"""Hooks of pytest-xdist: workers share their results, the controller computes the verdict."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_erasetest.stash import REFUSED, run_state


def pytest_configure_node(node: Any) -> None:
    """Send a worker the folder of the shared results."""
    state = run_state(node.config)
    if state is not None:
        node.workerinput["erasetest_results"] = state.temporary
        node.workerinput["erasetest_on_command_line"] = state.on_command_line


@pytest.hookimpl(tryfirst=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Receive the results of a worker at its end; a worker that died sends none."""
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
