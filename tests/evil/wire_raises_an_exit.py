"""Says that the call raised what ends the test's process with status 0."""

# effect: nothing
# with: wire


def solve(question):
    send(b"e", row(several(b"l", text("SystemExit"), text("BaseException")), text("0")))
