"""Signals a stranger by a descriptor of it."""

# effect: kills

import os
import signal

signal.pidfd_send_signal(os.pidfd_open(STRANGER), signal.SIGKILL)
