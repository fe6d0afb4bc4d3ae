"""Asks for a call of `os.system`."""

# effect: opens and writes
# with: wire


def solve(question):
    ask_bytes(text("call"), name("os:system"), row(text(f"echo > {CANARY}")), NOTHING)
