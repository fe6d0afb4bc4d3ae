"""Becomes a shell."""

# effect: writes

import os

os.execv("/bin/sh", ["sh", "-c", f": > {CANARY}"])
