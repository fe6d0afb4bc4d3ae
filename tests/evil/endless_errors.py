"""Raises exceptions with a text of megabytes, without end."""

# effect: runs
# ends: at the limit of time

import sys

while True:
    try:
        raise ValueError("x" * (1 << 20))
    except ValueError as error:
        sys.stderr.write(str(error))
