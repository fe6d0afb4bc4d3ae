"""The system call filter (seccomp): an allow list of what a calculation needs.

libseccomp compiles it once, and each process of a program installs it (`inside/confine.py`).
libseccomp is called by ctypes: six of its functions are needed, and its package on PyPI had its
last release in 2021.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import tempfile
from collections.abc import Sequence
from typing import Any

READING = """
read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek close close_range
stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd chdir
fchdir getdents getdents64 umask statfs fstatfs fadvise64 sendfile dup dup2 dup3 pipe pipe2 poll
ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2
"""
WRITING = """
open openat creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 symlink symlinkat
truncate ftruncate fallocate fsync fdatasync utime utimes chmod fchmodat copy_file_range
link linkat
"""
"""Allowed only where the program can reach no writable files but its own: Landlock does not
restrict changes of modes and times, nor do its first versions restrict truncation."""
MEMORY = "mmap munmap mremap mprotect madvise brk msync mincore membarrier"
ITSELF = """
exit exit_group getpid getppid gettid getuid geteuid getgid getegid getgroups getresuid getresgid
getpgrp getpgid getsid getrusage getrlimit times uname sysinfo getcpu wait4 waitid
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack
restart_syscall pause alarm setitimer getitimer
futex futex_wait futex_wake set_robust_list get_robust_list set_tid_address rseq sched_yield
sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time getrandom
"""
PAIRS = "sendto recvfrom shutdown getsockname getpeername"
"""For socket pairs, with which event loops wake themselves; other sockets cannot be created. Not
sendmsg: file descriptors in transit keep sockets and their buffers alive, outside of all limits."""
EXTENDED_ATTRIBUTES = """
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
"""
"""Fail as on a file system without extended attributes, as `shutil` expects."""

_SOL_SOCKET = 1
_SOCKET_OPTIONS = (2, 9, 13, 20, 21, 66, 67)
"""SO_REUSEADDR, KEEPALIVE, LINGER, and the timeouts. Not SO_ATTACH_FILTER, which makes the kernel
compile a program."""
_SOCKET_SIZES = (7, 8)
"""SO_SNDBUF and RCVBUF: have no effect here, because no limit counts socket buffers."""
_SOCKET_ANSWERS = (3, 4, 17, 30, 38, 39, *_SOCKET_OPTIONS, *_SOCKET_SIZES)
"""SO_TYPE, ERROR, PEERCRED, ACCEPTCONN, PROTOCOL, DOMAIN, and the options that can be set."""
_AT_SYMLINK_NOFOLLOW = 0x100

_CLONE_THREAD = 0x10000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPES = 1, 1, 0xF
_O_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_F_SETFL, _O_ASYNC = 4, 0x2000
_FCNTL = (0, 1, 2, 3, 5, 6, 7, 1030)
"""F_DUPFD, GETFD, SETFD, GETFL, GETLK, SETLK, SETLKW, DUPFD_CLOEXEC. With F_SETOWN and O_ASYNC, a
program could make the kernel send signals to any process of its user."""
_TERMINAL_AND_DESCRIPTOR_FLAGS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: used when files are opened."""


