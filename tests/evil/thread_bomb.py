"""Starts some hundred threads, each for a second."""

# effect: nothing

import threading
import time

threads = [threading.Thread(target=time.sleep, args=(1,), daemon=True) for _ in range(500)]
for thread in threads:
    thread.start()


def solve(question):
    return question
