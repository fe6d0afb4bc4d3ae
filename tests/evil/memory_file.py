"""Makes a file in memory of a gigabyte, which counts for no process."""

# effect: writes

import os

made = os.memfd_create("big")
for _ in range(1024):
    os.write(made, bytes(1 << 20))
with open(CANARY, "w") as file:
    file.write("here")
