"""Gives texts that are no Unicode, and bytes that are no text."""

# effect: nothing


def solve(question):
    print("\ud800")
    return "\udcff\ud800" + chr(0x10FFFF) * 3


print(b"\xff\xfe".decode("utf-8", "surrogateescape"))
