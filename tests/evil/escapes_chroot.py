"""Opens the root, changes it, and climbs out of the old one."""

# effect: nothing

import os

opened = os.open("/", os.O_RDONLY)
os.mkdir("below")
os.chroot("below")
os.fchdir(opened)
for _ in range(20):
    os.chdir("..")
os.chroot(".")
os.close(os.open(CANARY, os.O_CREAT | os.O_WRONLY))
