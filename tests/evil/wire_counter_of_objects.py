"""Has a Counter made of an object of its own, and counts what the test asks."""

# effect: opens
# with: wire
# test: assert sum(solve(QUESTION).values()) == 10


class Any:
    def __iter__(self):
        return iter("x" * 10)

    def __len__(self):
        return 10


def solve(question):
    number = connection()._side.refer(Any(), asks=True)[1]
    answer_bytes(built("collections.Counter", mine(number)))
    connection().serve()
