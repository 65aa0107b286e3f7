#!/usr/bin/env python3
"""
The n-body microkernel (tests/guests/nbody) prints every digit as it should, on every CPU model.

    tests/nbody_test.py reference             nbody.expected is what reference.py computes
    tests/nbody_test.py run SIM IMAGE MODEL   the console is nbody.expected; variants that the model lacks are said to be
    tests/nbody_test.py qemu IMAGE            the same under QEMU's TCG, by hand: a second opinion
"""
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent / "guests/nbody"
EXPECTED = FOLDER / "nbody.expected"
NEEDS = {"avx2": "AVX2 or FMA", "avx512": "AVX-512F"}
LACKING = {"x86-64-v1": ["avx2", "avx512"], "x86-64-v2": ["avx2", "avx512"], "x86-64-v3": ["avx512"], "x86-64-v4": []}
PASSED = 64  # the guest wrote 0 to the debug-exit port


def compare(seen, want, what):
    """Ends with the first line that differs."""
    for number, (a, b) in enumerate(zip(seen + ["(end)"], want + ["(end)"]), 1):
        if a != b:
            sys.exit(f"{what}: line {number}\n  is       {a}\n  expected {b}")


def expected(lacking):
    lines = []
    for line in EXPECTED.read_text(encoding="ascii").splitlines():
        name = line.split()[0]
        if name not in lacking:
            lines.append(line)
        elif line.split()[1:3] == ["cpl0", "energy"]:
            lines.append(f"{name} left out: the processor lacks {NEEDS[name]}")
    return lines


def guest(command, status, lacking, what):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    compare(done.stdout.decode("latin-1").replace("\r", "").splitlines(), expected(lacking), what)
    if done.returncode != status:
        sys.exit(f"{what} ended with status {done.returncode}, expected {status}:\n{done.stderr.decode()}")


def main(verb, *arguments):
    if verb == "reference":
        done = subprocess.run([sys.executable, FOLDER / "reference.py"], capture_output=True, text=True, check=True)
        compare(EXPECTED.read_text(encoding="ascii").splitlines(), done.stdout.splitlines(), EXPECTED.name)
    elif verb == "run":
        sim, image, model = arguments
        guest([sim, "run", "--quiet", "--entry", "pvh", "--memory", "16M", "--kernel", image, "--cpu", model], PASSED,
              LACKING[model], model)
    elif verb == "qemu":
        guest(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-display", "none", "-serial", "stdio", "-no-reboot",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel", arguments[0]], 1, ["avx512"], "QEMU")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*(sys.argv[1:] or [""]))
