"""Tests that the CLM still writes working code. They run with `--utility`."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.utility


def test_pass_at_1_is_preserved(utility: dict[str, Any]) -> None:
    """With 95 % confidence, pass@1 dropped by less than the margin, paired by problem."""
    if utility["verdict"] != "pass":
        delta = utility["delta"]["pass@1"]
        more, problems = utility.get("samples_to_decide"), utility.get("problems_to_decide")
        advice = f"; about {more} samples per problem would suffice to decide" if more else ""
        advice += f"; that margin needs at least {problems} problems" if problems else ""
        pytest.fail(
            f"{utility['verdict']}: pass@1 changed by {delta['mean']:+.4f}, at least "
            f"{delta['lower_95']:+.4f} with 95 % confidence; a drop of {utility['margin']:.4f} is "
            f"allowed{advice}",
            pytrace=False,
        )
