#!/usr/bin/env python3
"""Prints .cargo/launch.ld anew: the functions that launches run, for the linker to lay side by side.

    cargo build --release --target x86_64-unknown-linux-musl
    python3 benches/order.py target/x86_64-unknown-linux-musl/release/seclude > launch.ld && mv launch.ld .cargo/

Takes root and nm(1). What another compiler names otherwise is as right behind the others, and only farther away.
"""

import bisect
import ctypes
import os
import re
import signal
import subprocess
import sys
from itertools import product

# Who launches what: root, and a plain user.
PLAIN = 61234
LAUNCHES = [
    (0, "-q --exec --user 65534:65534 /bin/true"),
    *product(
        (0, PLAIN),
        (
            "-q --unshare user --user 0:0 /bin/true",
            "-q --unshare user,pid,mount,uts,ipc --user 0:0 --mount-proc --as-pid1 /bin/true",
            "-q --unshare user,pid,mount,uts,ipc,net --user 0:0 --mount-proc /bin/true",
            "--unshare user --user 0:0 /bin/true",
        ),
    ),
]
HEAD = """\
/* What each launch runs, side by side: of a file the kernel maps 16 pages where one is touched, and takes them all back at
 * the end. Printed by benches/order.py; whatever has another name one day lies behind it, and is as right there.
 */
SECTIONS
{
  .text.launch :
  {
    *crt1.o(.text .text.*)
    *libc.a:mem*(.text .text.*)
    *libc.a:*clone*(.text .text.*)
    *libc.a:*set_thread_area*(.text .text.*)
    *(.rodata.cst*)
"""
TAIL = """\
  }
}
INSERT BEFORE .text;
SECTIONS
{
  .bss.heap (NOLOAD) : { *(.bss._RNvCs*_7seclude4HEAP) }
}
INSERT AFTER .bss;
"""

# ptrace(2) on this machine, with where it tells the next instruction and the system call.
TRACEME, PEEKUSER, SINGLESTEP, DETACH, SETOPTIONS = 0, 3, 9, 17, 0x4200
TRACE_FORK, TRACE_VFORK, TRACE_CLONE, TRACE_EXEC, EXITKILL = 2, 4, 8, 16, 1 << 20
EXECUTED, WALL = 4, 0x40000000
RIP, ORIG_RAX = 16 * 8, 15 * 8
# What a launcher does as it begins to wait: see src/sys/text.rs.
MADVISE = 28
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.restype, ptrace.argtypes = ctypes.c_long, [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def executed(program, user, launch):
    """The addresses of the instructions that the processes of a launch execute, each until it executes another program.

    With each, whether it is executed while the launcher waits, or by another of its processes.
    """
    first = os.fork()
    if first == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        os.setgroups([]), os.setresgid(user, user, user), os.setresuid(user, user, user)
        ptrace(TRACEME, 0, None, None)
        os.execv(program, [program, *launch.split()])
    os.waitpid(first, 0)
    ptrace(SETOPTIONS, first, None, TRACE_FORK | TRACE_VFORK | TRACE_CLONE | TRACE_EXEC | EXITKILL)
    ptrace(SINGLESTEP, first, None, None)
    addresses, gone, waits = set(), False, False
    while not gone:
        process, status = os.waitpid(-1, WALL)
        event, stop = status >> 16, os.WSTOPSIG(status)
        if not os.WIFSTOPPED(status):
            gone = process == first
        elif event == EXECUTED:
            # It is another program, and goes its way.
            ptrace(DETACH, process, None, None)
        else:
            waits = waits or process == first and ptrace(PEEKUSER, process, ORIG_RAX, None) == MADVISE
            addresses.add((ptrace(PEEKUSER, process, RIP, None), waits or process != first))
            ptrace(SINGLESTEP, process, None, stop if stop not in (signal.SIGTRAP, signal.SIGSTOP) else None)
    return addresses


def functions(program):
    """Start, end and name of each function."""
    table = subprocess.run(["nm", "-S", "--defined-only", program], check=True, capture_output=True, text=True)
    for line in table.stdout.splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tTwW":
            start, size = int(words[0], 16), int(words[1], 16)
            yield start, start + size, words[3]


def pattern(name):
    """A name without what tells one compilation from another."""
    return re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", re.sub(r"17h[0-9a-f]{16}E.*", "17h*", name))


def main(program):
    table, launches, waiting = list(functions(program)), {}, set()
    for number, (user, launch) in enumerate(LAUNCHES):
        steps = sorted(executed(program, user, launch))
        for start, end, name in table:
            run = steps[bisect.bisect_left(steps, (start, False)) : bisect.bisect_left(steps, (end, False))]
            if run:
                launches.setdefault(pattern(name), set()).add(number)
            if any(waits for _, waits in run):
                waiting.add(pattern(name))
    # First what stays while it waits, then what most launches run.
    place = lambda name: (name not in waiting, -len(launches[name]), sorted(launches[name]), name)
    rows = "".join(f"    *(.text.{name} .text.unlikely.{name} .rodata.{name})\n" for name in sorted(launches, key=place))
    sys.stdout.write(HEAD + rows + TAIL)


if __name__ == "__main__":
    main(sys.argv[1])
