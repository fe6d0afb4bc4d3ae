"""Correct programs that use unusual parts of the standard library; none may fail."""

from __future__ import annotations

import os

import pytest

from erasetest.utility.sandbox import (
    Attempt,
    Limits,
    Outcome,
    Program,
    process,
    run_programs,
    sandbox_layers,
)
from erasetest.utility.sandbox.process import ProcessRunner

needs_files = pytest.mark.skipif(
    "files" not in sandbox_layers(), reason="without the layer 'files', programs write no files"
)

CORRECT = {
    "a lock between processes": """
import multiprocessing as m
l=m.Lock()
with l: pass
""",
    "a value between processes": """
import multiprocessing as m
v=m.Value('i',3)
with v.get_lock(): v.value+=1
assert v.value==4
""",
    "an array between processes": """
import multiprocessing as m
v=m.Array('d',3)
v[0]=2.5
assert list(v)==[2.5,0,0]
""",
    "a simple queue between processes": """
import multiprocessing as m
q=m.SimpleQueue()
q.put(1)
assert q.get()==1
""",
    "a queue between processes": """
import multiprocessing as m
q=m.Queue()
q.put(1)
assert q.get()==1
""",
    "a semaphore": """
import multiprocessing as m
q=m.Semaphore(2)
assert q.acquire()
""",
    "an event": """
import multiprocessing as m
q=m.Event()
q.set()
assert q.is_set()
""",
    "a lock that its owner may take again": """
import multiprocessing as m
q=m.RLock()
with q: pass
""",
    "a pool of threads, as of processes": """
import multiprocessing.dummy as d
with d.Pool(4) as p: assert p.map(abs,[-1,2])==[1,2]
""",
    "an executor of threads": """
from concurrent.futures import ThreadPoolExecutor as T
with T(8) as p: assert list(p.map(abs,[-1,2]))==[1,2]
""",
    "a copied file": """
import shutil
open('a','w').write('x')
shutil.copy2('a','b')
assert open('b').read()=='x'
""",
    "a copied folder": """
import shutil,os
os.mkdir('d')
open('d/a','w').write('x')
shutil.copytree('d','e')
assert open('e/a').read()=='x'
""",
    "copied times and modes": """
import shutil
open('a','w').close();open('b','w').close();shutil.copystat('a','b')
""",
    "a moved file": """
import shutil
open('a','w').write('x')
shutil.move('a','c')
""",
    "the home folder": """
from pathlib import Path
assert Path.home().is_dir()
assert Path('~').expanduser().is_dir()
""",
    "the name of the user": """
import getpass
assert getpass.getuser()
""",
    "a temporary folder": """
import tempfile
with tempfile.TemporaryDirectory() as d: open(d+'/x','w').write('1')
""",
    "an event loop": """
import asyncio
async def f():
    await asyncio.sleep(0.01)
    return 3
assert asyncio.run(f())==3
""",
    "options of a pair of sockets": """
import socket
a,b=socket.socketpair()
a.settimeout(1)
a.send(b'x')
assert b.recv(1)==b'x'
a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
a.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
""",
    "a database": """
import sqlite3
c=sqlite3.connect('db.sqlite')
c.execute('create table t(a)')
c.execute('insert into t values(1)')
c.commit()
assert c.execute('select a from t').fetchone()==(1,)
""",
    "a dbm file": """
import dbm
with dbm.open('x','c') as d: d['a']='b'
""",
    "a shelf": """
import shelve
with shelve.open('x') as d: d['a']=[1]
""",
    "a zip file": """
import zipfile
with zipfile.ZipFile('a.zip','w') as z: z.writestr('x','y')
""",
    "a tar file": """
import tarfile
open('f','w').write('x')
with tarfile.open('a.tar.gz','w:gz') as t: t.add('f')
with tarfile.open('a.tar.gz') as t: t.extractall('o', filter='data')
""",
    "links to its own files": """
import os
open('a','w').close()
os.link('a','b')
os.symlink('a','c')
""",
    "unique ids": """
import uuid
uuid.uuid4()
uuid.uuid1()
""",
    "the name of the machine": """
import socket, platform
socket.gethostname()
platform.platform()
""",
    "the number of processors": """
import os
assert os.cpu_count()>0
""",
    "a locale": """
import locale
locale.setlocale(locale.LC_ALL,'')
locale.getlocale()
""",
    "a time zone": """
from zoneinfo import ZoneInfo
ZoneInfo('Europe/Berlin')
""",
    "markup": """
import email.message, html, xml.etree.ElementTree as E
E.fromstring('<a/>')
""",
    "many digits": """
from decimal import *
getcontext().prec=50
assert str(Decimal(1)/3)[:4]=='0.33'
""",
    "an alarm": """
import signal
signal.signal(signal.SIGALRM, lambda *a: None)
signal.alarm(1)
signal.alarm(0)
""",
    "anonymous memory": """
import mmap
m=mmap.mmap(-1,4096)
m[0]=1
""",
    "a log file": """
import logging, logging.handlers
logging.basicConfig(filename='x.log')
logging.warning('a')
""",
    "eight threads and a queue": """
import queue, threading
q=queue.Queue()
ts=[threading.Thread(target=q.put,args=(i,)) for i in range(8)]
[t.start() for t in ts];[t.join() for t in ts]
assert q.qsize()==8
""",
    "its own usage": """
import resource
resource.getrusage(resource.RUSAGE_SELF)
""",
    "folders and files": """
from pathlib import Path
Path('a/b').mkdir(parents=True)
Path('a/b/c.txt').write_text('x')
assert list(Path('.').rglob('*.txt'))
""",
    "clocks": """
import time
time.strftime('%c')
time.localtime()
time.perf_counter()
time.sleep(0.01)
""",
    "a file cut short and renamed": """
f=open('a','w+')
f.write('xyz')
f.flush()
f.truncate(1)
f.close()
import os
os.utime('a')
os.replace('a','b')
""",
    "the null device": """
import os
open(os.devnull,'w').write('x')
""",
    "a lock on a file": """
import fcntl
f=open('x','w')
fcntl.flock(f, fcntl.LOCK_EX)
""",
    "a function of the C library": """
import ctypes
ctypes.CDLL(None).strlen(b'abc')==3
""",
    "empty input": """
import sys
assert sys.stdin.read()==''
""",
    "output": """
import sys
sys.stdout.flush()
print('x', file=sys.stderr)
""",
    "captured output": """
import io, contextlib
b=io.StringIO()
with contextlib.redirect_stdout(b): print('x')
assert b.getvalue()=='x\\n'
""",
}  # fmt: skip


