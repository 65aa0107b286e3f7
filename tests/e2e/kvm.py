#!/usr/bin/env python3
"""--backend kvm: the same machine with its processor on /dev/kvm. Guests end as on the interpreter, or KVM's reason is told."""
import os
import re
import signal
import subprocess

import harness
from harness import (BACKEND, BAD_INPUT, GUEST, HOST_ERROR, IDLE, LIMIT, OK, RESET, ROOT, TRIPLE_FAULT, USAGE, Skip, assemble,
                     case, check, check_equal, flat, one_line, record, sim, temporary)

KVM = ["--backend", "kvm"]


def need_kvm():
    """What sim host says of this host."""
    result = sim("host", status=None)
    if result.status:
        raise Skip("this host has no KVM for sim (sim host says why)")
    return result.out.decode()


def asm(name):
    path = f"build/release/tests/asm/{name}.bin"
    harness.need(path)
    return path


def types(text):
    path = temporary("dialogue-" + text)
    with open(path, "w", encoding="ascii") as file:
        file.write(f'expect "letters> "\nsend "{text}"\n')
    return ["--expect", path]


@case
def endings():
    """Ports, the console in both directions, HLT with and without an interrupt to come, limits, resets, shutdown."""
    need_kvm()
    letters = flat(assemble("letters"))
    for text, status, why, console in [
            ("wwp", OK, "the guest powered off", b"letters> w\r\nletters> w\r\nletters> p"),
            ("xA", GUEST + 1, "the guest wrote 65 to the debug-exit port", b"letters> xA"),
            ("t", TRIPLE_FAULT, "the guest ended in a triple fault", b"letters> t"),
            ("h", IDLE, "the guest halted, and nothing can wake it", b"letters> h"),
            ("w", IDLE, "the guest halted, and nothing can wake it", b"letters> w\r\nletters>"),
            ("i", IDLE, "the guest only idled for 1 virtual seconds", b"letters> i"),
            ("s", LIMIT, "the limit of --max-cycles was reached", b"letters> s"),
            ("r", RESET, "the guest reset the machine", b"letters> r")]:
        result = sim("run", *letters, *types(text), *KVM, "--idle-limit", 1, "--max-cycles", "3G", status=status)
        check(f"sim: {why}" in result.err, f"expected the reason '{why}' of\n{result}")
        check_equal(result.out.strip(), console, "console")


@case
def guests():
    """Test guests that even a software emulator of CPL 0 knows, and a Multiboot kernel, end well."""
    need_kvm()
    for name in ["smoke", "alu", "branch", "coherent", "lss", "realmode"]:
        sim("run", *KVM, "--kernel", asm(name), status=GUEST)
    harness.need("build/release/tests/multiboot.elf")
    result = sim("run", *KVM, "--kernel", "build/release/tests/multiboot.elf", status=GUEST)
    check(b"loader sim" in result.out, f"the console lacks its text:\n{result}")


@case
def gives_up():
    """Where KVM's emulator knows too little, its own reason and the advice are told; on a processor the guest passes."""
    emulated = "page-table-based" in need_kvm()
    log = temporary("gives-up.mp")
    result = record(log, *KVM, "--kernel", asm("sse"), status=BACKEND if emulated else GUEST)
    if not emulated:
        return
    for text in ["sim: KVM cannot go on with this guest", "internal error 1", "ldmxcsr", "leave out --backend kvm"]:
        check(text in result.err, f"expected '{text}' of\n{result}")
    quiet = sim("run", *KVM, "--quiet", "--kernel", asm("sse"), status=BACKEND)
    check("internal error 1" in quiet.err, f"--quiet hides why:\n{quiet}")
    check("end" in sim("log", log).out.decode(), "the log has no end")


