"""Answers with the name of what the test expects."""

# effect: opens
# with: wire


def solve(question):
    answer_bytes(name("test:EXPECTED"))
