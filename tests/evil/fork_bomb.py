"""Forks some hundred times, each for two seconds."""

# effect: stays

import os
import time

for _ in range(200):
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)
