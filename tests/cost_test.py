#!/usr/bin/env python3
"""What a guest instruction costs in host instructions, counted by cachegrind, which noise cannot touch.

    cost_test.py SIM GUEST [--rebase]

Runs the guest of tests/guests/mix.c by sim run, sim record and sim replay --verify, and compares with tests/cost.txt: more
than 3 % above what stands there is a failure, and so is a file that promises 3 % too much. --rebase writes the file. The figures
are those of clang-19's release build; portable floating point, because valgrind has no AVX-512.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

FILE = pathlib.Path(__file__).with_name("cost.txt")
TOLERANCE = 0.03
HEAD = """# Host instructions per guest instruction of tests/guests/mix.c: tests/cost_test.py, which also rewrites this file (--rebase).
"""


def count(sim, *arguments):
    """Host instructions, and the guest's."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={directory}/out", sim, *arguments,
                   "--fp", "soft"]
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    host = re.search(r"I +refs: +([\d,]+)", result.stderr)
    guest = re.search(r"instructions (\d+)", result.stderr)
    if not host or not guest or result.returncode not in (0, 64):
        sys.exit(f"{' '.join(command)}: status {result.returncode}\n{result.stderr}")
    return int(host[1].replace(",", "")) / int(guest[1])


def measure(sim, guest):
    machine = ["--entry", "flat", "--memory", "16M", "--seed", "1", "--kernel", guest]
    with tempfile.TemporaryDirectory() as directory:
        log = f"{directory}/mix.mp"
        return {"run": count(sim, "run", *machine), "record": count(sim, "record", "-o", log, *machine),
                "verify": count(sim, "replay", "--verify", log)}


def main():
    sim, guest, rebase = sys.argv[1], sys.argv[2], "--rebase" in sys.argv
    try:
        subprocess.run(["valgrind", "--version"], capture_output=True, check=True)
    except FileNotFoundError:
        print("skipped: valgrind is not installed")
        sys.exit(77)
    now = measure(sim, guest)
    for what, cost in now.items():
        print(f"{what:8} {cost:.3f}  ({cost / now['run']:.3f} of run)")
    if rebase:
        FILE.write_text(HEAD + "".join(f"{what:8} {cost:.2f}\n" for what, cost in now.items()))
        return
    lines = [line.split() for line in FILE.read_text().splitlines() if not line.startswith("#")]
    known = {what: float(cost) for what, cost in lines}
    bad = [f"{what}: {cost:.2f}, {FILE.name} has {known.get(what)}" for what, cost in now.items()
           if what not in known or abs(cost / known[what] - 1) > TOLERANCE]
    if bad:
        sys.exit("\n".join(bad) + f"\nIf this is meant: {sys.argv[0]} {sim} {guest} --rebase")


if __name__ == "__main__":
    main()
