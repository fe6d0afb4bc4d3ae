"""Asks for two gigabytes at once, and uses them."""

# effect: memory

held = bytearray(2 << 30)
for place in range(0, len(held), 4096):
    held[place] = 1
