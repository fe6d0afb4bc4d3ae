"""Changes the mode and the times of a file of this machine."""

# effect: changes

import os

for change in (
    lambda: os.chmod(KEPT, 0o777),
    lambda: os.utime(KEPT, (1, 1)),
    lambda: os.chmod(KEPT, 0o777, dir_fd=os.open("/", os.O_RDONLY)),
):
    try:
        change()
    except OSError:
        pass
