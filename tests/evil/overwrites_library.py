"""Writes into the library that the next program will import."""

# effect: nothing

import json

with open(json.__file__, "a") as file:
    file.write("")
import os

os.utime(json.__file__)


def solve(question):
    return question
