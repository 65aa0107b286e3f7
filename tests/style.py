#!/usr/bin/env python3
"""The house rules that a program can check: format, banned functions, who includes whom, headers that stand alone.

    tests/style.py CASE [--build FOLDER]      FOLDER: of the build whose objects are looked at (build/release)
    tests/style.py clang_format --fix         formats instead of complaining
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["devices", "cpu", "replay", "kvm", "sim", "fuzz", "tests"]
# Each folder may include those before it; tests and fuzz may include everything.
MAY_INCLUDE = {"devices": ["devices"], "cpu": ["devices", "cpu"], "replay": ["devices", "cpu", "replay"],
               "kvm": ["devices", "cpu", "replay", "kvm"]}
# Host time, randomness, threads, locales and environment: nothing in the machine itself may ask for them.
BANNED = re.compile(r"^(time|clock|clock_gettime|gettimeofday|times|localtime|gmtime|mktime|s?rand(om)?(_r)?|[dlmnj]rand48|"
                    r"arc4random\w*|getrandom|getentropy|pthread_\w+|thrd_\w+|fork|vfork|getenv|secure_getenv|setlocale|"
                    r"getpid|gethostname|uname|sysconf|signal|sigaction|setitimer|alarm|sleep|usleep|nanosleep|select|poll|"
                    r"sin|cos|tan|exp|exp2|log|log2|log10|pow|atan2?|fma|sqrt|fe\w+round|fe\w+except)f?l?$")
MACHINE = ["cpu", "devices"]  # libraries that hold the machine
CONTENT = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def files(folders, *suffixes):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)


def name(path):
    return str(path.relative_to(ROOT))


def tool(program):
    if not shutil.which(program):
        print(f"skipped: {program} is not installed")
        sys.exit(77)
    return program


def parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for lines in pool.map(work, items) for line in lines]


def clang_format(options):
    """.clang-format is followed by every C file."""
    formatter = tool("clang-format-19")
    if options.fix:
        subprocess.run([formatter, "-i", *files(FOLDERS, ".c", ".h")], check=True, cwd=ROOT)

    def look(path):
        done = subprocess.run([formatter, "--dry-run", "-Werror", path], capture_output=True, text=True, cwd=ROOT)
        return [done.stderr.splitlines()[0]] if done.returncode else []

    return parallel(look, files(FOLDERS, ".c", ".h"))


def headers(options):
    """Every header compiles alone."""
    compiler = tool("clang-19")

    def look(path):
        command = [compiler, "-fsyntax-only", "-xc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
                   "-Wno-pragma-once-outside-header", f"-I{ROOT}", f"-I{options.build}/generated", path]
        done = subprocess.run(command, capture_output=True, text=True)
        return [f"{name(path)} does not compile alone: {done.stderr.splitlines()[0]}"] if done.returncode else []

    return parallel(look, files(FOLDERS, ".h"))


def includes(_):
    """A folder includes only what stands before it in the house: devices, cpu, replay, kvm, sim."""
    found = []
    for folder, allowed in MAY_INCLUDE.items():
        for path in files([folder], ".c", ".h", ".def"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = re.match(r'\s*#\s*include\s+"(\w+)/', line)
                if match and match[1] in FOLDERS and match[1] not in allowed:
                    found.append(f"{name(path)}:{number}: {folder}/ may not include {match[1]}/")
    return found


def banned(options):
    """No host time, randomness, threads or mathematics library in the machine: what its objects ask the linker for."""
    found = []
    for library in MACHINE:
        archive = options.build / f"lib{library}.a"
        listing = subprocess.run([tool("nm"), "-A", "--undefined-only", archive], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            place, symbol = line.split(":")[1], line.split()[-1].split("@")[0]
            if BANNED.match(symbol):
                found.append(f"{library}/{place.removesuffix('.o')} uses {symbol}")
    for path in files(MACHINE, ".c", ".h"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\b(__rdtsc|__DATE__|__TIME__|_Thread_local|__thread|_Atomic|volatile)\b", line):
                if "volatile" not in line or not re.search(r"asm\s+volatile|__asm__|volatile\s*\(", line):
                    found.append(f"{name(path)}:{number}: {line.strip()}")
    return found


def statics(options):
    """No mutable variable in the machine outlives a call: its objects have no bytes of .data and .bss."""
    found = []
    for library in MACHINE:
        listing = subprocess.run([tool("objdump"), "-t", options.build / f"lib{library}.a"], capture_output=True, text=True,
                                 check=True)
        place = "?"
        for line in listing.stdout.splitlines():
            if line.endswith("elf64-x86-64"):
                place = line.split(":")[0]
            match = re.search(r"\s(\.t?data|\.t?bss|\*COM\*)(?!\.rel\.ro)[.\w]*\s+([0-9a-f]+)\s+(\S+)$", line)
            if match and int(match[2], 16) and " d  " not in line:
                found.append(f"{library}/{place.removesuffix('.o')} has the mutable variable {match[3]}")
    return found


def comments(_):
    """Nothing is left for later, no tabs, no blanks at a line's end, every file says at its top what it is."""
    found = []
    for path in files(FOLDERS + ["scripts"], ".c", ".h", ".def", ".py", ".sh", ".asm", ".inc", ".asl", ""):
        if not path.is_file() or "__pycache__" in path.parts or "/corpora/" in str(path):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if CONTENT.search(line):
                found.append(f"{name(path)}:{number}: {line.strip()}")
            if line != line.rstrip() or "\t" in line and path.suffix in (".c", ".h", ".py"):
                found.append(f"{name(path)}:{number}: blanks at the end, or a tab")
        if path.suffix in (".c", ".h") and not text.startswith("/*"):
            found.append(f"{name(path)}: does not begin with a comment that says what it is")
        if text and not text.endswith("\n"):
            found.append(f"{name(path)}: does not end with a line feed")
    return found


