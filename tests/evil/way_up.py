"""Climbs out of its folder, by name, by link and by what /proc names."""

# effect: writes

import os

ways = ["../" * 20, "/proc/self/root/", "/proc/1/root/", "/proc/self/cwd/" + "../" * 20]
for way in ways:
    try:
        os.close(os.open(way + CANARY, os.O_CREAT | os.O_WRONLY))
    except OSError:
        pass
