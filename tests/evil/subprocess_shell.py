"""Starts a shell."""

# effect: writes

import subprocess

subprocess.run(["/bin/sh", "-c", f": > {CANARY}"], check=True)