def accessors(_):
    """Handlers reach their op through the accessors of cpu/binding.h only, so that other engines can be made of them."""
    engine = {"binding.h", "block.c", "engine.c", "engine.h", "fused.h", "lower.c", "mem.c", "op.h", "profile.c", "profile.h"}
    found = []
    for path in files(["cpu"], ".c", ".h"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if path.name not in engine and re.search(r"\bop->|\bop\[|\bop_(at|end)\(op|\bop\+\+|\bGO\(op \+ [^1]", line):
                found.append(f"{name(path)}:{number}: {line.strip()}")
    return found


def sizes(_):
    """Files stay readable: at most 900 lines."""
    found = []
    for path in files(FOLDERS, ".c", ".h", ".py"):
        lines = path.read_text().splitlines()
        if len(lines) > 900:
            found.append(f"{name(path)} has {len(lines)} lines, expected at most 900")
    return found


def scripts(_):
    """Shell and Python scripts parse, and are executable."""
    found = []
    for path in [*files(["scripts", ".ci"], "", ".sh", ".py"), *files(["tests"], ".sh", ".py")]:
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        first = path.read_text().split("\n", 1)[0]
        if "python" in first or path.suffix == ".py":
            try:
                compile(path.read_text(), str(path), "exec")
            except SyntaxError as error:
                found.append(f"{name(path)}: {error}")
        elif first.startswith("#!/bin/sh"):
            done = subprocess.run(["sh", "-n", path], capture_output=True, text=True)
            found += done.stderr.splitlines()
        elif path.parent.name in ("scripts", ".ci"):
            found.append(f"{name(path)}: starts with {first!r}")
        if path.parent.name in ("scripts", ".ci") and not os.access(path, os.X_OK):
            found.append(f"{name(path)} is not executable")
    return found


CASES = {function.__name__: function for function in
         [clang_format, headers, includes, banned, statics, comments, accessors, sizes, scripts]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--fix", action="store_true")
    options = parser.parse_args()
    found = CASES[options.case](options)
    print("\n".join(found))
    sys.exit(f"{options.case}: {len(found)} places" if found else 0)


if __name__ == "__main__":
    main()
