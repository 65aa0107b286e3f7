"""What the end-to-end tests share: they drive the command line as a user would, and say what they saw when it was wrong.

A test file defines functions, registers them with @case, and ends with harness.main(). `FILE CASE` runs one; a case that
cannot run here skips with the reason (status 77, which ctest reports as skipped), it never passes.
"""
import atexit
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GUESTS = pathlib.Path(__file__).resolve().parent / "guests"
SKIPPED = 77

# Exit statuses, as sim --help lists them.
(OK, HOST_ERROR, USAGE, BAD_INPUT, DIVERGED, INCOMPLETE, RESET, TRIPLE_FAULT, IDLE, LIMIT, FAIL_TEXT,
 BACKEND) = range(12)
GUEST = 64

# A guest that runs under a sanitizer is 10 to 30 times slower; a machine that is busy makes it slower still.
PATIENCE = {"release": 1, "gcc": 2, "drop": 4, "asan": 10, "debug": 10}

CLOUD = "guests/vmlinuz-cloud"
FULL = "guests/vmlinuz-full"
INITRD = "guests/initrd.gz"
NOTESTS = "console=ttyS0 panic=-1 cryptomgr.notests"
LOGS = ROOT / "build/e2e"  # recordings that one test makes and others use

cases = {}
scratch = None


class Failure(Exception):
    """What a test saw that it should not have seen."""


class Skip(Exception):
    """Why a test cannot run here."""


def case(function):
    cases[function.__name__] = function
    return function


def check(condition, what):
    if not condition:
        raise Failure(what)


def check_equal(seen, expected, what):
    if seen != expected:
        raise Failure(f"{what}: expected {shorten(expected)}, saw {shorten(seen)}")


def shorten(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) < 600 else text[:200] + " ... " + text[-400:]


def need(*paths):
    """Skips the test where a file that others provide is missing."""
    for path in paths:
        if not (ROOT / path).exists():
            raise Skip(f"{path} is not there (scripts/test fetches and builds it)")


def binary(build):
    need(f"build/{build}/sim")
    return f"build/{build}/sim"


def temporary(name):
    """A path in a folder of this test, which goes when the test has passed."""
    global scratch
    if scratch is None:
        scratch = tempfile.mkdtemp(prefix="sim-e2e-")
    return os.path.join(scratch, name)


class Result:
    def __init__(self, command, status, out, err, seconds):
        self.command, self.status, self.out, self.seconds = command, status, out, seconds
        self.err = err.decode("utf-8", "replace")

    def __str__(self):
        return (f"{' '.join(self.command)}\n--- ended with status {self.status} after {self.seconds:.1f} s; stdout ends\n"
                f"{self.out[-1500:].decode('utf-8', 'replace')}\n--- stderr ends\n{self.err[-3000:]}")

    def field(self, name):
        """A number of the summary: instructions, cycles; or the word behind "state hash"."""
        for line in self.err.splitlines():
            if line.strip().startswith(name + " "):
                return line.strip()[len(name):].split()[0]
        raise Failure(f"no '{name}' in the summary of\n{self}")


def sim(*arguments, build="release", status=OK, stdin=subprocess.DEVNULL, timeout=120, stdout=subprocess.PIPE):
    """Runs sim from the project's root and expects an exit status; None: any that sim may end with by itself."""
    command = [binary(build), *map(str, arguments)]
    environment = dict(os.environ, ASAN_OPTIONS="exitcode=99:detect_leaks=1", UBSAN_OPTIONS="exitcode=98")
    started = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=stdin, stdout=stdout, stderr=errors)
        try:
            out, _ = process.communicate(timeout=timeout * PATIENCE[build])
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failure(f"{' '.join(command)} did not end within {timeout * PATIENCE[build]} s") from None
        errors.seek(0)
        result = Result(command, process.returncode, out or b"", errors.read(), time.monotonic() - started)
    if status is not None and result.status != status:
        raise Failure(f"expected status {status} of\n{result}")
    if result.status < 0 or result.status in (98, 99, 134):
        raise Failure(f"sim crashed:\n{result}")
    return result


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"waited {seconds} s for {what}, in vain")
        time.sleep(0.01)


def record(log, *arguments, build="release", **keywords):
    return sim("record", "-o", log, "--force", *arguments, build=build, **keywords)


def verify(log, *arguments, build="release", **keywords):
    return sim("replay", log, "--verify", *arguments, build=build, **keywords)


def one_line(result, *texts):
    """A refusal is one line on stderr that holds each of the texts, and nothing on stdout."""
    lines = result.err.splitlines()
    check(len(lines) == 1 and lines[0].startswith("sim"), f"expected one line on stderr of\n{result}")
    check(result.out == b"", f"expected nothing on stdout of\n{result}")
    for text in texts:
        check(text in lines[0], f"expected '{text}' on stderr of\n{result}")


def assemble(name, *defines):
    """A guest of tests/e2e/guests as a flat binary."""
    output = temporary(name + "".join(defines) + ".bin")
    if not shutil.which("nasm"):
        raise Skip("nasm is not installed")
    subprocess.run(["nasm", "-f", "bin", *("-D" + define for define in defines), "-o", output, GUESTS / (name + ".asm")],
                   check=True)
    return output


def flat(image):
    """Options for a guest of ours: little memory, so that a sanitizer's start is quick."""
    return ["--kernel", image, "--entry", "flat", "--memory", "2M", "--seed", "1"]


def vmlinux(flavour):
    """The ELF kernel out of a bzImage, made once."""
    image, output = f"guests/vmlinuz-{flavour}", f"build/e2e/vmlinux-{flavour}"
    need(image)
    LOGS.mkdir(parents=True, exist_ok=True)
    if not (ROOT / output).exists():
        made = f"{output}.{os.getpid()}"
        subprocess.run(["scripts/extract-vmlinux", image, made], cwd=ROOT, check=True)
        os.rename(ROOT / made, ROOT / output)
    return output


def main():
    wanted = sys.argv[1:] or list(cases)
    if wanted == ["list"]:
        print("\n".join(cases))
        return
    for name in wanted:
        if name not in cases:
            sys.exit(f"{sys.argv[0]}: no such case: {name}; there are {', '.join(cases)}")
    for name in wanted:
        started = time.monotonic()
        try:
            cases[name]()
        except Skip as reason:
            print(f"{name}: skipped: {reason}")
            sys.exit(SKIPPED)
        except Failure as failure:
            print(f"{name}: FAILED: {failure}")
            if scratch:
                print(f"(what it made is in {scratch})")
            sys.exit(1)
        print(f"{name}: passed in {time.monotonic() - started:.1f} s")
    if scratch:
        shutil.rmtree(scratch)


atexit.register(sys.stdout.flush)
