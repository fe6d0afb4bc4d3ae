"""Runs one program under limits. `process.py` starts it in a fresh `python -I -S`.

It is started for every program, so what it imports is chosen for the time that takes: `typing` and
`signal` (which builds enums) would each add a quarter to the start of the interpreter.

Two processes share the work. This one, the *supervisor*, never runs a line of the program: it
leaves for new namespaces, forks, keeps the wall clock, kills what is left, and says how the fork
ended. The fork gives up what it can give up, runs the program, and writes the nonce when the
program has come to its end.

Standard input carries the length of the job (4 bytes), the job (marshalled, see `process.py`) and
the nonce. Standard output carries one line: `fault REASON`, or
`ended WAIT_STATUS CPU_SECONDS OUT_OF_TIME REPORTED_HEX`.
"""

# pathlib and contextlib take time to import; exec, marshal and /tmp are what this file is about.
# ruff: noqa: PTH102, PTH103, PTH109, PTH112, PTH123, S102, S108, S302, SIM105

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import CodeType
    from typing import Any, NoReturn
else:
    import _signal as signal

_LIBC = ctypes.CDLL(None, use_errno=True)
_LINUX = sys.platform == "linux"
_NOBODY = 65534
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo")

# <linux/prctl.h>, <linux/sched.h>, <linux/mount.h>, <linux/capability.h>
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 1 << 12, 1 << 14, 1 << 18
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RO_NOSUID_NODEV = 442, -100, 0x8000, 7
_CAPABILITY_VERSION_3 = 0x20080522

_NAMESPACES = {
    "files": _CLONE_NEWNS,
    "network": _CLONE_NEWNET,
    "processes": _CLONE_NEWPID | _CLONE_NEWIPC,
}


def main() -> None:
    """Read a job, run it, say how it ended."""
    job: dict[str, Any] = marshal.loads(_read(int.from_bytes(_read(4), "big")))
    try:
        _say(_Supervisor(job).run())
    except OSError as error:
        _say(f"fault {error}")


def _read(size: int) -> bytes:
    """Exactly `size` bytes of standard input: what follows them is for somebody else."""
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _say(line: str) -> None:
    os.write(1, line.replace("\n", " ").encode("utf-8", "replace"))


