"""Erase: machine unlearning of the secrets of some samples, and of nothing else."""

from erasetest.erase.checkpoint import save_checkpoint
from erasetest.erase.generated import own_generations
from erasetest.erase.objectives import METHODS
from erasetest.erase.request import check_request, erase_to, unchecked
from erasetest.erase.result import Erasure
from erasetest.erase.settings import ErasureSettings
from erasetest.erase.trained import Lora
from erasetest.erase.trainer import erase

__all__ = [
    "METHODS",
    "Erasure",
    "ErasureSettings",
    "Lora",
    "check_request",
    "erase",
    "erase_to",
    "own_generations",
    "save_checkpoint",
    "unchecked",
]
