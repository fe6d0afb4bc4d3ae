"""Maps two gigabytes, shared, and uses them."""

# effect: memory

import mmap

held = mmap.mmap(-1, 2 << 30)
for place in range(0, len(held), 4096):
    held[place] = 1
