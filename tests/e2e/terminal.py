#!/usr/bin/env python3
"""The terminal is the console: raw while the guest runs, as it was afterwards; what is typed is in the log."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import harness
from harness import (CLOUD, GUEST, HOST_ERROR, INITRD, NOTESTS, OK, TRIPLE_FAULT, USAGE, assemble, case, check, check_equal,
                     flat, need, sim, temporary, verify)

STATUS_LINE = re.compile(rb"\d+\.\d{3} s  \d+ Mcycles  \d+ MIPS")


class Terminal:
    """sim with a pseudo-terminal of 24 rows for standard input, and for output and errors unless told otherwise."""

    def __init__(self, *arguments, **streams):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen([harness.binary("release"), *map(str, arguments)], cwd=harness.ROOT,
                                        stdin=self.slave, stdout=streams.get("stdout", self.slave),
                                        stderr=streams.get("stderr", self.slave), start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.seen += os.read(self.master, 65536)
        return bool(ready)

    def expect(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.seen:
            check(time.monotonic() < end, f"waited for {text}, saw {self.seen!r}")
            check(self.read(0.2) or self.process.poll() is None, f"ended before {text}: {self.seen!r}")
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def type(self, data):
        os.write(self.master, data)

    def check_raw(self):
        local = termios.tcgetattr(self.slave)[3]
        check(not local & (termios.ECHO | termios.ICANON | termios.ISIG), f"the terminal is not raw: {local:o}")

    def ends(self, status):
        """Waits for the end; the terminal is as it was before."""
        end = time.monotonic() + 60
        while self.process.poll() is None:
            check(time.monotonic() < end, f"does not end: {self.seen!r}")
            self.read(0.1)
        while self.read(0):
            pass
        check_equal(self.process.returncode, status, f"status ({self.seen!r})")
        check_equal(termios.tcgetattr(self.slave), self.before, "the terminal's mode")
        os.close(self.slave)
        os.close(self.master)


def letters(log, *options, **streams):
    """A recording on a terminal, at its prompt."""
    terminal = Terminal("record", "-o", log, "--force", *flat(assemble("letters")), *options, **streams)
    if "stdout" not in streams:
        terminal.expect(b"letters> ")
        terminal.check_raw()
    return terminal


@case
def quits():
    """Ctrl-A x quits, Ctrl-A twice types one, Ctrl-C is the guest's."""
    log = temporary("quit.mp")
    terminal = letters(log)
    terminal.type(b"w")
    terminal.expect(b"w\r\nletters> ")
    terminal.type(b"\x01\x01")
    terminal.expect(b"\x01")
    terminal.type(b"\x03\x1a\x1c")
    terminal.expect(b"\x03\x1a\x1c")
    terminal.type(b"\x01qw")
    terminal.expect(b"w\r\nletters> ")
    terminal.type(b"\x01x")
    terminal.expect(b"the user quit")
    terminal.ends(OK)
    verify(log)
    text = sim("log", log).out
    for byte in b'"w"', b"\\x01", b"\\x03\\x1a\\x1c":
        check(byte in text or byte.replace(b"\\x", b"\\u00") in text, f"what was typed, {byte}, is not in\n{text.decode()}")


@case
def guest_ends():
    for typed, status in [(b"p", OK), (b"t", TRIPLE_FAULT), (b"x\x07", GUEST + 7)]:
        log = temporary("ends.mp")
        terminal = letters(log)
        terminal.type(typed)
        terminal.ends(status)
        verify(log)


@case
def signals():
    """Signals that ask end the run in order; the ones that kill leave the terminal as it was, too."""
    for number in signal.SIGTERM, signal.SIGHUP, signal.SIGINT:
        log = temporary("signal.mp")
        terminal = letters(log)
        terminal.process.send_signal(number)
        terminal.ends(HOST_ERROR)
        verify(log)
    for number in signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV:
        log = temporary("signal.mp")
        terminal = letters(log)
        terminal.process.send_signal(number)
        terminal.ends(-number)
        verify(log, status=harness.INCOMPLETE)


@case
def on_kvm():
    """The same with the processor on KVM, whose watchdog has signals of its own: typing, quitting, being killed."""
    if sim("host", "--quiet", status=None).status:
        raise harness.Skip("this host has no KVM for sim (sim host says why)")
    kvm = ["--backend", "kvm", "--quiet"]
    terminal = letters(temporary("kvm.mp"), *kvm)
    terminal.type(b"w")
    terminal.expect(b"w\r\nletters> ")
    terminal.type(b"\x01x")
    terminal.ends(OK)
    for number, status in [(signal.SIGTERM, HOST_ERROR), (signal.SIGHUP, HOST_ERROR), (signal.SIGSEGV, -signal.SIGSEGV)]:
        terminal = letters(temporary("kvm.mp"), *kvm)
        terminal.type(b"s")  # spins, and never leaves KVM by itself
        terminal.expect(b"s")
        terminal.process.send_signal(number)
        terminal.ends(status)


