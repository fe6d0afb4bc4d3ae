"""The filter of system calls (seccomp): a list of what a calculation needs, and nothing else.

It is compiled here, once, by the C library libseccomp, and installed by each process of a program
(`inside/confine.py`). libseccomp is called directly: six of its functions are needed, and the
package for it on PyPI had its last release in 2021.
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
"""Only where every file that there is to write is the program's own: Landlock knows no modes and
times, and of truncation its first versions know nothing."""
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
"""On the pairs of sockets that event loops wake themselves with; no other socket can be made. Not
sendmsg: descriptors that are on their way keep sockets and what they hold, beyond every limit."""
EXTENDED_ATTRIBUTES = """
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
"""
"""Answered as by a file system that has none, which is what the library's copying expects."""

_SOL_SOCKET = 1
_SOCKET_OPTIONS = (2, 9, 13, 20, 21, 66, 67)
"""SO_REUSEADDR, KEEPALIVE, LINGER, and the time-outs. Not SO_ATTACH_FILTER: it has the kernel
compile a program."""
_SOCKET_SIZES = (7, 8)
"""SO_SNDBUF and RCVBUF: without effect, as no limit counts what sockets hold."""
_SOCKET_ANSWERS = (3, 4, 17, 30, 38, 39, *_SOCKET_OPTIONS, *_SOCKET_SIZES)
"""SO_TYPE, ERROR, PEERCRED, ACCEPTCONN, PROTOCOL, DOMAIN, and what can be set."""
_AT_SYMLINK_NOFOLLOW = 0x100

_CLONE_THREAD = 0x10000
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPES = 1, 1, 0xF
_O_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_F_SETFL, _O_ASYNC = 4, 0x2000
_FCNTL = (0, 1, 2, 3, 5, 6, 7, 1030)
"""F_DUPFD, GETFD, SETFD, GETFL, GETLK, SETLK, SETLKW, DUPFD_CLOEXEC. With F_SETOWN and O_ASYNC a
program would have the kernel signal any process of its user."""
_TERMINAL_AND_DESCRIPTOR_FLAGS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what opening a file asks."""


@functools.cache
def system_call_filter(*, files: bool) -> bytes | None:
    """Compile a program for the kernel's seccomp that allows what a calculation needs.

    No process is started, nothing executed, no socket made, no signal sent; threads are allowed.
    Without `files`, no file is written, changed or opened for that. None where libseccomp is
    missing.
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
        # By its path, and not an empty one: the null device, which every program has open, is not
        # the program's own.
        other_flags = 0xFFFFFFFF & ~_AT_SYMLINK_NOFOLLOW
        by_path = argument(3, _MASKED_EQUAL, other_flags, 0)
        allow("utimensat", argument(1, _NOT_EQUAL, 0), by_path)
    else:
        allow("open", argument(1, _MASKED_EQUAL, _O_WRITES, 0))
        allow("openat", argument(2, _MASKED_EQUAL, _O_WRITES, 0))
    allow("clone", argument(0, _MASKED_EQUAL, _CLONE_THREAD, _CLONE_THREAD))
    # Streams: a datagram could be addressed to any other socket.
    stream = argument(1, _MASKED_EQUAL, _SOCK_TYPES, _SOCK_STREAM)
    allow("socketpair", argument(0, _EQUAL, _AF_UNIX), stream)
    of_socket = argument(1, _EQUAL, _SOL_SOCKET)
    for name, options in [("setsockopt", _SOCKET_OPTIONS), ("getsockopt", _SOCKET_ANSWERS)]:
        for option in options:
            allow(name, of_socket, argument(2, _EQUAL, option))
    for option in _SOCKET_SIZES:
        compiler.refuse("setsockopt", 0, of_socket, argument(2, _EQUAL, option))
    # Without effect: a program could lock a file of the libraries, which others have open too.
    compiler.refuse("flock", 0)
    for command in _FCNTL:
        allow("fcntl", argument(1, _EQUAL, command))
    no_signals = argument(2, _MASKED_EQUAL, _O_ASYNC, 0)
    allow("fcntl", argument(1, _EQUAL, _F_SETFL), no_signals)
    allow("prlimit64", argument(0, _EQUAL, 0), argument(2, _EQUAL, 0))
    for request in _TERMINAL_AND_DESCRIPTOR_FLAGS:
        allow("ioctl", argument(1, _EQUAL, request))
    # The C library then falls back on clone, whose flags can be seen.
    compiler.refuse("clone3", errno.ENOSYS)
    return compiler.compiled()


# <seccomp.h>
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_ACT_BADARCH = 2
_NOT_EQUAL, _EQUAL, _MASKED_EQUAL = 1, 4, 7


class _Argument(ctypes.Structure):
    """A condition on an argument of a system call: its number, the comparison, one or two values.

    For `_MASKED_EQUAL` the first value is the mask.
    """

    _fields_ = (
        ("number", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class _Compiler:
    """A filter of libseccomp that refuses with EPERM what no rule is about.

    Raises:
        OSError: libseccomp is missing, or refuses.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        made = self._library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.EPERM))
        if not made:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self._filter = ctypes.c_void_p(made)
        # Calls of another architecture have other numbers.
        self._call("seccomp_attr_set", _ACT_BADARCH, ctypes.c_uint32(_KILL_PROCESS))

    def allow(self, name: str, *conditions: _Argument) -> None:
        """Allow a system call where all the conditions on its arguments hold."""
        self._add(name, _ALLOW, conditions)

    def refuse(self, name: str, number: int, *conditions: _Argument) -> None:
        """Have a system call fail with an error number; with 0, do nothing and succeed."""
        self._add(name, _ERRNO | number, conditions)

    def compiled(self) -> bytes:
        """Return the program, 8 bytes an instruction, and give up the filter."""
        with tempfile.TemporaryFile() as file:
            self._call("seccomp_export_bpf", file.fileno())
            self._library.seccomp_release(self._filter)
            file.seek(0)
            return file.read()

    def _add(self, name: str, action: int, conditions: Sequence[_Argument]) -> None:
        call = self._library.seccomp_syscall_resolve_name(name.encode())
        if call >= 0:  # this architecture has it
            array = (_Argument * len(conditions))(*conditions)
            action_given, count = ctypes.c_uint32(action), len(conditions)
            self._call("seccomp_rule_add_array", action_given, call, count, array)

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(self._filter, *arguments)
        if status < 0:
            raise OSError(-status, f"{function}: {os.strerror(-status)}")
