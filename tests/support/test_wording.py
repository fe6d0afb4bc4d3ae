"""Wording that several messages share."""

from __future__ import annotations

import pytest

from erasetest.support.wording import first_of


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, ""),
        (1, "0"),
        (5, "0, 1, 2, 3, 4"),
        (6, "0, 1, 2, 3, 4 and 1 more"),
        (9, "0, 1, 2, 3, 4 and 4 more"),
    ],
)
def test_five_names_are_listed_and_the_others_counted(count: int, expected: str) -> None:
    names = [str(number) for number in range(count)]
    assert first_of(names) == expected
    assert first_of(names[:5], count) == expected
