"""Goes round os, to the module below it."""

# effect: writes

import posix

posix.close(posix.open(CANARY, posix.O_CREAT | posix.O_WRONLY))
