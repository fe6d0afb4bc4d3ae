"""Writes a thousand files of a megabyte."""

# effect: writes

for number in range(1024):
    with open(f"part-{number}", "wb") as file:
        file.write(bytes(1 << 20))
with open(CANARY, "w") as file:
    file.write("here")