def _libc(function: str, *arguments: Any) -> None:
    if getattr(_LIBC, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


# ---- the supervisor ----


class _Supervisor:
    """Forks, waits, kills."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._child = 0
        self._ended_by: list[int] = []

    def run(self) -> str:
        """Run the program and say how it ended; nothing of it is left when this returns."""
        reported, report = os.pipe()
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGALRM, self._end)
        _leave_namespaces(self._job["layers"])
        _guard_supervisor()
        self._child = os.fork()
        if self._child == 0:
            os.close(reported)
            _run(self._job, report)
        os.close(0)
        os.close(report)
        status, cpu_seconds = self._wait()
        _kill_descendants(self._child)
        return self._ending(status, cpu_seconds, _reported(reported))

    def _end(self, number: int, frame: object) -> None:
        self._ended_by.append(number)
        if self._child:
            _kill(os.kill, self._child)

    def _wait(self) -> tuple[int, float]:
        if self._ended_by:  # between the start and the fork
            _kill(os.kill, self._child)
        signal.setitimer(signal.ITIMER_REAL, self._job["wall_seconds"])
        _, status, usage = os.wait4(self._child, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return status, usage.ru_utime + usage.ru_stime

    def _ending(self, status: int, cpu_seconds: float, text: bytes) -> str:
        # The mark is written before the program's first line runs, so no program can fake a fault.
        if not text.startswith(b"+"):
            reason = text[1:].decode("utf-8", "replace") or "it was killed before its start"
            return f"fault {reason}"
        out_of_time = int(signal.SIGALRM in self._ended_by)
        return f"ended {status} {cpu_seconds:.3f} {out_of_time} {text[1:].hex()}"


def _leave_namespaces(layers: list[str]) -> None:
    flags = 0
    for layer in layers:
        flags |= _NAMESPACES.get(layer, 0)
    if not flags:
        return
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        # Root needs no user namespace, and without one it can become nobody afterwards.
        _libc("unshare", flags)
        return
    _libc("unshare", flags | _CLONE_NEWUSER)
    for name, text in [
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ]:
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _guard_supervisor() -> None:
    if not _LINUX:
        return
    _libc("prctl", _PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # Of processes that the program started and left, the supervisor becomes the parent.
    _libc("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Where the program runs as the same user, it must not attach to its supervisor.
    _libc("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)


def _reported(reported: int) -> bytes:
    """What the fork wrote, as far as it matters: descendants may have filled the pipe."""
    os.set_blocking(reported, False)
    try:
        return os.read(reported, 1024)
    except BlockingIOError:
        return b""


def _kill(how: Callable[[int, int], None], number: int) -> None:
    try:
        how(number, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _kill_descendants(child: int) -> None:
    """Kill whatever the program left running, round after round until nothing is left."""
    _kill(os.killpg, child)
    while True:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                children = [int(pid) for pid in file.read().split()]
        except OSError:
            children = []
        for pid in children:
            _kill(os.kill, pid)
        try:
            # Waits where there is something to wait for, so that the rounds end when the dead do.
            if os.waitpid(-1, 0 if children else os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


# ---- the process that runs the program ----


def _run(job: dict[str, Any], report: int) -> NoReturn:
    try:
        _confine(job)
        os.write(report, b"+")
    except BaseException as error:
        os.write(report, f"!{error}".encode("utf-8", "replace"))
        os._exit(1)
    try:
        module = type(sys)("program")
        sys.modules["program"] = sys.modules["__main__"] = module
        code, namespace = _compile(job["program"]), vars(module)
        # The nonce is read before the program runs, from a pipe that is closed by then, and stands
        # on this frame's evaluation stack alone: no variable of any frame holds it. It is written
        # only if exec() returns: not after an exception, sys.exit() or os._exit().
        os.write(report, (_take(job["nonce_bytes"]), exec(code, namespace))[0])  # type: ignore[func-returns-value]
        os._exit(0)
    finally:
        os._exit(1)


def _compile(program: bytes) -> CodeType:
    return compile(program.decode("utf-8"), "<program>", "exec", dont_inherit=True)


def _take(nonce_bytes: int) -> bytes:
    nonce = _read(nonce_bytes)
    os.dup2(2, 0)  # the null device
    return nonce


def _confine(job: dict[str, Any]) -> None:
    layers = job["layers"]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.setpgid(0, 0)
    os.dup2(2, 1)
    if "files" in layers:
        _enter_empty_root(job["file_bytes"])
    os.umask(0o077)
    if "user" in layers and os.geteuid() == 0:
        if "files" not in layers:
            os.chown(".", _NOBODY, _NOBODY)
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    if "limits" in layers:
        _set_limits(job)
    if _LINUX:
        _libc("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if "privileges" in layers:
        _libc("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _libc("capset", struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


def _enter_empty_root(size: int) -> None:
    """Make the working folder the root: the libraries read-only, `/tmp` of `size` bytes, no more.

    No /proc, /dev, /run, /etc or /home, and no program to execute. Inside a chroot the kernel makes
    no user namespace, and without capabilities there is no other way out.
    """
    root = os.getcwd()
    folders = {*_LIBRARIES, sys.base_prefix + "/lib", sys.base_exec_prefix + "/lib", *sys.path}
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    os.mkdir(root + "/tmp")
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("tmpfs", root + "/tmp", "tmpfs", flags, f"size={size},nr_inodes=1k,mode=1777")
    bound: list[str] = []
    for folder in sorted(folders):
        if os.path.isdir(folder) and not folder.startswith(tuple(f"{b}/" for b in bound)):
            os.makedirs(root + folder, 0o755)
            _mount(folder, root + folder, None, _MS_BIND | _MS_REC)
            _make_read_only(root + folder, _AT_RECURSIVE)
            bound.append(folder)
    _make_read_only(root, 0)
    os.chroot(root)
    os.chdir("/tmp")


def _make_read_only(mount: str, flags: int) -> None:
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RO_NOSUID_NODEV, 0, 0, 0)
    _libc(
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
    _libc("mount", *texts, ctypes.c_ulong(flags), data.encode())


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
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (most, most))
