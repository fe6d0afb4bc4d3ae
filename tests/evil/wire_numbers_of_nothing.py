"""Names objects by numbers that were never given."""

# effect: nothing
# with: wire


def solve(question):
    found = []
    for number in [*range(64), 2**31, 2**63 - 1, -1, -2]:
        for asked in ("call", "attribute", "iter", "items", "next"):
            arguments = {"call": ((), {}), "attribute": ("x",)}.get(asked, ())
            try:
                found.append(ask(asked, number, *arguments))
            except Exception:
                pass
    return found[0]