@functools.cache
def system_call_filter(*, files: bool) -> bytes | None:
    """Compile the filter, as a BPF program; None if libseccomp is missing.

    It denies new processes, execution, sockets and signals, and allows threads. Without `files`, it
    also denies writing to and changing files.
    """
    try:
        compiler = _Compiler()
    except OSError:
        return None
    allow, argument = compiler.allow, _Argument
    for name in " ".join([READING, WRITING * files, MEMORY, ITSELF, PAIRS]).split():
        allow(name)
    for name in EXTENDED_ATTRIBUTES.split():
        compiler.refuse(name, errno.ENOTSUP)
    if files:
        # Only by a non-empty path: by descriptor, a program could change the null device, which it
        # has open and does not own.
        other_flags = 0xFFFFFFFF & ~_AT_SYMLINK_NOFOLLOW
        by_path = argument(3, _MASKED_EQUAL, other_flags, 0)
        allow("utimensat", argument(1, _NOT_EQUAL, 0), by_path)
    else:
        allow("open", argument(1, _MASKED_EQUAL, _O_WRITES, 0))
        allow("openat", argument(2, _MASKED_EQUAL, _O_WRITES, 0))
    allow("clone", argument(0, _MASKED_EQUAL, _CLONE_THREAD, _CLONE_THREAD))
    # Streams only: a datagram could be addressed to any other socket.
    stream = argument(1, _MASKED_EQUAL, _SOCK_TYPES, _SOCK_STREAM)
    allow("socketpair", argument(0, _EQUAL, _AF_UNIX), stream)
    of_socket = argument(1, _EQUAL, _SOL_SOCKET)
    for name, options in [("setsockopt", _SOCKET_OPTIONS), ("getsockopt", _SOCKET_ANSWERS)]:
        for option in options:
            allow(name, of_socket, argument(2, _EQUAL, option))
    for option in _SOCKET_SIZES:
        compiler.refuse("setsockopt", 0, of_socket, argument(2, _EQUAL, option))
    # No effect: a program could lock a file of the libraries that others have open, too.
    compiler.refuse("flock", 0)
    for command in _FCNTL:
        allow("fcntl", argument(1, _EQUAL, command))
    no_signals = argument(2, _MASKED_EQUAL, _O_ASYNC, 0)
    allow("fcntl", argument(1, _EQUAL, _F_SETFL), no_signals)
    allow("prlimit64", argument(0, _EQUAL, 0), argument(2, _EQUAL, 0))
    for request in _TERMINAL_AND_DESCRIPTOR_FLAGS:
        allow("ioctl", argument(1, _EQUAL, request))
    # The C library then falls back to clone, whose flags a filter can check.
    compiler.refuse("clone3", errno.ENOSYS)
    return compiler.compiled()


# <seccomp.h>
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_ACT_BADARCH = 2
_NOT_EQUAL, _EQUAL, _MASKED_EQUAL = 1, 4, 7


class _Argument(ctypes.Structure):
    """A condition on an argument of a system call: its index, the comparison, one or two values.

    For `_MASKED_EQUAL`, the first value is the mask.
    """

    _fields_ = (
        ("number", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class _Compiler:
    """A filter of libseccomp that denies system calls without a rule by EPERM.

    Raises:
        OSError: libseccomp is missing, or a function of it fails.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        made = self._library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.EPERM))
        if not made:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self._filter = ctypes.c_void_p(made)
        # The system calls of another architecture have other numbers: kill the process.
        self._call("seccomp_attr_set", _ACT_BADARCH, ctypes.c_uint32(_KILL_PROCESS))

    def allow(self, name: str, *conditions: _Argument) -> None:
        """Allow a system call if all conditions on its arguments are met."""
        self._add(name, _ALLOW, conditions)

    def refuse(self, name: str, number: int, *conditions: _Argument) -> None:
        """Make a system call fail with an error number, or, with 0, succeed without effect."""
        self._add(name, _ERRNO | number, conditions)

    def compiled(self) -> bytes:
        """Return the BPF program, 8 bytes per instruction, and release the filter."""
        with tempfile.TemporaryFile() as file:
            self._call("seccomp_export_bpf", file.fileno())
            self._library.seccomp_release(self._filter)
            file.seek(0)
            return file.read()

    def _add(self, name: str, action: int, conditions: Sequence[_Argument]) -> None:
        call = self._library.seccomp_syscall_resolve_name(name.encode())
        if call >= 0:  # negative if this architecture does not have it
            array = (_Argument * len(conditions))(*conditions)
            action_given, count = ctypes.c_uint32(action), len(conditions)
            self._call("seccomp_rule_add_array", action_given, call, count, array)

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(self._filter, *arguments)
        if status < 0:
            raise OSError(-status, f"{function}: {os.strerror(-status)}")
