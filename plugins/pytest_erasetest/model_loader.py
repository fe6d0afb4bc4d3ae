"""Load CLMs into this process, which may be one of several workers on the machine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from erasetest.errors import BadInput, ClmError, one_line
from erasetest.support.progress import StartProgress
from pytest_erasetest.options import Settings

if TYPE_CHECKING:
    from erasetest.clm import Clm


class ModelLoader:
    """Loads CLMs, on this worker's share of the cores."""

    def __init__(
        self, settings: Settings, worker: int, workers: int, progress: StartProgress
    ) -> None:
        self.settings, self.progress = settings, progress
        self._worker, self._workers = worker, workers
        self.refused: str | None = None
        """Why a CLM of the run cannot be loaded, once loading has failed."""

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Remember why a CLM cannot be loaded: a process tries once.

        Any interruption, such as a time-out of another plugin, may leave modules half imported;
        importing those again fails for other reasons, or crashes.
        """
        if self.refused is not None:
            raise ClmError(self.refused)
        try:
            yield
        except BadInput as error:
            self.refused = str(error)
            raise
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            # pytest ends a test that times out by an exception that is not an `Exception`.
            self.refused = (
                f"{name}: was stopped while it was loaded ({one_line(error)}): if that is a "
                "time-out, give the first test more time, or the tests alone (timeout_func_only)"
            )
            raise ClmError(self.refused) from None

    def import_libraries(self) -> None:
        """Import what CLMs need, separately from other work: it takes seconds the first time."""
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

        import erasetest.clm.load
        import erasetest.probes.probing
        import erasetest.verdict.calibration  # noqa: F401

    def load(self, name: str, adapter: str | None = None) -> Clm:
        """Load a CLM with the options of the run.

        Raises:
            BadInput: it cannot be loaded.
        """
        from erasetest.loading import open_clm

        self._share_cores()
        options = dataclasses.replace(self.settings.loading, adapter=adapter, worker=self._worker)
        with self.progress(f"building {name}" if name.startswith("demo") else "loading") as task:
            return open_clm(name, options, task)

    def _share_cores(self) -> None:
        import torch

        if self._workers > 1:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // self._workers))

    @contextlib.contextmanager
    def all_cores(self) -> Iterator[None]:
        """Use all cores: the other workers wait for the result of this block."""
        import torch

        threads = torch.get_num_threads()
        if self._workers > 1 and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(os.cpu_count() or 1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
