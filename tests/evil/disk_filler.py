"""Writes a file of a gigabyte."""

# effect: writes

with open("big", "wb") as file:
    for _ in range(1024):
        file.write(bytes(1 << 20))
        file.flush()
with open(CANARY, "w") as file:
    file.write("here")
