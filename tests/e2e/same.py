#!/usr/bin/env python3
"""
One input, one execution: equal recordings byte for byte, whatever compiler, optimisation, sanitizer, engine or cache;
and another seed is another run.
"""
import re

import harness
from harness import (CLOUD, INITRD, LIMIT, NOTESTS, assemble, case, check, check_equal, flat, need, record, sim, temporary,
                     verify)

BOOT = ["--kernel", CLOUD, "--initrd", INITRD, "--cmdline", NOTESTS, "--expect", "tests/dialogues/demo"]
BOOT_LOG = "build/e2e/notests.mp"  # boot.py notests: BOOT with --seed 1
PREFIX = 30000000                  # cycles of the boot that slow builds run


def content(path):
    return (harness.ROOT / path).read_bytes()


def same_bytes(one, other):
    a, b = content(one), content(other)
    at = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), min(len(a), len(b)))
    check(a == b, f"the logs {one} ({len(a)} bytes) and {other} ({len(b)} bytes) differ from byte {at} on")


def boot_again(build):
    """The whole boot recorded by another build: every input and every mark at the same place with the same hash."""
    need(BOOT_LOG)
    log = temporary(build + ".mp")
    record(log, *BOOT, "--seed", 1, build=build, timeout=300)
    same_bytes(BOOT_LOG, log)


def boot_begins(build):
    """The boot's beginning by a slow build: equal logs, an equal machine field by field, and the log of one verifies
    with the other."""
    need(CLOUD, INITRD)
    options = [*BOOT, "--seed", 1, "--max-cycles", PREFIX, "--mark-every", 1000000]
    logs = {which: temporary(which + ".mp") for which in ["release", build]}
    for which, log in logs.items():
        record(log, *options, build=which, status=LIMIT, timeout=60)
    same_bytes(logs["release"], logs[build])
    verify(logs[build])
    dumps = [sim("replay", logs["release"], "--to", PREFIX // 2, build=which, timeout=60).out for which in logs]
    check(len(dumps[0]) > 3000, f"a machine in {len(dumps[0])} bytes of text: {dumps[0]!r}")
    check_equal(dumps[1], dumps[0], f"the machine's state at cycle {PREFIX // 2} by {build}")


def letters(log, build, *options):
    """A small guest with everything in it that the machine can tell apart: interrupts, input, self-made resets."""
    path = temporary("letters-dialogue")
    with open(path, "w", encoding="ascii") as file:
        file.write('expect "letters> "\nsend "wwr"\n' 'expect "\\nletters> "\nexpect "letters> "\nsend "wi"\n')
    return record(log, *flat(assemble("letters")), "--expect", path, "--mark-every", 50000, "--on-reset", "reboot",
                  "--max-cycles", 800000000, *options, build=build, status=LIMIT)


@case
def twice():
    boot_again("release")


@case
def gcc():
    boot_again("gcc")


@case
def debug():
    boot_begins("debug")


@case
def asan():
    boot_begins("asan")


@case
def guests():
    """A small guest to its end by every build, by portable arithmetic, and stepped singly all the way."""
    reference = temporary("release.mp")
    letters(reference, "release")
    for build in "gcc", "debug", "asan", "drop":
        log = temporary(build + ".mp")
        letters(log, build)
        same_bytes(reference, log)
    for name, options in {"soft": ["--fp", "soft"], "step": ["--single-step", "0:99999999999"],
                          "profile": ["--profile-ops"]}.items():
        log = temporary(name + ".mp")
        letters(log, "release", *options)
        same_bytes(reference, log)


@case
def undefined():
    """What the manual leaves undefined is recorded as chosen, and is the same by every build and stepped."""
    states = {}
    for choice in "intel", "amd", "random:1", "random:2":
        reference = temporary("release.mp")
        states[choice] = letters(reference, "release", "--undefined", choice).field("state hash")
        shown = sim("log", reference).out.decode()
        check(re.search(rf"undefined\W+{choice}\b", shown), f"the log does not say {choice}:\n{shown}")
        verify(reference)
        for build in "gcc", "debug", "drop":
            log = temporary(build + ".mp")
            letters(log, build, "--undefined", choice)
            same_bytes(reference, log)
            verify(reference, build=build)
        letters(log, "release", "--undefined", choice, "--single-step", "0:99999999999")
        same_bytes(reference, log)
    # little that is undefined is left at this guest's end, so a seed may come to Intel's state: these two differ
    check(len({states["random:1"], states["random:2"]}) == 2, f"equal states: {states}")
    check(states["random:1"] != states["intel"], f"equal states: {states}")


@case
def drop():
    """TLBs, decoded blocks and chains are thrown away at random boundaries; nobody can tell."""
    check("drops caches" in sim("--version", build="drop").out.decode(), "the preset drop drops no caches")
    check("drops caches" not in sim("--version").out.decode(), "the preset release drops caches")
    need(BOOT_LOG)
    verify(BOOT_LOG, build="drop")


@case
def single_step():
    """Every instruction by itself, through a part of the decompressor, of the kernel's start, and of user space."""
    need(BOOT_LOG)
    for first, last in [(5000000, 20000000), (200000000, 240000000), (480000000, 620000000)]:
        verify(BOOT_LOG, "--single-step", f"{first}:{last}")


@case
def seeds():
    """Another seed places the kernel elsewhere and draws other random numbers; each verifies."""
    need(CLOUD, INITRD)
    bases, outputs = set(), set()
    for seed in 2, 3:
        log = temporary(f"{seed}.mp")
        result = record(log, "--kernel", CLOUD, "--initrd", INITRD, "--cmdline", NOTESTS + " quiet", "--seed", seed,
                        "--expect", "tests/dialogues/kaslr")
        base = re.search(rb"([0-9a-f]{16}) T _text\r", result.out)
        check(base, f"no address of _text in\n{result}")
        bases.add(base[1])
        outputs.add(re.search(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", result.out)[0])
        verify(log)
    check(len(bases) == 2 and b"ffffffff81000000" not in bases, f"KASLR chose {bases} for two seeds")
    check(len(outputs) == 2, f"both seeds draw {outputs}")


@case
def fresh_seed():
    """Without --seed each run has one of its own, which it prints; with it the run can be repeated."""
    logs = [temporary(f"{i}.mp") for i in range(3)]
    guest = [*flat(assemble("letters"))[:-2], "--max-cycles", 100]
    results = [record(log, *guest, status=LIMIT) for log in logs[:2]]
    seeds_seen = [re.search(r"--seed (\d+)", result.err)[1] for result in results]
    check(seeds_seen[0] != seeds_seen[1], f"two fresh seeds are {seeds_seen}")
    check(results[0].field("state hash") != results[1].field("state hash"), "different seeds, equal states")
    record(logs[2], *guest, "--seed", seeds_seen[0], status=LIMIT)
    same_bytes(logs[0], logs[2])


if __name__ == "__main__":
    harness.main()
