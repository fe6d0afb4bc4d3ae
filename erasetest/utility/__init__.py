"""Utility: whether a CLM still writes code that works.

`problems` are checked (`preflight`) and completed (`generate`), the programs run in the `sandbox`,
what passed becomes a `score` (`passk`), and two scores are set against each other (`compare`).
"""

from erasetest.utility.compare import utility_report
from erasetest.utility.passk import pass_at_k
from erasetest.utility.preflight import check_problems
from erasetest.utility.problems import Problem, read_problems
from erasetest.utility.sandbox import Limits, Outcome, Program, run_programs, sandbox_layers
from erasetest.utility.score import UtilityScore, score_completions

__all__ = [
    "Limits",
    "Outcome",
    "Problem",
    "Program",
    "UtilityScore",
    "check_problems",
    "pass_at_k",
    "read_problems",
    "run_programs",
    "sandbox_layers",
    "score_completions",
    "utility_report",
]
