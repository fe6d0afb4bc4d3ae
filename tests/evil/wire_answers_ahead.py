"""Answers questions that nobody has asked yet."""

# effect: nothing
# with: wire


outgoing = _in_callers(lambda name, value: name == "outgoing" and type(value) is int)
for _ in range(100):
    send(b"a", b"T", outgoing)


def solve(question):
    return True
