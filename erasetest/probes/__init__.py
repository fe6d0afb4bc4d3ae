"""Probes: what a CLM remembers of a secret, a file for each family of measures.

The numbers can be read without torch; `probe` and what belongs to it import it on first use.
"""

from typing import TYPE_CHECKING

from erasetest.probes.measures import MEASURES, TEXT_MEASURES, SampleMeasures, SecretMeasures
from erasetest.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from erasetest.probes.probing import ProbeSettings, probe, probe_texts

__all__ = [
    "MEASURES",
    "TEXT_MEASURES",
    "ProbeSettings",
    "SampleMeasures",
    "SecretMeasures",
    "probe",
    "probe_texts",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "ProbeSettings": "probing",
        "probe": "probing",
        "probe_texts": "probing",
    },
)
