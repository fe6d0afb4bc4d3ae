"""Prints without end."""

# effect: runs

while True:
    print("x" * 4096)
