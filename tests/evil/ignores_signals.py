"""Ignores every signal that it can, and runs without end."""

# effect: runs
# ends: at the limit of time

import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
