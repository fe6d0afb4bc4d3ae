"""pass@k against its definition, the fraction of k-subsets with a passed sample."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasetest.utility.estimators import mean_pass_at_k, pass_at_k


@st.composite
def _counts(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 10))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


@given(_counts())
def test_estimate_is_the_share_of_subsets_with_a_passed_sample(
    counts: tuple[int, int, int],
) -> None:
    """The product form equals exact enumeration of all subsets of k samples."""
    n, c, k = counts
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


def test_many_samples_do_not_overflow() -> None:
    """With 10,000 samples the binomials overflow floats, the product does not."""
    assert pass_at_k(10_000, 1, 100) == pytest.approx(0.01)


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 1, 0), (5, 1, 6)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    """A count outside 0..n or a k outside 1..n raises."""
    with pytest.raises(ValueError, match=f"n={n}, c={c}, k={k}"):
        pass_at_k(n, c, k)


def test_mean_leaves_out_a_k_above_n() -> None:
    """With 5 samples there is no pass@10."""
    assert mean_pass_at_k([5, 0], 5) == {"pass@1": 0.5, "pass@5": 0.5}


def test_mean_of_no_problems_is_refused() -> None:
    """A missing score is not a score of zero."""
    with pytest.raises(ValueError, match="at least one problem"):
        mean_pass_at_k([], 5)
