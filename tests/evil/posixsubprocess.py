"""Starts a shell by the module below subprocess."""

# effect: writes

import _posixsubprocess
import os

read, write = os.pipe()
words = [b"/bin/sh", b"-c", b": > " + os.fsencode(CANARY)]
try:
    child = _posixsubprocess.fork_exec(
        words,
        [b"/bin/sh"],
        True,
        (write,),
        None,
        None,
        -1,
        -1,
        -1,
        -1,
        -1,
        -1,
        read,
        write,
        False,
        False,
        -1,
        None,
        None,
        None,
        -1,
        None,
        False,
    )
except TypeError:
    child = _posixsubprocess.fork_exec(
        words,
        [b"/bin/sh"],
        True,
        (write,),
        None,
        None,
        -1,
        -1,
        -1,
        -1,
        -1,
        -1,
        read,
        write,
        False,
        False,
        -1,
        None,
        None,
        None,
        -1,
        None,
    )
os.waitpid(child, 0)
