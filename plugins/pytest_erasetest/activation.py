"""Set up and clean up a run that uses the options of the plugin."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from erasetest.support.temporary_folder import process_folder
from erasetest.support.torch_environment import quiet
from pytest_erasetest.collection import why_unusable
from pytest_erasetest.delivered_results import Delivered
from pytest_erasetest.gate import Gate
from pytest_erasetest.inputs import RunInputs
from pytest_erasetest.masking.hooks import refuse_unmasked, start_masking
from pytest_erasetest.model_loader import ModelLoader
from pytest_erasetest.options import Settings
from pytest_erasetest.run_state import RunState
from pytest_erasetest.shared_results import SharedResults
from pytest_erasetest.stash import STATE
from pytest_erasetest.status_guard import is_gate
from pytest_erasetest.terminal_output import progress_display
from pytest_erasetest.termination import end_as_interrupted


def activate(config: pytest.Config, settings: Settings) -> None:
    """Set up a run: mask output, create the gate, check the inputs.

    Raises:
        pytest.UsageError: the inputs cannot be used, or secrets in the output cannot be masked.
    """
    quiet()
    refuse_unmasked(config)
    from_controller: dict[str, Any] | None = getattr(config, "workerinput", None)
    folder = (
        from_controller["erasetest_results"]
        if from_controller
        else tempfile.mkdtemp(dir=process_folder())
    )
    on_command_line: bool = (
        from_controller["erasetest_on_command_line"] if from_controller else is_gate(config)
    )
    inputs = RunInputs(settings)
    loader = ModelLoader(settings, *_worker(from_controller), progress_display(config))
    state = config.stash[STATE] = RunState(
        settings,
        Gate(settings, inputs, loader, SharedResults(Path(folder))),
        start_masking(config, lambda: inputs.samples),
        Delivered(),
        worker=from_controller is not None,
        on_command_line=on_command_line,
        # The controller has already checked the inputs that options name.
        prepared=from_controller is not None and on_command_line,
        temporary=None if from_controller else folder,
    )
    if from_controller is None:
        end_as_interrupted(config)
        refusal = why_unusable(config, state)
        if refusal is not None:
            shutil.rmtree(folder, ignore_errors=True)
            raise pytest.UsageError(refusal)


def _worker(from_controller: dict[str, Any] | None) -> tuple[int, int]:
    """Return the number of this worker, and the number of all workers."""
    if from_controller is None:
        return 0, 1
    # A worker that the user named with --tx has another name, and counts as worker 0.
    numbered = re.fullmatch(r"gw(\d+)", from_controller["workerid"])
    return int(numbered.group(1)) if numbered else 0, int(from_controller["workercount"])


def deactivate(state: RunState) -> None:
    """Release the output folder, and remove the temporary files of the run."""
    state.gate.inputs.reservation.close()
    if state.temporary is not None:
        shutil.rmtree(state.temporary, ignore_errors=True)
