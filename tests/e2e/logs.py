#!/usr/bin/env python3
"""Logs that were cut off, damaged, or belong to other images: never a wrong "verified", never a crash."""
import os
import random
import re
import signal
import subprocess
import time

import harness
from harness import (BAD_INPUT, CLOUD, INCOMPLETE, INITRD, LIMIT, NOTESTS, OK, assemble, case, check, check_equal, flat, need,
                     one_line, record, sim, temporary, verify)

WHERE = re.compile(r"record \d+.* at byte \d+|at byte \d+")


def small_log():
    """A recording with inputs, several marks and an end, of a guest that needs a moment only."""
    dialogue = temporary("dialogue")
    with open(dialogue, "w", encoding="ascii") as file:
        file.write('expect "letters> "\nsend "w"\nexpect "letters> "\nsend "wp"\n')
    log = temporary("small.mp")
    record(log, *flat(assemble("letters")), "--expect", dialogue, "--mark-every", 30000)
    with open(log, "rb") as file:
        return file.read()


def replay_bytes(data, build="asan"):
    log = temporary("changed.mp")
    with open(log, "wb") as file:
        file.write(data)
    return verify(log, build=build, status=None)


def refused(result, what):
    """The first line on stderr says what and where."""
    first = (result.err.splitlines() or [""])[0]
    check(result.status == BAD_INPUT and WHERE.search(first), f"{what}: expected status 3 and a place in\n{result}")


@case
def truncated():
    """Cut at each byte: refused before the first mark, from there on replayed to the last mark that is whole."""
    data = small_log()
    check(400 < len(data) < 1500, f"the small log has {len(data)} bytes")
    marks = 0
    for size in range(len(data)):
        result = replay_bytes(data[:size])
        if marks == 0 and result.status == BAD_INPUT:
            refused(result, f"cut at byte {size}")
            one_line(result)
            continue
        check_equal(result.status, INCOMPLETE, f"status of a log cut at byte {size} in\n{result}\n")
        match = re.search(r"verified up to the last mark only \((\d+) marks\)", result.err)
        check(match and int(match[1]) >= max(marks, 1), f"cut at byte {size}:\n{result}")
        marks = int(match[1])
    check(marks >= 3, f"only {marks} marks were verified")
    check_equal(replay_bytes(data).status, OK, "status of the whole log")


@case
def flipped():
    """One bit of each byte under the sanitizers, all bits of all bytes without them."""
    data = small_log()
    chance = random.Random(1)
    for at in range(len(data)):
        bit = chance.randrange(8)
        for change in {1 << bit, 0xFF} if at % 8 == 0 else {1 << bit}:
            refused(replay_bytes(data[:at] + bytes([data[at] ^ change]) + data[at + 1:]), f"byte {at} xor {change:#x}")
    for at in range(len(data)):
        for bit in range(8):
            changed = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]
            refused(replay_bytes(changed, "release"), f"byte {at} xor {1 << bit:#x}")


@case
def rubbish():
    """Bytes behind the end, bytes put in and left out, and files that are no logs at all."""
    data = small_log()
    chance = random.Random(2)
    refused(replay_bytes(data + b"\0"), "a byte behind the end")
    refused(replay_bytes(data + data), "two logs in one file")
    for _ in range(60):
        at, count = chance.randrange(len(data)), chance.randrange(1, 20)
        refused(replay_bytes(data[:at] + chance.randbytes(count) + data[at:]), f"{count} bytes put in at {at}")
        result = replay_bytes(data[:at] + data[at + count:])
        if at + 127 < len(data):  # near the end it is like a log that was cut off
            refused(result, f"{count} bytes left out at {at}")
        check(result.status in (BAD_INPUT, INCOMPLETE), f"{count} bytes left out at {at}:\n{result}")
    for name, content in {"empty": b"", "text": b"console=ttyS0\n" * 100, "zeros": bytes(5000), "ones": b"\xff" * 5000,
                          "random": chance.randbytes(5000), "deep": b"\x91" * 5000, "huge map": b"\xdf\xff\xff\xff\xff",
                          "huge text": b"\x87\xdb\xff\xff\xff\xff"}.items():
        result = replay_bytes(content)
        refused(result, name)
        one_line(result, "changed.mp")


@case
def other_images():
    """The recorded file is found by path, checked by hash, and may lie elsewhere now."""
    small_log()
    log, image = temporary("small.mp"), temporary("letters.bin")
    moved = temporary("moved.bin")
    os.rename(image, moved)
    one_line(verify(log, build="asan", status=BAD_INPUT), image, "No such file")
    verify(log, "--kernel", moved, build="asan")
    with open(moved, "rb") as file:
        code = bytearray(file.read())
    code[-1] ^= 1
    with open(image, "wb") as file:
        file.write(code)
    one_line(verify(log, build="asan", status=BAD_INPUT), image, "not the file that was recorded")
    one_line(verify(temporary("none.mp"), build="asan", status=BAD_INPUT), "none.mp", "No such file")
    one_line(verify(os.path.dirname(log), build="asan", status=BAD_INPUT), "directory")
    one_line(sim("log", temporary("none.mp"), build="asan", status=BAD_INPUT), "none.mp", "No such file")


def kill_after(command, log, enough, moment):
    """Starts a recording and kills it a moment after its log has so many bytes."""
    process = subprocess.Popen([harness.binary("release"), *map(str, command)], cwd=harness.ROOT, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.wait_for(lambda: os.path.exists(log) and os.path.getsize(log) > enough, "the first mark")
        time.sleep(moment)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    check_equal(process.returncode, -signal.SIGKILL, "it ended by itself; status")


def cut_off(log, what):
    result = verify(log, status=INCOMPLETE)
    check("verified up to the last mark only" in result.err, f"{what}:\n{result}")


@case
def killed():
    """SIGKILL at moments that differ from run to run."""
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"moments by random.Random({seed})")
    chance = random.Random(seed)
    dialogue = temporary("spin")
    with open(dialogue, "w", encoding="ascii") as file:
        file.write('expect "letters> "\nsend "ws"\n')
    guest = [*flat(assemble("letters")), "--expect", dialogue, "--mark-every", 20000]
    for turn in range(12):
        log = temporary(f"spin{turn}.mp")
        moment = chance.random() * 0.1
        kill_after(["record", "-o", log, *guest], log, 0, moment)
        cut_off(log, f"killed {moment} s after the first mark")
    need(CLOUD, INITRD)
    for turn in range(2):
        log = temporary(f"boot{turn}.mp")
        moment = chance.random() * 3
        kill_after(["record", "-o", log, "--kernel", CLOUD, "--initrd", INITRD, "--cmdline", NOTESTS, "--mark-every", 1000000],
                   log, 0, moment)
        cut_off(log, f"killed {moment} s after the first mark")


@case
def stops_on_the_way():
    """--to ends a replay anywhere, between marks too, with the same state as a run that ends there."""
    small_log()
    log = temporary("small.mp")
    for cycle in 0, 1, 30000, 1000500, 1012345:
        result = sim("replay", log, "--to", cycle, build="asan")
        check(f"stopped at cycle {cycle}" in result.err, f"--to {cycle}:\n{result}")
        ran = sim("run", *flat(assemble("letters")), "--expect", temporary("dialogue"), "--max-cycles", cycle, status=LIMIT)
        check_equal(result.field("state hash"), ran.field("state hash"), f"state at cycle {cycle}")


if __name__ == "__main__":
    harness.main()
