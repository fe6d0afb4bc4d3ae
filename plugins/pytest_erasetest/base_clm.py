"""The base of a run, the CLM before this training: loaded for its measurements, then released."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pytest_erasetest.inputs import RunInputs
from pytest_erasetest.model_loader import ModelLoader
from pytest_erasetest.options import Settings
from pytest_erasetest.shared_results import SharedResults

if TYPE_CHECKING:
    from erasetest.clm import Clm


class BaseClm:
    """The CLM of `--clm-base`, in this process."""

    def __init__(
        self, settings: Settings, inputs: RunInputs, loader: ModelLoader, results: SharedResults
    ) -> None:
        self.name = str(settings.clm_base)
        self._settings, self._inputs = settings, inputs
        self._loader, self._results = loader, results

    def check(self) -> dict[str, Any]:
        """Compare its tokens and files with those of the CLM under test, without loading either.

        Raises:
            BadInput: it cannot be compared with the CLM under test.
        """
        from erasetest.loading import check_base

        clm, samples = str(self._settings.clm), self._inputs.samples
        with self._loader.attempt(self.name), self._loader.progress("checking the base") as task:
            check_base(self.name, clm, samples, self._settings.loading, task)
        return {"comparable": True}

    @functools.cached_property
    def clm(self) -> Clm:
        """The base, loaded without the adapter of the CLM under test.

        Raises:
            BadInput: it cannot be loaded.
        """
        with self._loader.attempt(self.name):
            clm = self._loader.load(self.name)
        self._results.put("base", clm.describe())
        return clm

    def calibrate(self) -> dict[str, Any]:
        """Calibrate thresholds on the base itself: a CLM is judged by its own control secrets."""
        from erasetest.verdict import calibrate

        with self._loader.progress("calibrating thresholds of the base") as task:
            found = calibrate(self.clm, self._inputs.samples, decisive=True, progress=task)
            return self._settings.limited(found).as_dict()

    def release(self) -> None:
        """Release its memory, for the CLM under test, or for another process on the device."""
        if self.__dict__.pop("clm", None) is None:
            return
        import torch

        # Without it, the process would keep the memory of a GPU from other workers.
        torch.cuda.empty_cache()
