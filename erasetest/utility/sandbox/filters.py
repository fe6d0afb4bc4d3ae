"""What the kernel is told to refuse: system calls (seccomp) and files, ports, signals (Landlock).

Both are made here, once, by libraries, and installed by each process of a program (`inside`).
"""

from __future__ import annotations

import errno
import functools
import os
import tempfile
from typing import Any

READING = """
read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek close close_range
stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd chdir
fchdir getdents getdents64 umask statfs fstatfs fadvise64 sendfile dup dup2 dup3 pipe pipe2 poll
ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2
"""
WRITING = """
open openat creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 symlink symlinkat
truncate ftruncate fallocate fsync fdatasync flock utime utimes chmod fchmodat copy_file_range
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
PAIRS = "sendto recvfrom sendmsg recvmsg shutdown getsockopt setsockopt getsockname getpeername"
"""On the pairs of sockets that event loops wake themselves with; no other socket can be made."""

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
    """A program for the kernel's seccomp that allows what a calculation needs, and nothing else.

    No process is started, nothing executed, no socket made, no signal sent; threads are allowed.
    Without `files`, no file is written, changed or opened for that. None where libseccomp is
    missing.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, OSError, RuntimeError):
        return None
    made = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    for name in " ".join([READING, WRITING * files, MEMORY, ITSELF, PAIRS]).split():
        _allow(seccomp, made, name)
    arg, equal, masked = seccomp.Arg, seccomp.EQ, seccomp.MASKED_EQ
    if files:
        # By its path: the null device, which every program has, is nobody's own.
        _allow(seccomp, made, "utimensat", arg(1, seccomp.NE, 0))
    else:
        _allow(seccomp, made, "open", arg(1, masked, _O_WRITES, 0))
        _allow(seccomp, made, "openat", arg(2, masked, _O_WRITES, 0))
    _allow(seccomp, made, "clone", arg(0, masked, _CLONE_THREAD, _CLONE_THREAD))
    # Streams: a datagram could be addressed to any other socket.
    stream = arg(1, masked, _SOCK_TYPES, _SOCK_STREAM)
    _allow(seccomp, made, "socketpair", arg(0, equal, _AF_UNIX), stream)
    for command in _FCNTL:
        _allow(seccomp, made, "fcntl", arg(1, equal, command))
    _allow(seccomp, made, "fcntl", arg(1, equal, _F_SETFL), arg(2, masked, _O_ASYNC, 0))
    _allow(seccomp, made, "prlimit64", arg(0, equal, 0), arg(2, equal, 0))
    for request in _TERMINAL_AND_DESCRIPTOR_FLAGS:
        _allow(seccomp, made, "ioctl", arg(1, equal, request))
    # The C library then falls back on clone, whose flags can be seen.
    made.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _allow(seccomp: Any, made: Any, name: str, *arguments: Any) -> None:
    if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:  # this machine has it
        made.add_rule(seccomp.ALLOW, name, *arguments)


@functools.cache
def ruleset(libraries: tuple[str, ...], *, files: bool) -> int | None:
    """A Landlock ruleset, as a descriptor for children; it stays open as long as this process.

    TCP, and signals to other processes, are refused where the kernel can. With `files`, so is
    everything on disk but reading below the libraries.

    None where this kernel has no Landlock, or cannot do what is asked.
    """
    try:
        import py_landlock as landlock
        from py_landlock import abi
    except ImportError:
        return None
    try:
        version = landlock.get_abi_version()
        asked = landlock.RulesetAttr()
        asked.handled_access_fs = abi.get_supported_fs(version) if files else 0
        asked.handled_access_net = abi.get_supported_net(version)
        asked.scoped = abi.get_supported_scope(version)
        made = landlock.create_ruleset(asked)
        for folder in libraries if files else ():
            opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
            rule = landlock.PathBeneathAttr()
            rule.allowed_access = landlock.AccessFs.READ_FILE | landlock.AccessFs.READ_DIR
            rule.parent_fd = opened
            landlock.add_rule(made, rule)
            os.close(opened)
    except (OSError, landlock.LandlockError):
        return None
    return int(made)
