"""Asks for a core dump, and ends by a signal."""

# effect: nothing

import os
import resource

try:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (OSError, ValueError):
    pass


def solve(question):
    os.abort()
