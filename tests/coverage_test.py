#!/usr/bin/env python3
"""No row of the instruction table without a test.

Each row that is implemented must be executed by a guest in tests/asm, or by a unit test: one that names its handler
(the unit test's object file refers to handlers_NAME), or one that takes rows from the table and tells which
(tests/unit/rows.h). A row for which this does not hold fails this test.

    coverage_test.py --sim SIM --tool ISA_COVERAGE --nm NM --table FILE --guests IMAGE... --objects OBJECT...
                     --tests PROGRAM...

What was found is written to the table, a line for each row that has a test: the row, a tab, and the tests' names with spaces
between. `sim isa --coverage --tests FILE` shows it, which is checked here, too.
"""
import argparse
import pathlib
import re
import subprocess
import sys


def handlers_of(nm, objects):
    """Handler names, each with the unit tests that refer to it."""
    found = {}
    for path in objects:
        names = subprocess.run([nm, "-u", path], check=True, capture_output=True, text=True).stdout
        test = "unit/" + pathlib.Path(path).name.split(".")[0]
        for handler in re.findall(r"\bhandlers_(\w+)", names):
            found.setdefault(handler, []).append(test)
    return found


def rows_of_tests(programs):
    """Rows, each with the unit tests that say they go through it."""
    found = {}
    for program in programs:
        # A program may print what cmocka says beside the rows.
        run = subprocess.run([program, "--rows"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines = [line for line in run.stdout.splitlines() if " | " in line]
        if run.returncode or not lines:
            sys.exit(f"{program} --rows ended with status {run.returncode} and {len(lines)} rows")
        for line in lines:
            found.setdefault(line, []).append("unit/" + pathlib.Path(program).name)
    return found


def rows_of_guests(tool, guests):
    """What isa_coverage prints after it ran the guests, with their names."""
    run = subprocess.run([tool, *guests], stdout=subprocess.PIPE, text=True)
    # A guest that fails is the business of its own test; what it executed before counts.
    if run.returncode not in (0, 1):
        sys.exit(f"{tool} ended with status {run.returncode}")
    names = ["asm/" + pathlib.Path(guest).stem for guest in guests]
    for line in run.stdout.splitlines():
        implemented, handler, row, numbers = line.split("\t")
        yield implemented == "1", handler, row, [names[int(number)] for number in numbers.split()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sim", required=True)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--table", required=True, type=pathlib.Path)
    parser.add_argument("--guests", nargs="+", required=True)
    parser.add_argument("--objects", nargs="+", required=True)
    parser.add_argument("--tests", nargs="+", required=True)
    options = parser.parse_args()

    by_handler = handlers_of(options.nm, options.objects)
    by_row = rows_of_tests(options.tests)
    table, rows, implemented_rows, uncovered = [], set(), 0, []
    for implemented, handler, row, tests in rows_of_guests(options.tool, options.guests):
        rows.add(row)
        tests = tests + sorted(set(by_handler.get(handler, []) + by_row.get(row, [])))
        implemented_rows += implemented
        if implemented and not tests:
            uncovered.append(row)
        if implemented and tests:
            table.append(f"{row}\t{' '.join(tests)}\n")
    options.table.write_text("".join(table))
    print(f"{len(rows)} rows, {implemented_rows} implemented, {len(uncovered)} without a test")
    for row in uncovered:
        print(f"without a test: {row}")
    unknown = sorted(set(by_row) - rows)
    for row in unknown:
        print(f"a unit test speaks of a row that the table does not have: {row}")
    shown = subprocess.run([options.sim, "isa", "--coverage", "--tests", options.table], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    expected = f"{len(rows)} rows, {implemented_rows} implemented, {len(table)} with a test; "
    if len(shown) != len(rows) + 1 or not shown[-1].startswith(expected):
        sys.exit(f"sim isa --coverage shows {len(shown) - 1} rows and ends with: {shown[-1]}")
    sys.exit(bool(uncovered or unknown))


if __name__ == "__main__":
    main()
