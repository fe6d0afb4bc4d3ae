"""Empties a file of this machine, by name and by opening it to read."""

# effect: changes

import os

for empty in (
    lambda: os.truncate(KEPT, 0),
    lambda: os.open(KEPT, os.O_RDONLY | os.O_TRUNC),
    lambda: os.open(KEPT, os.O_RDWR),
):
    try:
        empty()
    except OSError:
        pass