@case
def hangs_up():
    """The terminal goes away under the run."""
    log = temporary("hangup.mp")
    terminal = letters(log)
    os.close(terminal.slave)
    os.close(terminal.master)
    status = terminal.process.wait(timeout=60)  # SIGHUP and the end of the input come in any order
    check(status in (HOST_ERROR, harness.IDLE), f"status {status} after the terminal hung up")
    verify(log)


@case
def mistakes():
    """What ends before it begins does not touch the terminal."""
    for arguments, status in [(["run"], USAGE), (["run", "--kernel", temporary("nothing")], harness.BAD_INPUT)]:
        terminal = Terminal(*arguments)
        terminal.ends(status)
        check(b"\x1b" not in terminal.seen, f"escape sequences in {terminal.seen!r}")
    log = temporary("there.mp")
    with open(log, "wb") as file:
        file.write(b"x")
    terminal = Terminal("record", "-o", log, *flat(assemble("letters")))
    terminal.ends(USAGE)


@case
def status_line():
    """On a terminal, and nowhere else."""
    log = temporary("spin.mp")
    terminal = letters(log)
    terminal.type(b"s")
    end = time.monotonic() + 30
    while not STATUS_LINE.search(terminal.seen):
        check(time.monotonic() < end, f"no status line in {terminal.seen!r}")
        terminal.read(0.1)
    terminal.type(b"\x01x")
    terminal.ends(OK)
    check(terminal.seen.rstrip().endswith(b"marks") or b"marks\r\n" in terminal.seen, f"no summary: {terminal.seen!r}")
    # errors to the terminal, the console to a pipe: clean text on the pipe
    dialogue = temporary("dialogue")
    with open(dialogue, "w", encoding="ascii") as file:
        file.write('expect "letters> "\nsend "wws"\n')
    limits = ["--expect", dialogue, "--max-cycles", "100000000"]
    read, write = os.pipe()
    terminal = letters(log, *limits, stdout=write)
    os.close(write)
    terminal.ends(harness.LIMIT)
    with os.fdopen(read, "rb") as pipe:
        check_equal(pipe.read(), b"\r\nletters> w\r\nletters> w\r\nletters> s", "the console on a pipe")
    # nothing is a terminal: no control characters in the summary
    result = sim("run", *flat(assemble("letters")), *limits, status=harness.LIMIT)
    check("\x1b" not in result.err and "\r" not in result.err and not STATUS_LINE.search(result.err.encode()),
          f"a status line off the terminal:\n{result}")
    check_equal(result.out, b"\r\nletters> w\r\nletters> w\r\nletters> s", "the console on a pipe")
    # --quiet
    terminal = Terminal("run", "--quiet", *flat(assemble("letters")), *limits)
    terminal.ends(harness.LIMIT)
    check_equal(terminal.seen, b"\r\nletters> w\r\nletters> w\r\nletters> s", "--quiet on a terminal")
    # a replay says how far it is
    limits[-1] = "300000000"
    sim("record", "--force", "-o", log, *flat(assemble("letters")), *limits, status=harness.LIMIT)
    terminal = Terminal("replay", "--verify", log)
    terminal.ends(OK)
    shares = [int(share) for share in re.findall(rb"marks  (\d+)%", terminal.seen)]
    check(shares and shares == sorted(shares) and shares[-1] <= 100, f"no progress: {terminal.seen!r}")


@case
def replays():
    """A replay takes nothing from the terminal and leaves it alone."""
    log = temporary("typed.mp")
    terminal = letters(log)
    terminal.type(b"wwp")
    terminal.ends(OK)
    terminal = Terminal("replay", log)
    terminal.type(b"ttt")
    terminal.ends(OK)
    check(b"letters> p" in terminal.seen and b"verified" in terminal.seen, f"not replayed: {terminal.seen!r}")
    terminal = Terminal("replay", log, "--verify")
    terminal.ends(OK)
    check(b"letters>" not in terminal.seen, f"--verify shows the console: {terminal.seen!r}")


@case
def linux():
    """A person at Debian's shell; the time between keystrokes is in the recording, too."""
    need(CLOUD, INITRD)
    log = temporary("linux.mp")
    terminal = Terminal("record", "-o", log, "--kernel", CLOUD, "--initrd", INITRD, "--cmdline", NOTESTS + " quiet",
                        "--seed", 1, stderr=subprocess.DEVNULL)
    terminal.expect(b"sim# ", 120)
    for byte in b"echo $((6 * 7))x\r":
        terminal.type(bytes([byte]))
        time.sleep(0.03)
    terminal.expect(b"42x\r\n")
    terminal.expect(b"sim# ")
    terminal.type(b"sleep 1; poweroff\r")
    terminal.expect(b"reboot: Power down")
    terminal.ends(OK)
    result = verify(log)
    check("verified: " in result.err, f"not verified:\n{result}")


if __name__ == "__main__":
    harness.main()
