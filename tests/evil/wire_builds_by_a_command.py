"""Has a value built by `os.system`."""

# effect: opens and writes
# with: wire


def solve(question):
    answer_bytes(built("os.system", text(f"echo > {CANARY}")))