@needs_files
def test_correct_programs_pass() -> None:
    """Whatever they use of the library, as long as it needs no other process."""
    attempts = run_programs([Program(code) for code in CORRECT.values()])
    failed = [n for n, each in zip(CORRECT, attempts, strict=True) if each.outcome is not PASSED]
    assert failed == []


PASSED, FAILED = Outcome.PASSED, Outcome.FAILED

HOLDS_THREADS = """
import threading, time
threading.stack_size(1 << 16)
for _ in range(200):
    try: threading.Thread(target=time.sleep, args=(1.5,), daemon=True).start()
    except RuntimeError: break
time.sleep(1.5)
"""
EIGHT_THREADS = """
import threading
barrier = threading.Barrier(9)
threads = [threading.Thread(target=barrier.wait, args=(2,)) for _ in range(8)]
for each in threads: each.start()
barrier.wait(2)
"""


@pytest.mark.skipif(
    os.geteuid() == 0 and "user" not in sandbox_layers(), reason="root is not counted"
)
def test_threads_of_others_take_none_away() -> None:
    """Other programs get their threads beside three that use all they can get."""
    hold = [Program(HOLDS_THREADS + f"n = {i}") for i in range(3)]
    need = [Program(EIGHT_THREADS + f"n = {i}") for i in range(6)]
    attempts = run_programs(hold + need, workers=4)
    assert [each.outcome for each in attempts[3:]] == [PASSED] * 6


def test_where_programs_share_a_limit_failures_are_run_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For an ordinary user without namespaces, programs share the limit on threads."""
    monkeypatch.setattr(process, "_shares_its_user", lambda layers: True)
    runs: list[Attempt] = []
    original = ProcessRunner.run

    def counted(self: ProcessRunner, program: Program) -> Attempt:
        runs.append(original(self, program))
        return runs[-1]

    monkeypatch.setattr(ProcessRunner, "run", counted)
    (attempt,) = run_programs([Program("assert False")], workers=2)
    assert (attempt.outcome, len(runs)) == (FAILED, 2)
    run_programs([Program("assert False")], workers=1)
    assert len(runs) == 3, "alone there is nobody to share with"


@pytest.mark.skipif("system calls" not in sandbox_layers(), reason="no filter of system calls")
def test_options_of_sockets_are_a_closed_list() -> None:
    """No program attaches a filter, which the kernel would compile, or reads one back."""
    code = """
import ctypes, socket, struct
one, other = socket.socketpair()
instruction = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
filter = struct.pack("HP", 1, ctypes.addressof(instruction))
refused = 0
for level in (socket.SOL_SOCKET, 0, 6, 41):
    for option in (26, 27, 50, 51, 52, 15, 36, 77):
        for call in (lambda: one.setsockopt(level, option, filter),
                     lambda: one.getsockopt(level, option, 64)):
            try: call()
            except PermissionError: refused += 1
assert refused == 64, refused
before = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
assert one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before
"""
    with ProcessRunner(Limits(), sandbox_layers()) as runner:
        assert runner.run(Program(code)).outcome is PASSED
