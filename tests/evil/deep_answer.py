"""Gives an answer that is nested a hundred thousand times."""

# effect: nothing


def solve(question):
    answer = []
    for _ in range(100_000):
        answer = [answer]
    return answer
