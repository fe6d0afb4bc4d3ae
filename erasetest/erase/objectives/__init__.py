"""What erasing minimizes, a file for each method, chosen by name."""

from erasetest.erase.objectives.base import Objective, Tokens, Weights
from erasetest.erase.objectives.codeeraser import codeeraser
from erasetest.erase.objectives.cu import cu
from erasetest.erase.objectives.ga import ga

OBJECTIVES: dict[str, Objective] = {"codeeraser": codeeraser, "cu": cu, "ga": ga}
"""Name of a method, and its loss."""

__all__ = ["OBJECTIVES", "Objective", "Tokens", "Weights"]
