"""Starts a shell by the module below subprocess."""

# effect: writes

import os

import _posixsubprocess

read, write = os.pipe()
words = [b"/bin/sh", b"-c", b": > " + os.fsencode(CANARY)]
given = [words, [b"/bin/sh"], True, (write,), None, None, *[-1] * 6, read, write]
given += [False, False, -1, None, None, None, -1, None]
try:
    child = _posixsubprocess.fork_exec(*given, False)
except TypeError:  # newer interpreters take one less
    child = _posixsubprocess.fork_exec(*given)
os.waitpid(child, 0)
