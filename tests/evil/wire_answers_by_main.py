"""Answers with a name in the main module of the test's process."""

# effect: opens
# with: wire


def solve(question):
    answer_bytes(name("__main__:EXPECTED"))
