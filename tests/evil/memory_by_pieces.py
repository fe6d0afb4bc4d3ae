"""Asks for two gigabytes by and by."""

# effect: memory

held = [bytes(1 << 16) + b"x" for _ in range(2 << 14)]
