"""Sleeps longer than anybody waits."""

# effect: runs

import time

time.sleep(10)
