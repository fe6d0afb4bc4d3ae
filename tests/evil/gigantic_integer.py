"""Computes a number of some hundred million digits."""

# effect: runs

held = 7 ** (10**9)