@case
def inexact():
    """A log made on KVM says so, and no command takes it for an exact one."""
    need_kvm()
    log = temporary("inexact.mp")
    record(log, *flat(assemble("letters")), *types("p"), *KVM)
    shown = sim("log", log).out.decode()
    check("backend      kvm" in shown, f"sim log does not say it:\n{shown}")
    for command in ["replay", log], ["replay", log, "--verify"], ["compare", log]:
        one_line(sim(*command, status=BAD_INPUT), log, "not exact")
    exact = temporary("exact.mp")
    record(exact, *flat(assemble("letters")), *types("p"))
    check("backend" not in sim("log", exact).out.decode(), "an exact log names a backend")


@case
def from_boot():
    """sim compare --kernel: both sides from the start, with a dialogue; interrupts, HLT and every end of a run."""
    need_kvm()
    letters = flat(assemble("letters"))
    for text in ["wwp", "xA", "t", "h", "i", "r"]:
        result = sim("compare", *letters, *types(text), "--idle-limit", 1)
        check(re.search(r"^  differing +0$", result.out.decode(), re.M), f"differs:\n{result}")
        check(re.search(r"^  port +[1-9]", result.out.decode(), re.M), f"no exits compared:\n{result}")
    one_line(sim("compare", status=USAGE), "needs a log or --kernel")
    log = temporary("from-boot.mp")
    record(log, *letters, *types("p"))
    one_line(sim("compare", log, "--cpu", "x86-64-v1", status=USAGE), "with a log")
    one_line(sim("replay", log, *KVM, status=USAGE), "--verify")


@case
def mistakes():
    """What only the interpreter can do is refused."""
    for option in ["--undefined", "amd"], ["--fp", "soft"], ["--single-step", "1:2"], ["--profile-ops"]:
        one_line(sim("run", *flat(assemble("letters")), *KVM, *option, status=USAGE), option[0], "--backend interpreter")
    one_line(sim("run", *flat(assemble("letters")), "--backend", "bochs", status=USAGE), "--backend", "kvm")


@case
def hidden():
    """Without the device the run ends with one line; the interpreter does not miss it."""
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh"]
    if subprocess.run([*hide, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("no right to hide /dev/kvm (unshare --mount)")
    letters = flat(assemble("letters"))
    result = subprocess.run([*hide, harness.binary("release"), "run", *letters, *types("p"), *KVM], cwd=ROOT,
                            stdin=subprocess.DEVNULL, capture_output=True, check=False)
    check_equal(result.returncode, BACKEND, "status without /dev/kvm")
    check_equal(result.stderr.decode().count("\n"), 1, "lines on stderr")
    check(b"there is no /dev/kvm" in result.stderr, f"expected the reason, saw {result.stderr!r}")
    result = subprocess.run([*hide, harness.binary("release"), "run", *letters, *types("p")], cwd=ROOT,
                            stdin=subprocess.DEVNULL, capture_output=True, check=False)
    check_equal(result.returncode, OK, "status of the interpreter without /dev/kvm")


@case
def killed():
    """A guest that never leaves KVM by itself: a signal ends the run in order; after SIGKILL nothing is left behind."""
    need_kvm()
    log = temporary("killed.mp")
    command = [harness.binary("release"), "record", "-o", log, "--force", *flat(assemble("letters")), *types("s"), *KVM]
    for number in [signal.SIGTERM, signal.SIGINT, signal.SIGKILL]:
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            seen = b""
            while b"letters> s" not in seen:
                byte = os.read(process.stdout.fileno(), 4096)
                check(byte, f"ended before its prompt: {seen!r}")
                seen += byte
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        if number == signal.SIGKILL:
            check_equal(process.returncode, -number, "status")
        else:
            check_equal(process.returncode, HOST_ERROR, "status")
            check(f"signal {int(number)}" in errors.decode(), f"the reason is missing: {errors!r}")
            check("signal" in sim("log", log).out.decode(), "the log lacks its end")
    check_equal(os.listdir(os.path.dirname(log)).count("killed.mp"), 1, "logs")


harness.main()
