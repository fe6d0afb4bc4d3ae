"""Prints without end."""

# effect: runs
# ends: at the limit of time

while True:
    print("x" * 4096)
