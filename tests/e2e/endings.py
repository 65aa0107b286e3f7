#!/usr/bin/env python3
"""How a run ends, and with which status: limits, texts, resets, the debug-exit port, idling, failed writes."""
import os
import subprocess

import harness
from harness import (BAD_INPUT, CLOUD, FAIL_TEXT, GUEST, HOST_ERROR, IDLE, INITRD, LIMIT, NOTESTS, OK, RESET, TRIPLE_FAULT,
                     USAGE, assemble, case, check, check_equal, flat, need, one_line, record, sim, temporary, verify)


def types(text):
    """A dialogue that types a text at the guest's first prompt."""
    path = temporary("dialogue-" + text.replace("\\", "_"))
    with open(path, "w", encoding="ascii") as file:
        file.write(f'expect "letters> "\nsend "{text}"\n')
    return ["--expect", path]


def ends(text, status, why, *options, replayed=OK):
    """Types a text, expects an end and its reason, and a recording that verifies."""
    log = temporary("ends.mp")
    result = record(log, *flat(assemble("letters")), *types(text), *options, status=status)
    check(f"sim: {why}" in result.err, f"expected the reason '{why}' of\n{result}")
    again = verify(log, status=replayed)
    check_equal(again.field("state hash"), result.field("state hash"), "state hash of the replay")
    ran = sim("run", *flat(assemble("letters")), *types(text), *options, status=status)
    check_equal(ran.field("state hash"), result.field("state hash"), "state hash of sim run")
    return result


@case
def power_off():
    result = ends("wwp", OK, "the guest powered off")
    check_equal(result.out, b"\r\nletters> w\r\nletters> w\r\nletters> p", "console")


@case
def debug_exit():
    for code in [0, 1, 63, 64, 255]:
        ends(f"x\\x{code:02x}", GUEST + (code & 63), f"the guest wrote {code} to the debug-exit port")


@case
def triple_fault():
    ends("t", TRIPLE_FAULT, "triple fault")


@case
def halted():
    ends("h", IDLE, "the guest halted, and nothing can wake it")
    ends("w", IDLE, "the guest halted, and nothing can wake it")


@case
def idle():
    result = ends("i", IDLE, "the guest only idled for 60 virtual seconds")
    check(60e9 <= int(result.field("cycles")) < 61e9, f"60 s are wrong in\n{result}")
    result = ends("i", IDLE, "the guest only idled for 3 virtual seconds", "--idle-limit", 3)
    check(3e9 <= int(result.field("cycles")) < 3.1e9, f"3 s are wrong in\n{result}")


@case
def limit():
    for cycles in [0, 1, 12345, 1500001]:
        result = ends("s", LIMIT, "the limit of --max-cycles was reached", "--max-cycles", cycles)
        check_equal(int(result.field("cycles")), cycles, "cycles at the limit")


@case
def texts():
    result = ends("www", OK, "the console printed the text of --until", "--until", "w\r\nlett")
    check(result.out.endswith(b"w\r\nlett"), f"--until did not stop at its text:\n{result}")
    ends("www", FAIL_TEXT, "the console printed the text of --fail", "--fail", "w\r\nletters> w")
    ends("www", FAIL_TEXT, "the console printed the text of --fail", "--fail", "ters> w", "--until", "ters> w")


@case
def resets():
    ends("r", RESET, "the guest reset the machine")
    ends("r", OK, "the guest reset the machine", "--on-reset", "ok")
    # The dialogue is over when the second boot prints its prompt.
    result = ends("r", IDLE, "the guest halted, and nothing can wake it", "--on-reset", "reboot")
    check_equal(result.out.count(b"letters>"), 2, "boots")
    path = temporary("reboots")
    with open(path, "w", encoding="ascii") as file:
        file.write('expect "letters> "\nsend "wr"\n' * 3 + 'expect "letters> "\nexpect "letters> "\nsend "p"\n')
    log = temporary("reboots.mp")
    result = record(log, *flat(assemble("letters")), "--expect", path, "--on-reset", "reboot", "--mark-every", 100000)
    check(result.field("reboots") == "3", f"expected 3 reboots of\n{result}")
    verify(log)


