"""Reloads os and writes by what it brings back."""

# effect: writes

import importlib
import os

importlib.reload(os)
os.close(os.open(CANARY, os.O_CREAT | os.O_WRONLY))
