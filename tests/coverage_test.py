#!/usr/bin/env python3
"""No row of the instruction table without a test.

Each row that is implemented must be executed by a guest in tests/asm, or by a unit test: one that names its handler
(the unit test's object file refers to handlers_NAME), or one that goes through the rows of a class by itself. The rows for
which this does not hold yet stand in tests/uncovered_rows.txt, which can only shrink: a covered row that is still in it and
an uncovered row that is missing both fail this test.

    coverage_test.py --tool ISA_COVERAGE --nm NM [--rebase] --guests IMAGE... --objects OBJECT...

--rebase writes the list anew instead of comparing.
"""
import argparse
import pathlib
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent
LIST = TESTS / "uncovered_rows.txt"
TITLE = """# Rows of cpu/isa.def that no test executes yet: mnemonic | encoding | operands, and the modes where these are not all.
# tests/coverage_test.py compares; with --rebase it writes this file. It must get empty.
"""

# What unit tests run row by row. Keep in step with row_is_tested() in test_simd.c and test_simd_vex.c and is_control() in test_x87.c.
SIMD_CLASSES = {"mmx", "sse", "sse-aligned", "sse-mmx"}
SIMD_FEATURES = {"mmx", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2"}
SIMD_FEATURES |= {"aes", "pclmulqdq", "sha", "gfni"}  # test_extensions.c, by bytes
SIMD_LEFT_OUT = {"maskmovq"}  # LDMXCSR, STMXCSR and MASKMOVDQU have tests of their own there
VEX_CLASSES = {"avx", "avx-aligned", "avx512", "avx512-aligned", "opmask"}
VEX_FEATURES = {"avx", "avx2", "fma", "f16c", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vnni"}  # others: hosts lack them
VEX_FEATURES |= {"aes", "pclmulqdq", "gfni", "vaes", "vpclmulqdq"}  # test_extensions.c, by bytes
VEX_LEFT_OUT = r"ldmxcsr|stmxcsr|vmaskmovdqu|.*rcp|.*rsqrt"
X87_LEFT_OUT = {"FLDENV", "FNSTENV", "FLDCW", "FRSTOR", "FNSAVE"}


def executed_generically(kind, feature, handler, row):
    if kind in SIMD_CLASSES:
        return feature in SIMD_FEATURES and handler not in SIMD_LEFT_OUT
    if kind in VEX_CLASSES:
        return feature in VEX_FEATURES and not re.match(VEX_LEFT_OUT, handler)
    mnemonic, encoding = row.split(" | ")[:2]
    return kind == "x87" and re.match(r"D[89A-F]\b", encoding) and mnemonic not in X87_LEFT_OUT


def handlers_of(nm, objects):
    names = subprocess.run([nm, "-u", *objects], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"\bhandlers_(\w+)", names))


def rows_of(tool, guests):
    """What isa_coverage prints after it ran the guests."""
    run = subprocess.run([tool, *guests], stdout=subprocess.PIPE, text=True)
    # A guest that fails is the business of its own test; what it executed before counts.
    if run.returncode not in (0, 1):
        sys.exit(f"{tool} ended with status {run.returncode}")
    return [line.split("\t") for line in run.stdout.splitlines()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--rebase", action="store_true")
    parser.add_argument("--guests", nargs="+", required=True)
    parser.add_argument("--objects", nargs="+", required=True)
    options = parser.parse_args()

    handlers = handlers_of(options.nm, options.objects)
    rows = rows_of(options.tool, options.guests)
    uncovered = []
    for executed, implemented, kind, feature, handler, row in rows:
        covered = executed == "1" or handler in handlers or executed_generically(kind, feature, handler, row)
        if implemented == "1" and not covered:
            uncovered.append(row)
    print(f"{len(rows)} rows, {sum(r[1] == '1' for r in rows)} implemented, {len(uncovered)} without a test")
    if options.rebase:
        LIST.write_text(TITLE + "".join(row + "\n" for row in uncovered))
        return
    listed = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    known = set(uncovered)
    stale = [row for row in listed if row not in known]
    new = [row for row in uncovered if row not in set(listed)]
    for row in stale:
        print(f"covered (or gone) and still in {LIST.name}: {row}")
    for row in new:
        print(f"without a test: {row}")
    if stale or new:
        sys.exit("`ninja -C build/release coverage_rebase` writes the list anew")


if __name__ == "__main__":
    main()
