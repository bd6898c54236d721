#!/usr/bin/env python3
"""Prints .cargo/launch.ld anew: the functions that launches run, for the linker to lay side by side.

    cargo build --release --target x86_64-unknown-linux-musl
    python3 benches/order.py target/x86_64-unknown-linux-musl/release/seclude > launch.ld && mv launch.ld .cargo/

Takes root, valgrind and nm(1). What another compiler names otherwise is as right behind the others, and only farther away.
"""

import bisect
import pathlib
import re
import subprocess
import sys
import tempfile

LAUNCHES = [
    "-q --exec --user 65534:65534 /bin/true",
    "-q --unshare user --user 0:0 /bin/true",
    "-q --unshare user,pid,mount,uts,ipc --user 0:0 --mount-proc --as-pid1 /bin/true",
    "-q --unshare user,pid,mount,uts,ipc,net --user 0:0 --mount-proc /bin/true",
    "--unshare user --user 0:0 /bin/true",
]
# What runs where valgrind does not come: parts of names.
UNSEEN = ["6launch5child", "6launch4init", "8launched"]
# What a launcher that waits comes by until its end, and the child that may share its memory: parts of names, and of the C
# library's the whole. It keeps them, while it waits, and gives back what lies behind: see src/sys/text.rs.
WAITING = ["6attend17", "9supervise5watch", "3nix4poll", "6launch4init", "6launch5child", "3sys13close_all_but", "3sys7signals"]
WAITING += ["3sys8children", "8launched", "9handshake", "6launch4life", "6socket7recvmsg", "pidfile..PidFile", "Report5ended"]
WAITING += ["3sys4heap", "post..Post", "15RawVecInner", "3sys5clone", "persist..Kept", "seclude8terminal"]
WAITING_C = ["recvmsg", "recv", "recvfrom", "close", "poll", "sccp", "__syscall_cp", "__syscall_ret", "syscall", "clone"]
HEAD = """\
/* What each launch runs, side by side: of a file the kernel maps 16 pages where one is touched, and takes them all back at
 * the end. Printed by benches/order.py; whatever has another name one day lies behind it, and is as right there.
 */
SECTIONS
{
  .text.launch :
  {
    *libc.a:mem*(.text .text.*)
    *libc.a:*clone*(.text .text.*)
"""
TAIL = "  }\n}\nINSERT BEFORE .text;\n"


def executed(program, launch):
    """The addresses of the instructions that all processes of a launch have executed."""
    with tempfile.TemporaryDirectory() as scratch:
        out = f"--callgrind-out-file={scratch}/%p"
        line = ["valgrind", "--tool=callgrind", "--dump-instr=yes", out, program, *launch.split()]
        # valgrind lets no child share its parent's memory, and the launch fails there.
        subprocess.run(line, check=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for file in pathlib.Path(scratch).iterdir():
            address = 0
            for number in re.findall(r"(?m)^(0x[0-9a-f]+|[+-]\d+) ", file.read_text()):
                address = int(number, 16) if number.startswith("0x") else address + int(number)
                yield address


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


def place(name):
    """Of closures that share a name all come, so they come last."""
    waits = name in WAITING_C or any(part in name for part in WAITING)
    return not waits, "FnOnce9call_once" in name, name


def main(program):
    steps = sorted({address for launch in LAUNCHES for address in executed(program, launch)})
    first = lambda start: next(iter(steps[bisect.bisect_left(steps, start):][:1]), start - 1)
    runs = lambda start, end, name: start <= first(start) < end or any(part in name for part in UNSEEN)
    names = {pattern(name) for start, end, name in functions(program) if runs(start, end, name)}
    rows = "".join(f"    *(.text.{name} .rodata.{name})\n" for name in sorted(names, key=place))
    sys.stdout.write(HEAD + rows + TAIL)


if __name__ == "__main__":
    main(sys.argv[1])
