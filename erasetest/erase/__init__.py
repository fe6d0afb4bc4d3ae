"""Erase: machine unlearning of the secrets of some samples, and of nothing else."""

from erasetest.erase.checkpoint import save_checkpoint
from erasetest.erase.objectives import METHODS
from erasetest.erase.trainer import Erasure, ErasureSettings, erase

__all__ = ["METHODS", "Erasure", "ErasureSettings", "erase", "save_checkpoint"]
