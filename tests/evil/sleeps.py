"""Sleeps longer than anybody waits."""

# effect: runs
# ends: at the limit of time

import time

time.sleep(10)
