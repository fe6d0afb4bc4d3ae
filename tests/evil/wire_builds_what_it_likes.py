"""Has a value built of a class that is no data."""

# effect: opens
# with: wire


def solve(question):
    answer_bytes(built("builtins.eval", text("__import__('test').EXPECTED")))
