"""Probes: what a CLM remembers of a secret, a file for each family of measures.

The numbers can be read without torch; `probe` and what goes with it import it when asked for.
"""

from typing import TYPE_CHECKING, Any

from erasetest.probes.measures import MEASURES, TEXT_MEASURES, SampleMeasures, SecretMeasures

if TYPE_CHECKING:
    from erasetest.probes.run import ProbeSettings, probe, probe_texts

__all__ = [
    "MEASURES",
    "TEXT_MEASURES",
    "ProbeSettings",
    "SampleMeasures",
    "SecretMeasures",
    "probe",
    "probe_texts",
]


def __getattr__(name: str) -> Any:
    if name in ("ProbeSettings", "probe", "probe_texts"):
        from erasetest.probes import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
