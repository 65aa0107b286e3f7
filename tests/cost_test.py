#!/usr/bin/env python3
"""What a guest instruction costs in host instructions, counted by cachegrind, which noise cannot touch.

    cost_test.py check SIM FOLDER     compares with tests/cost.txt
    cost_test.py show SIM FOLDER      the same, but complains of nothing
    cost_test.py rebase SIM FOLDER    writes tests/cost.txt

FOLDER has the guests, built from tests/guests: mix.bin (at CPL 0) and rings.bin (programs over a kernel). Each is run by sim
run, sim record and sim replay --verify. More than 3 % above what stands in the file is a failure, and so is a file that
promises 3 % too much; recording and verifying may cost 5 % more than running. The figures are those of clang-19's release
build, which is checked; portable floating point, because valgrind has no AVX-512. On one machine they repeat to a thousandth;
between machines of a kind they differ by what the C library does for a model of processor.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FILE = pathlib.Path(__file__).with_name("cost.txt")
COMPILER = "clang-19"
TOLERANCE = 0.03
DETERMINISM = 1.05  # of sim run: what sim record and sim replay --verify may cost
GUESTS = {"mix": ["--entry", "flat"], "rings": []}
HEAD = """# Host instructions per guest instruction: tests/cost_test.py, which also rewrites this file (rebase).
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def count(status, sim, *arguments):
    """Host instructions, the guest's, and what sim said."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={directory}/out", sim, *arguments,
                   "--fp", "soft"]
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
    host = re.search(r"I +refs: +([\d,]+)", result.stderr)
    guest = re.search(r"instructions +(\d+)", result.stderr)
    if not host or not guest or result.returncode != status:
        sys.exit(f"{' '.join(command)}: status {result.returncode}\n{result.stderr}")
    return int(host[1].replace(",", "")) / int(guest[1]), result.stderr


def measure(sim, name, image):
    """The three costs of a guest."""
    machine = [*GUESTS[name], "--memory", "16M", "--seed", "1", "--kernel", image]
    with tempfile.TemporaryDirectory() as directory:
        log = f"{directory}/log.mp"
        run, _ = count(64, sim, "run", *machine)
        record, _ = count(64, sim, "record", "-o", log, *machine)
        verify, said = count(0, sim, "replay", "--verify", log)
    if "sim: verified: " not in said:
        sys.exit(f"{name} was not verified:\n{said}")
    return {"run": run, "record": record, "verify": verify}


def compiler_of(sim):
    cache = pathlib.Path(sim).resolve().parent / "CMakeCache.txt"
    found = re.search(r"^CMAKE_C_COMPILER:\w+=(.*)$", cache.read_text(), re.M) if cache.exists() else None
    return pathlib.Path(found[1]).name if found else "an unknown compiler"


def judge(name, what, cost, run, kept):
    """What is wrong with a figure, as lines."""
    change = cost / kept - 1 if kept else None
    compared = f"{kept:8.2f} kept {100 * change:+6.2f} %" if kept else "        not kept"
    print(f"{name:6} {what:7}{cost:8.3f} {compared}   {cost / run:.4f} of run")
    bad = []
    if not kept or abs(change) > TOLERANCE:
        bad.append(f"{name} {what}: {cost:.2f}, {FILE.name} has {kept}; if this is meant: {sys.argv[0]} rebase SIM FOLDER")
    if cost > DETERMINISM * run:
        bad.append(f"{name} {what}: {cost / run:.3f} of sim run, expected at most {DETERMINISM}")
    return bad


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("check", "show", "rebase"):
        sys.exit(__doc__)
    verb, sim, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    if not shutil.which("valgrind"):
        skip("valgrind is not installed (scripts/bootstrap test)")
    if compiler_of(sim) != COMPILER:
        skip(f"the figures are those of {COMPILER}; {sim} was built by {compiler_of(sim)}")
    lines = [line.split() for line in FILE.read_text().splitlines() if not line.startswith("#")] if FILE.exists() else []
    kept = {tuple(line[:-1]): float(line[-1]) for line in lines}
    text, bad = HEAD, []
    for name in GUESTS:
        now = measure(sim, name, str(folder / f"{name}.bin"))
        for what, cost in now.items():
            bad += judge(name, what, cost, now["run"], kept.get((name, what)))
            text += f"{name:6} {what:7}{cost:8.2f}\n"
    if verb == "rebase":
        FILE.write_text(text)
    elif verb == "check" and bad:
        sys.exit("\n".join(bad))


if __name__ == "__main__":
    main()
