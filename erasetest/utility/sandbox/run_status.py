"""The line in which the supervisor of a program reports how it ended (`inside/launcher.py`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

FAULT = "fault "
"""Prefix of a line that reports why a program could not be run."""

_FIELDS = {
    "tester_status": r"[0-9]{1,10}",
    "tester_cpu_seconds": r"[0-9]{1,10}\.[0-9]{3}",
    "holder_status": r"[0-9]{1,10}",
    "holder_cpu_seconds": r"[0-9]{1,10}\.[0-9]{3}",
    "peak_kib": r"[0-9]{1,15}",
    "wall_timeout": r"[01]",
    "parses": r"[01]",
    "test_was_read": r"[01]",
    "nonce": r"(?:[0-9a-f]{2})*",
}
_LINE = re.compile(
    "ended " + " ".join(f"{name}=(?P<{name}>{form})" for name, form in _FIELDS.items())
)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How the two processes of a program ended.

    The statuses are wait statuses (`os.waitpid`). `wall_timeout`: the wall limit was exceeded.
    `parses`: the program is valid Python. `test_was_read`: the tester read its part of the job.
    `nonce`: what the tester reported; the nonce of the job if the test ran to its end.
    """

    tester_status: int
    tester_cpu_seconds: float
    holder_status: int
    holder_cpu_seconds: float
    peak_kib: int
    wall_timeout: bool
    parses: bool
    test_was_read: bool
    nonce: bytes

    @classmethod
    def parse(cls, line: str) -> RunStatus:
        """Parse the line strictly: each field once, in order, with a value of its type.

        Raises:
            ValueError: the line has another form.
        """
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError("not the status of a run")
        text = match.groupdict()
        return cls(
            int(text["tester_status"]),
            float(text["tester_cpu_seconds"]),
            int(text["holder_status"]),
            float(text["holder_cpu_seconds"]),
            int(text["peak_kib"]),
            text["wall_timeout"] == "1",
            text["parses"] == "1",
            text["test_was_read"] == "1",
            bytes.fromhex(text["nonce"]),
        )