@case
def linux_resets():
    """`reboot -f` of a Linux guest; and a reset by sysrq, which is followed into a second boot."""
    need(CLOUD, INITRD)
    linux = ["--kernel", CLOUD, "--initrd", INITRD, "--cmdline", NOTESTS + " quiet", "--seed", 1]
    result = sim("run", *linux, "--expect", "tests/dialogues/reboot", status=RESET)
    check("sim: the guest reset the machine" in result.err, f"no reset in\n{result}")
    log = temporary("log.mp")
    result = record(log, *linux, "--expect", "tests/dialogues/sysrq", "--on-reset", "reboot", "--mark-every", 100000000)
    check_equal(result.out.count(b"sim: shell on Linux"), 2, "boots")
    verify(log)


@case
def existing_log():
    log = temporary("there.mp")
    guest = [*flat(assemble("letters")), *types("p")]
    with open(log, "w", encoding="ascii") as file:
        file.write("something of the user's")
    result = sim("record", "-o", log, *guest, status=USAGE)
    one_line(result, log, "--force")
    check_equal(open(log, encoding="ascii").read(), "something of the user's", "the file that was there")
    sim("record", "-o", log, "--force", *guest)
    verify(log)


@case
def failed_writes():
    guest = flat(assemble("letters"))
    if os.access("/dev/full", os.W_OK):
        result = sim("record", "-o", "/dev/full", "--force", *guest, *types("p"), status=HOST_ERROR)
        one_line(result, "/dev/full", "No space left")
        with open("/dev/full", "wb") as full:
            result = sim("run", *guest, *types("lllp"), stdout=full, status=HOST_ERROR)
        check("writing the console's output: No space left" in result.err, f"no reason in\n{result}")
    one_line(sim("record", "-o", temporary("no/such/folder.mp"), *guest, status=HOST_ERROR), "No such file")
    # A log that may not grow: what is there is cut back to its last mark, and replays up to it.
    log = temporary("small.mp")
    command = ["sh", "-c", 'ulimit -f 1; exec "$0" "$@"', harness.binary("release"), "record", "-o", log, *guest,
               *types("ws"), "--mark-every", "1000", "--max-cycles", "3000000"]
    done = subprocess.run(command, cwd=harness.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    check_equal(done.returncode, HOST_ERROR, f"status of a log that cannot grow ({done.stderr})")
    check("sim: writing the log: File too large" in done.stderr, f"no reason in {done.stderr}")
    result = verify(log, status=harness.INCOMPLETE)
    check("verified up to the last mark only" in result.err, f"not replayed to the last mark:\n{result}")


@case
def closed_output():
    """Nobody reads the console any more: an error, not a death by SIGPIPE."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        result = sim("run", *flat(assemble("letters")), *types("lllp"), stdout=pipe, status=HOST_ERROR)
    check("Broken pipe" in result.err, f"no reason in\n{result}")


@case
def signals():
    """SIGTERM and SIGINT end a recording in order: the log is complete."""
    for signal, number in [("TERM", 15), ("INT", 2), ("HUP", 1)]:
        log = temporary(f"{signal}.mp")
        command = [harness.binary("release"), "record", "-o", log, *flat(assemble("letters")), *types("s")]
        process = subprocess.Popen(command, cwd=harness.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        harness.wait_for(lambda: os.path.exists(log) and os.path.getsize(log) > 500, "marks in the log")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        check_equal(process.returncode, HOST_ERROR, f"status after SIG{signal} ({err.decode()})")
        check(f"sim: signal {number}" in err.decode(), f"no reason in {err.decode()}")
        verify(log)


@case
def input_from_pipe():
    """
    Standard input that is not a terminal types; its end is not the end of the run. The first byte is there before the
    guest sets up its FIFO, which throws it away.
    """
    log = temporary("pipe.mp")
    with open(temporary("typed"), "wb") as file:
        file.write(b"?wwwp")
    with open(temporary("typed"), "rb") as file:
        result = record(log, *flat(assemble("letters")), stdin=file)
    check(result.out.count(b"w\r\nletters> ") == 3, f"not what was typed:\n{result}")
    verify(log)
    with open(temporary("typed"), "wb") as file:
        file.write(b"?" + b"w" * 3000)
    with open(temporary("typed"), "rb") as file:
        result = record(log, *flat(assemble("letters")), "--mark-every", 1000000, stdin=file, status=IDLE)
    check_equal(result.out.count(b"letters> "), 3001, "answers to more than the FIFO holds")
    verify(log)


if __name__ == "__main__":
    harness.main()
