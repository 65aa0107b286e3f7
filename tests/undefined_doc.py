#!/usr/bin/env python3
"""The table in docs/undefined.md is what the instruction table says.

usage: undefined_doc.py [--rebase] SIM UNDEFINED.MD
"""
import subprocess
import sys

BEGIN, END = "<!-- sim isa --undefined -->\n", "<!-- end -->\n"


def main(arguments):
    rebase = arguments[:1] == ["--rebase"]
    sim, path = arguments[rebase:]
    table = subprocess.run([sim, "isa", "--undefined"], check=True, capture_output=True, text=True).stdout
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    shown, after = rest.split(END)
    if rebase:
        with open(path, "w", encoding="utf-8") as file:
            file.write(before + BEGIN + table + END + after)
    elif shown != table:
        sys.exit(f"{path} is out of date: tests/undefined_doc.py --rebase {sim} {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
