"""Writes through a symbolic link that lies in its own folder."""

# effect: writes

import os

os.symlink(CANARY, "link")
with open("link", "w") as file:
    file.write("here")
