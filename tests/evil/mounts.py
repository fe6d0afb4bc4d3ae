"""Makes namespaces of its own, where it would be root, and mounts there."""

# effect: nothing

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x10000000 | 0x00020000) == 0
assert libc.mount(b"none", b"/", None, 1 << 18 | 1 << 14, None) == 0
assert libc.mount(b"proc", b"/tmp", b"proc", 0, None) == 0
os.close(os.open(CANARY, os.O_CREAT | os.O_WRONLY))
