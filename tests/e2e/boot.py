#!/usr/bin/env python3
"""Debian's kernels boot to a shell, answer a dialogue and power off; the recording replays with every state equal."""
import hashlib
import re
import resource

import harness
from harness import CLOUD, FULL, INITRD, NOTESTS, case, check, need, record, verify

TROUBLE = re.compile(rb"WARNING:|BUG:|Oops|Call Trace|general protection|unable to handle|Kernel panic|lockup|"
                     rb"rcu_sched self-detected|Unhandled|segfault|trap invalid opcode|do_IRQ|spurious", re.I)


def sane(result):
    """The session of the demo's dialogue went as it should, and the kernel has nothing to complain of."""
    trouble = TROUBLE.search(result.out)
    check(not trouble, f"the kernel complains: {trouble and trouble[0]} in\n{result}")
    busybox = (harness.ROOT / "guests/busybox-static/bin/busybox").read_bytes()
    for text in ["Linux (none) ", "GenuineIntel", hashlib.sha256(busybox).hexdigest() + "  /bin/busybox",
                 "slept\r\n", "reboot: Power down"]:
        check(text.encode() in result.out, f"the console lacks '{text}' in\n{result}")
    check("the guest powered off\n" in result.err, f"no power-off in\n{result}")
    for line in result.err.splitlines():
        check(not line.strip().startswith("lacking"), f"advertised but lacking: {line}")


def boots(log, *options, kernel=CLOUD):
    """Records the demo's session and verifies it: the hash at the end, the log's size, the console's text."""
    need(kernel, INITRD)
    recorded = record(log, "--kernel", kernel, "--initrd", INITRD, "--expect", "tests/dialogues/demo", *options,
                      timeout=300)
    sane(recorded)
    replayed = verify(log, timeout=300)
    check("sim: verified: " in replayed.err, f"not verified:\n{replayed}")
    for name in "state hash", "instructions", "cycles":
        harness.check_equal(replayed.field(name), recorded.field(name), name)
    return recorded


@case
def demo():
    """The main job: KASLR, every self-test of the kernel; and the log is small."""
    log = harness.temporary("demo.mp")
    result = boots(log, "--cmdline", "console=ttyS0 panic=-1")
    size = (harness.ROOT / log).stat().st_size
    check(size < 256 << 10, f"the log has {size} bytes, expected less than 256 KiB")
    check(f"{size} bytes" in result.err, f"the summary does not name the log's size, {size}:\n{result}")
    shown = harness.sim("replay", log, "--quiet")
    check(shown.out == result.out, f"a replay that shows the console shows another text:\n{shown}")
    check(shown.err == "", f"--quiet says something:\n{shown}")


@case
def notests():
    """Without the self-tests; the log is left behind for other tests."""
    harness.LOGS.mkdir(parents=True, exist_ok=True)
    boots("build/e2e/notests.mp", "--cmdline", NOTESTS, "--seed", 1)


@case
def vmlinux64():
    boots(harness.temporary("log.mp"), "--cmdline", NOTESTS, "--entry", "linux64", kernel=harness.vmlinux("cloud"))


@case
def pvh():
    boots(harness.temporary("log.mp"), "--cmdline", NOTESTS, "--entry", "pvh", kernel=harness.vmlinux("cloud"))


@case
def v1():
    result = boots(harness.temporary("log.mp"), "--cmdline", NOTESTS, "--cpu", "x86-64-v1")
    check(b" sse4_2 " not in result.out, f"v1 has SSE4.2:\n{result}")


@case
def v2():
    result = boots(harness.temporary("log.mp"), "--cmdline", NOTESTS, "--cpu", "x86-64-v2")
    check(b" sse4_2 " in result.out, f"v2 lacks SSE4.2:\n{result}")


@case
def full():
    """The distribution's full kernel: XZ, which is a few thousand million instructions of decompression."""
    boots(harness.temporary("log.mp"), "--cmdline", NOTESTS, kernel=FULL)


@case
def memory():
    """Recorder and replayer need at most 64 MiB besides the guest's memory, of which a small guest leaves little unused."""
    size = 96
    boots(harness.temporary("log.mp"), "--cmdline", NOTESTS, "--memory", f"{size}M")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10  # MiB, of the largest of those that ended
    check(peak > size * 3 // 4, f"{peak} MiB cannot be the peak of a simulator whose guest has {size}")
    check(peak <= size + 64, f"sim took {peak} MiB for a guest of {size}")


@case
def soft_fp():
    """Host arithmetic recorded, portable arithmetic replayed."""
    log = harness.temporary("log.mp")
    boots(log, "--cmdline", NOTESTS, "--fp", "host")
    verify(log, "--fp", "soft")


@case
def undefined():
    """The kernel depends on nothing that the manual leaves undefined; what only older manuals did, it depends on."""
    for choice in "amd", "random:1":
        boots(harness.temporary("log.mp"), "--cmdline", NOTESTS, "--seed", 1, "--undefined", choice)
    log = harness.temporary("old.mp")
    result = record(log, "--kernel", CLOUD, "--initrd", INITRD, "--cmdline", NOTESTS, "--seed", 1, "--max-cycles", "1G",
                    "--undefined", "random-old:1", status=None, timeout=300)
    check(b"Linux version" not in result.out, f"BSF of 0 changes nothing:\n{result}")
    verify(log, timeout=300)


if __name__ == "__main__":
    harness.main()
