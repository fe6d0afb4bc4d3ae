"""Writes a file outside of its folder."""

# effect: writes

with open(CANARY, "w") as file:
    file.write("here")
