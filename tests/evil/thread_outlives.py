"""Starts a thread that does not end."""

# effect: runs

import threading
import time

threading.Thread(target=time.sleep, args=(30,)).start()


def solve(question):
    return question
