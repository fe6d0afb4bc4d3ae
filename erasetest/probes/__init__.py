"""Probes: measure what a CLM remembers of a secret. Each family of measures has a file.

The types of the measures can be used without torch; `probe` imports it on first use.
"""

from typing import TYPE_CHECKING

from erasetest.probes.measures import MEASURES, TEXT_MEASURES, SampleMeasures, SecretMeasures
from erasetest.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from erasetest.probes.probe_settings import ProbeSettings
    from erasetest.probes.probing import probe
    from erasetest.probes.text_probing import probe_texts

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
        "ProbeSettings": "probe_settings",
        "probe": "probing",
        "probe_texts": "text_probing",
    },
)
