"""Has values of the library built of objects of its own, which answer meanwhile."""

# effect: nothing
# with: wire


def solve(question):
    own = mine(0)
    for what, parts in [
        ("collections.Counter", (own,)),
        ("collections.deque", (own, b"N")),
        ("collections.OrderedDict", (own,)),
        ("collections.OrderedDict", (several(b"l", own),)),
        ("fractions.Fraction", (own, own)),
        ("decimal.Decimal", (own,)),
        ("datetime.timezone", (own,)),
        ("builtins.range", (own, own, own)),
        ("datetime.time", (integer(0), integer(0), integer(0), integer(0), own)),
    ]:
        answer_bytes(built(what, *parts))
    connection().serve()
