"""Asks questions that are names of other things."""

# effect: nothing
# with: wire


def solve(question):
    odd = ["", "resolve", "refer", "answer", "__class__", "_namespace", "at_first_question", 1, None]
    for each in [*odd, ("call",), b"call"]:
        try:
            ask(each, 0)
        except Exception:
            pass
    for data in (row(), text("call"), integer(1), b"N", row(text("call")), row(row())):
        try:
            send(b"q", data)
            connection()._receive()
        except Exception:
            pass
