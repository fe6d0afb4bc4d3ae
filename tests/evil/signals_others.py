"""Kills every process that it may: its parent, its group, a stranger, all."""

# effect: relatives

import os
import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
for kill, number in [(os.kill, STRANGER), (os.kill, os.getppid())]:
    try:
        kill(number, signal.SIGKILL)
    except OSError:
        pass
