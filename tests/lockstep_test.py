#!/usr/bin/env python3
"""
Test guests beside KVM: in lockstep, no difference, and no less compared than tests/lockstep.txt says; by exits, no difference.

    tests/lockstep_test.py check SIM FOLDER [NAME...]    each guest of the table whose name begins with one of these
    tests/lockstep_test.py exits SIM FOLDER [NAME...]    the same by exits: sim replay --verify --backend kvm
    tests/lockstep_test.py renew SIM FOLDER              writes the shares of this host into the table

FOLDER is where the build puts the guests. Exit status 77 where there is no KVM. The shares are those of a page-table-based
KVM, which steps less than any other: everywhere else they are no more than a lower bound.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent
TABLE = TESTS / "lockstep.txt"
SKIPPED = 77
USER_SKIPPED_MAX = 1  # in % of what runs at CPL 3: the microkernel's variants run there, and the processor itself does, too

# What a guest meets that the software emulator of a page-table-based KVM does otherwise, in the middle of a leg. In lockstep
# these instructions are single ones, with a reason of their own.
EMULATOR_DEPARTS = {
    "asm/cacheline": "executes CLFLUSHOPT with a register operand, which is #UD",
    "asm/exception": "raises #GP for 15 bytes of prefixes before an absent page, where the fetch of the 16th is #PF",
    "asm/system": "takes a SYSRET to an address that is not canonical",
}
DIVERGED = 4


def guests():
    """(name, steps, least share of instructions compared in %, image, options)"""
    for line in TABLE.read_text(encoding="ascii").splitlines():
        if not line or line.startswith("#"):
            continue
        name, steps, share, *options = line.split()
        source = TESTS / f"asm/{name.removeprefix('asm/')}.asm"
        if name.startswith("asm/"):
            options += " ".join(re.findall(r"^; options: (.*)$", source.read_text(), re.MULTILINE)).split()
            yield name, steps, float(share), f"{name}.bin", options
        else:
            yield name, steps, float(share), options[0], options[1:]


def beside_kvm(sim, folder, name, image, options, *command, status=0):
    """Records the guest and runs the command on the log, which is to end with that status: what it printed"""
    with tempfile.TemporaryDirectory() as work:
        log = f"{work}/log"
        options = [option.replace("_", " ") if option.startswith("only=") else option for option in options]
        done = subprocess.run([sim, "record", "--quiet", "--output", log, "--kernel", folder / image, *options],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 64:
            sys.exit(f"{name} ended with status {done.returncode}, expected 64:\n{done.stdout.decode()}{done.stderr.decode()}")
        done = subprocess.run([sim, *command, log], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == SKIPPED:
        print(done.stderr.strip())
        sys.exit(SKIPPED)
    if done.returncode != status:
        sys.exit(f"{name}: status {done.returncode}, expected {status}\n{done.stdout}{done.stderr}")
    return done


def compare(sim, folder, name, steps, image, options):
    """Lockstep: (share compared in %, share skipped at CPL 3 in %, what was printed)"""
    done = beside_kvm(sim, folder, name, image, options, "compare", "--quiet", "--steps", steps)
    shares = {what: float(share) for what, share in re.findall(r"^  (.*?)  +\d+  +([\d.]+) %$", done.stdout, re.MULTILINE)}
    return shares["equal, CPL 0"] + shares["equal, CPL 3"], shares["skipped, CPL 3 (of CPL 3)"], done.stdout


def check(sim, folder, names):
    failed = 0
    for name, steps, least, image, options in guests():
        if names and not name.startswith(tuple(names)):
            continue
        share, skipped, text = compare(sim, folder, name, steps, image, options)
        print(f"{name}: {share:.2f} % compared, of CPL 3 {skipped:.2f} % skipped", flush=True)
        if share + 0.5 < least or name.startswith("nbody/") and skipped >= USER_SKIPPED_MAX:
            print(f"  expected {least} %, and below {USER_SKIPPED_MAX} %\n{text}")
            failed += 1
    return f"{failed} guests were compared less than they were" if failed else 0


def exits(sim, folder, names):
    host = subprocess.run([sim, "host"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    for name, _, _, image, options in guests():
        if names and not name.startswith(tuple(names)):
            continue
        by_exits = ["replay", "--verify", "--backend", "kvm"]
        if "page-table-based" in host and name in EMULATOR_DEPARTS:
            beside_kvm(sim, folder, name, image, options, *by_exits, status=DIVERGED)  # else the entry is not needed
            print(f"{name}: differs, because KVM's emulator {EMULATOR_DEPARTS[name]}", flush=True)
            continue
        done = beside_kvm(sim, folder, name, image, options, *by_exits)
        if "sim: verified: " not in done.stderr or not re.search(r"^  differing +0$", done.stdout, re.MULTILINE):
            sys.exit(f"{name}: not verified\n{done.stdout}{done.stderr}")
        share = re.search(r"^  instructions equal +\d+ +([\d.]+) %$", done.stdout, re.MULTILINE)[1]
        ports = re.search(r"^  port +(\d+)$", done.stdout, re.MULTILINE)[1]
        print(f"{name}: {share} % of the instructions with a verdict, {ports} exits by port", flush=True)
    return 0


def renew(sim, folder, _):
    shares = {name: compare(sim, folder, name, steps, image, options)[0] for name, steps, _, image, options in guests()}
    lines = []
    for line in TABLE.read_text(encoding="ascii").splitlines():
        words = line.split()
        if words and words[0] in shares:
            line = " ".join([f"{words[0]:<16} {words[1]:>6} {shares[words[0]]:6.2f}", *words[3:]])
        lines.append(line)
    TABLE.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    verb, program, built, *rest = sys.argv[1:] or [""]
    sys.exit({"check": check, "exits": exits, "renew": renew}[verb](program, pathlib.Path(built), rest))
