"""Answers with a path through the modules of the test's process."""

# effect: nothing
# with: wire


def solve(question):
    answer_bytes(name("sys:modules.test.EXPECTED"))
