"""Privileges and resources that a process gives up before it runs untrusted code."""

# pathlib and contextlib are slow to import; /tmp is meant literally.
# ruff: noqa: PTH102, PTH103, PTH109, PTH123, PTH211, S108

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal

_LIBC = ctypes.CDLL(None, use_errno=True)
LINUX = sys.platform == "linux"
_NOBODY = 65534
_FIRST_UID = 1_900_000_000
"""Base of the user ids of programs, to which a process id is added (below 2 ** 22)."""

# <linux/prctl.h>, <linux/sched.h>, <linux/mount.h>, <linux/capability.h>, <linux/seccomp.h>
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _PR_SET_NO_NEW_PRIVS = 22, 2, 38
_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_MOUNT_ATTR_RO_NOSUID, _MOUNT_ATTR_NODEV = 3, 4
_SYS_LANDLOCK_RESTRICT_SELF = 446
_CAPABILITY_VERSION_3 = 0x20080522

_NAMESPACES = {
    "files": _CLONE_NEWNS,
    "network": _CLONE_NEWNET,
    "processes": _CLONE_NEWPID | _CLONE_NEWIPC,
}


def libc(function: str, *arguments: Any) -> None:
    """Call a function of the C library.

    Raises:
        OSError: the function did not return 0.
    """
    if getattr(_LIBC, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process."""
    libc("prctl", option, value, 0, 0, 0)


def unused_uid() -> int:
    """Return a user id for the program of this process that no other running program has.

    The kernel limits processes and threads per user, so a program with its own user cannot use up
    those of others; and it has no rights on processes of other users.
    """
    wanted = _FIRST_UID + os.getpid()
    try:
        with open("/proc/self/uid_map") as file:
            ranges = [tuple(map(int, line.split())) for line in file]
    except OSError:
        return wanted
    if any(first <= wanted < first + count for first, _, count in ranges):
        return wanted
    # A container with few user ids: use one of the last.
    first, _, count = max(ranges)
    return first + count - 1 - os.getpid() % max(count // 2, 1)


def leave_namespaces(job: dict[str, Any]) -> None:
    """Enter new namespaces, in which children are created, and mount the files they will see."""
    flags = 0
    for layer in job["layers"]:
        flags |= _NAMESPACES.get(layer, 0)
    if not flags:
        return
    uid, gid = os.geteuid(), os.getegid()
    # Root needs no user namespace, and can drop to another user only without one.
    libc("unshare", flags if uid == 0 else flags | _CLONE_NEWUSER)
    if uid != 0:
        for name, text in [
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ]:
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    if "files" in job["layers"]:
        _make_empty_root(job)


def _make_empty_root(job: dict[str, Any]) -> None:
    """Mount a root on the working folder: the libraries, read-only, and a `/tmp` of bounded size.

    It has no /proc, /run, /etc and /home, no device except the null device, and nothing to execute.
    The kernel creates no user namespace inside a chroot, and without capabilities there is no other
    way out.
    """
    root = os.getcwd()
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    os.mkdir(root + "/tmp")
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    size = f"size={job['file_bytes']},nr_inodes=1k,mode=1777"
    _mount("tmpfs", root + "/tmp", "tmpfs", flags, size)
    os.mkdir(root + "/dev")
    os.symlink("/tmp", root + "/dev/shm")  # the C library creates semaphores there
    os.close(os.open(root + "/dev/null", os.O_CREAT))
    _mount("/dev/null", root + "/dev/null", None, _MS_BIND)
    _make_read_only(root + "/dev/null", 0, also=0)  # a device can be written to nevertheless
    bound: list[str] = []
    for folder in job["libraries"]:
        if not folder.startswith(tuple(f"{b}/" for b in bound)):
            os.makedirs(root + folder, 0o755)
            _mount(folder, root + folder, None, _MS_BIND | _MS_REC)
            _make_read_only(root + folder, _AT_RECURSIVE)
            bound.append(folder)
    for folder in job["hidden"]:
        _mount(
            "tmpfs", root + folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=4k,nr_inodes=1,mode=755"
        )
        _make_read_only(root + folder, 0)
    _make_read_only(root, 0)


def _make_read_only(mount: str, flags: int, also: int = _MOUNT_ATTR_NODEV) -> None:
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RO_NOSUID | also, 0, 0, 0)
    libc(
        "syscall",
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(mount),
        ctypes.c_uint(flags),
        attributes,
        ctypes.c_size_t(len(attributes)),
    )


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    libc("mount", *texts, ctypes.c_ulong(flags), data.encode())


def confine(job: dict[str, Any]) -> None:
    """Apply the layers of the job to this process and its descendants."""
    layers = job["layers"]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.setpgid(0, 0)
    if "files" in layers:
        os.chroot(os.getcwd())  # by its path: "." is the folder below the mount
        os.chdir("/tmp")
    # Opened again: programs would share the flags and locks of an inherited descriptor.
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
    # The root has no /etc/passwd, where Python would look these up.
    os.environ.update(HOME=os.getcwd(), LOGNAME="nobody", USER="nobody")
    os.umask(0o077)
    if "user" in layers and os.geteuid() == 0:
        uid = job["uid"]
        if "files" not in layers:
            os.chown(".", uid, _NOBODY)
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(uid, uid, uid)
    if "limits" in layers:
        _set_limits(job)
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_DUMPABLE, 0)  # no other process can read the memory of this one
    if "privileges" in layers:
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        libc("capset", struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
    if "landlock" in layers:
        libc("syscall", ctypes.c_long(_SYS_LANDLOCK_RESTRICT_SELF), job["ruleset"], 0)
        os.close(job["ruleset"])
    if "system calls" in layers:
        _filter_system_calls(job["filter"])


def _filter_system_calls(program: bytes) -> None:
    """Install a BPF program, 8 bytes per instruction."""
    instructions = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(program) // 8, ctypes.addressof(instructions))
    libc("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0)


def _set_limits(job: dict[str, Any]) -> None:
    for name, value in [
        ("RLIMIT_CPU", job["cpu_seconds"]),
        ("RLIMIT_AS", job["memory_bytes"]),
        ("RLIMIT_FSIZE", job["file_bytes"]),
        ("RLIMIT_NOFILE", job["open_files"]),
        ("RLIMIT_NPROC", job["processes"]),
        ("RLIMIT_CORE", 0),
    ]:
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        new = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (new, new))
