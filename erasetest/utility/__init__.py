"""Utility: whether a CLM still writes code that works.

`problems` are read, checked (`problem_check`) and completed (`generation`); the `sandbox` runs the
programs; `scoring` counts what passed; `non_inferiority` compares two scores.
"""

from typing import TYPE_CHECKING

from erasetest.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from erasetest.utility.estimators import pass_at_k
    from erasetest.utility.non_inferiority import utility_report
    from erasetest.utility.problem_check import check_problems
    from erasetest.utility.problems import Problem, read_problems
    from erasetest.utility.sandbox import Limits, Outcome, Program, run_programs, sandbox_layers
    from erasetest.utility.scoring import UtilityScore, score_completions

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

__getattr__ = lazy_exports(
    __name__,
    {
        "pass_at_k": "estimators",
        "utility_report": "non_inferiority",
        "check_problems": "problem_check",
        "Problem": "problems",
        "read_problems": "problems",
        "Limits": "sandbox",
        "Outcome": "sandbox",
        "Program": "sandbox",
        "run_programs": "sandbox",
        "sandbox_layers": "sandbox",
        "UtilityScore": "scoring",
        "score_completions": "scoring",
    },
)
