"""Names `type` as what is to be called, in bytes that no encoder would write."""

# effect: opens
# with: wire


def always(*arguments):
    return True


def never(*arguments):
    return False


def solve(question):
    own = [mine(connection()._side.refer(each, asks=True)[1]) for each in (always, never)]
    members = several(b"d", text("__eq__"), own[0], text("__ne__"), own[1])
    made = row(text("Equal"), row(), members)
    return ask_bytes(text("call"), name("builtins:type"), made, NOTHING)()
