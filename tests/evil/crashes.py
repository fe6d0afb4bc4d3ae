"""Reads address 0."""

# effect: nothing

import ctypes


def solve(question):
    return ctypes.string_at(0)
