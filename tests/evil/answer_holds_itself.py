"""Gives an answer that contains itself."""

# effect: nothing


def solve(question):
    answer = []
    answer.append(answer)
    return answer
