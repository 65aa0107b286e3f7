#!/usr/bin/env python3
"""Turns a compiled ACPI table into a constant C array: aml_to_c.py TABLE.aml OUT.h"""
import sys


def main():
    with open(sys.argv[1], "rb") as source:
        aml = source.read()
    lines = [", ".join(f"0x{byte:02X}" for byte in aml[i : i + 16]) for i in range(0, len(aml), 16)]
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write("static const unsigned char acpi_dsdt[] = {\n    " + ",\n    ".join(lines) + ",\n};\n")


main()
