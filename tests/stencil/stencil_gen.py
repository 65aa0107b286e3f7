#!/usr/bin/env python3
"""Makes a table of stencils from handlers that were compiled with tests/stencil/binding.h.

usage: stencil_gen.py OBJDUMP OUTPUT.c VARIANT OBJECT... [VARIANT OBJECT...]

VARIANT: plain, index, loop, wide: how the objects behind it were compiled. A handler becomes a stencil if all that its
code asks the linker for are operands and ways to go on: no call, no constant in memory, no look at its op. What is left out is
counted by reason on standard output. The last jump to the next stencil is cut off: the next one stands there.
"""
import collections
import pathlib
import re
import subprocess
import sys

VARIANTS = {"plain": 0, "index": 1, "loop": 2, "wide": 4}
KINDS = {"R_X86_64_64": "STENCIL_64", "R_X86_64_32S": "STENCIL_32S", "R_X86_64_32": "STENCIL_32", "R_X86_64_16": "STENCIL_16",
         "R_X86_64_8": "STENCIL_8", "R_X86_64_PLT32": "STENCIL_CODE", "R_X86_64_PC32": "STENCIL_CODE"}
INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t?([^\t]*)")
RELOCATION = re.compile(r"\t([0-9a-f]+): (R_\w+)\t(\S+)")
NEXT = ("next", "next_pair")


class Refused(Exception):
    """Why a handler is no stencil."""


def stencil(lines):
    """Bytes and holes of a function's disassembly."""
    code, holes, seen_op = b"", [], False
    for line in lines:
        found = INSTRUCTION.match(line)
        if found:
            offset, data, text = found.groups()
            if int(offset, 16) != len(code):
                sys.exit(f"bytes are missing before {line!r}")
            code += bytes.fromhex(data)
            if text.startswith("call"):
                raise Refused("calls")
            if "%r13" in text and not seen_op:
                seen_op = True  # from here on it is the next op
                if not re.match(r"mov +.*,%r13$", text):
                    raise Refused("looks at its op")
        for at, kind, symbol in RELOCATION.findall(line):
            match = re.fullmatch(r"stencil_(\w+)([+-]0x[0-9a-f]+)?", symbol)
            if not match:
                raise Refused("jumps away" if kind == "R_X86_64_PLT32" else "constants in memory")
            if kind not in KINDS:
                raise Refused(kind)
            holes.append((int(at, 16), KINDS[kind], match[1], int(match[2] or "0", 16)))
    if not code:
        sys.exit("this disassembly is not understood; binutils' objdump is asked for")
    if holes and holes[-1][2] in NEXT and holes[-1][0] == len(code) - 4 and code[-5] == 0xE9:
        holes.pop()
        code = code[:-5]
    return code, tuple(holes)


def functions(objdump, path):
    """Name and disassembly of each handler."""
    listing = subprocess.run([objdump, "-drw", path], capture_output=True, text=True, check=True).stdout
    for part in listing.split("\nDisassembly of section ")[1:]:
        for name, body in re.findall(r"^[0-9a-f]+ <op_(\w+)>:\n((?:.+\n?)*)", part, re.M):
            yield name, body.splitlines()


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    objdump, output, variant = sys.argv[1], pathlib.Path(sys.argv[2]), None
    table, refused, handlers, names = {}, collections.Counter(), 0, {}
    for argument in sys.argv[3:]:
        if argument in VARIANTS:
            variant = argument
            continue
        for name, lines in functions(objdump, argument):
            if names.setdefault((name, variant), argument) != argument:
                sys.exit(f"{name} is in {argument} and in {names[name, variant]}")
            handlers += variant == "plain"
            try:
                made = stencil(lines)
            except Refused as why:
                if variant == "plain":
                    refused[str(why)] += 1
                continue
            table.setdefault((name, made), set()).add(variant)
    code, holes, rows = b"", [], []
    for (name, (data, own)), variants in sorted(table.items(), key=lambda item: (item[0][0], sorted(item[1]))):
        serves = sum(1 << VARIANTS[variant] for variant in variants)
        rows.append(f'    {{ "{name}", {serves}, {len(data)}, {len(own)}, {len(code)}, {len(holes)} }},')
        code += data
        holes += [f"    {{ {at}, {kind}, HOLE_{symbol}, {addend} }}," for at, kind, symbol, addend in own]
    text = ['/* Made by stencil_gen.py. */', '#include "tests/stencil/stencil.h"', '', 'const struct stencil stencils[] = {', *rows,
            '};', f'const unsigned stencil_count = {len(rows)};', '', 'const struct stencil_hole stencil_holes[] = {', *holes, '};',
            '', 'const uint8_t stencil_code[] = {']
    text += ["    " + " ".join(f"{byte}," for byte in code[i:i + 24]) for i in range(0, len(code), 24)] + ["};", ""]
    output.write_text("\n".join(text))
    stencils = len({name for name, _ in table})
    print(f"{stencils} of {handlers} handlers are stencils ({len(rows)} with variants, {len(code)} bytes); the others: "
          + ", ".join(f"{count} {why}" for why, count in refused.most_common()))


if __name__ == "__main__":
    main()
