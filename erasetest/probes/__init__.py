"""Probes: what a CLM remembers of a secret, a file for each family of measures."""

from erasetest.probes.measures import MEASURES, SampleMeasures, SecretMeasures
from erasetest.probes.run import probe

__all__ = ["MEASURES", "SampleMeasures", "SecretMeasures", "probe"]
