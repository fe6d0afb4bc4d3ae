"""The line in which a supervisor reports how a program ended is parsed strictly."""

from __future__ import annotations

import pytest

from erasetest.utility.sandbox.run_status import RunStatus

LINE = (
    "ended tester_status=0 tester_cpu_seconds=0.012 holder_status=9 holder_cpu_seconds=3.000 "
    "peak_kib=20480 wall_timeout=0 parses=1 test_was_read=1 nonce=00ff"
)


def test_each_field_has_its_type() -> None:
    """Wait statuses, seconds, KiB, flags and bytes."""
    assert RunStatus.parse(LINE) == RunStatus(0, 0.012, 9, 3.0, 20480, False, True, True, b"\0\xff")
    assert RunStatus.parse(LINE.removesuffix("00ff")).nonce == b""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ended ", ""),
        ("ended ", "fault "),
        ("tester_status=0 ", ""),
        ("tester_status=0 ", "tester_status=0 tester_status=0 "),
        ("tester_status=0 ", "tester_status=-1 "),
        ("tester_status=0 ", "tester_status=\u0660 "),
        ("tester_status=0 ", "tester_status=0_0 "),
        ("tester_cpu_seconds=0.012", "tester_cpu_seconds=nan"),
        ("tester_cpu_seconds=0.012", "tester_cpu_seconds=1e9"),
        ("parses=1", "parses=2"),
        ("nonce=00ff", "nonce=00f"),
        ("nonce=00ff", "nonce=00 ff"),
        ("nonce=00ff", "nonce=00FF"),
        ("nonce=00ff", "nonce=00ff\n"),
        ("nonce=00ff", "nonce=00ff more=1"),
        ("tester_status=0 tester_cpu_seconds=0.012", "tester_cpu_seconds=0.012 tester_status=0"),
    ],
)
def test_another_form_is_refused(old: str, new: str) -> None:
    """Missing, repeated, additional and malformed fields."""
    assert old in LINE
    with pytest.raises(ValueError, match="not the status of a run"):
        RunStatus.parse(LINE.replace(old, new, 1))
