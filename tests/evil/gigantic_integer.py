"""Computes a number of some hundred million digits."""

# effect: runs
# ends: at the limit of time

held = 7 ** (10**9)
