"""Probes: what a CLM remembers of a secret, a file for each family of measures.

The numbers can be read without torch; `probe` imports it when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from erasetest.probes.measures import MEASURES, SampleMeasures, SecretMeasures

if TYPE_CHECKING:
    from erasetest.probes.run import probe

__all__ = ["MEASURES", "SampleMeasures", "SecretMeasures", "probe"]


def __getattr__(name: str) -> Any:
    if name == "probe":
        from erasetest.probes.run import probe

        return probe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
