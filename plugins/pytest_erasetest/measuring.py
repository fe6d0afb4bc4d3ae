"""Measure samples on a CLM or an endpoint, with a store of measures if one is given."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.endpoint import Endpoint
    from erasetest.probes.measure_store import Measure
    from erasetest.probes.measures import SampleMeasures
    from erasetest.samples import SensitiveSample
    from erasetest.verdict import Thresholds


@dataclass(frozen=True, slots=True)
class Measurer:
    """A function that measures samples, and the key under which its measures are stored."""

    measure: Measure
    identity: str
    """What the measures depend on: the CLM, its dtype and device; or the endpoint."""
    settings: dict[str, Any]

    @classmethod
    def of_clm(cls, clm: Clm, thresholds: Thresholds) -> Measurer:
        """Measure on a loaded CLM what decides verdicts under these thresholds."""
        from erasetest.probes import probe
        from erasetest.probes.measure_store import identity
        from erasetest.verdict.verdict_settings import verdict_settings

        settings = verdict_settings(thresholds)
        measure = functools.partial(probe, clm, settings=settings)
        return cls(measure, identity(clm), settings.as_dict())

    @classmethod
    def of_endpoint(cls, endpoint: Endpoint, queries: int) -> Measurer:
        """Measure on a CLM behind an endpoint, with so many completions per secret."""
        from erasetest.endpoint import probe_endpoint

        measure = functools.partial(probe_endpoint, endpoint)
        return cls(measure, endpoint.fingerprint, {"queries": queries})

    def measured(
        self, samples: Sequence[SensitiveSample], store_path: str | None
    ) -> list[SampleMeasures]:
        """Measure samples, or read their measures from the store."""
        if store_path is None:
            return self.measure(samples)
        from erasetest.probes.measure_store import ProbeStore

        with contextlib.closing(ProbeStore(store_path, self.identity, self.settings)) as store:
            return store.measured(samples, self.measure)
