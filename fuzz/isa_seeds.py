#!/usr/bin/env python3
"""Makes AFL++ dictionaries and seed inputs from cpu/isa.def, so that the fuzzer knows every row from the start.

usage: isa_seeds.py ISA.DEF dictionary            the dictionary on standard output
       isa_seeds.py ISA.DEF seeds DIRECTORY       writes DIRECTORY/decoder/*, DIRECTORY/executor/*
"""
import os
import re
import sys

MODES = ["real", "vm86", "protected16", "protected32", "user32", "paged32", "pae", "compatible", "long", "long-user"]
PP = {"66": 1, "F3": 2, "F2": 3}
LEGACY_MAPS = {"0F": [0x0F], "0F38": [0x0F, 0x38], "0F3A": [0x0F, 0x3A]}
VEX_MAPS = {"0F": 1, "0F38": 2, "0F3A": 3, "MAP5": 5, "MAP6": 6}
MODRM = 0xC1  # register form; the memory form is [rbx]


def rows(path):
    with open(path) as file:
        for line in file:
            cells = [cell.strip() for cell in line.split("|")]
            if not line.startswith(("#", "feature ")) and len(cells) == 8:
                yield cells


def vex(spec, opcode):
    """C4 prefix (three bytes) and opcode, or the EVEX prefix."""
    parts = spec.split(".")
    pp = next((PP[p] for p in parts if p in PP), 0)
    number = next((VEX_MAPS[p] for p in parts if p in VEX_MAPS), 1)
    w = 0x80 if "W1" in parts else 0
    length = 2 if "512" in parts else 1 if "256" in parts else 0
    if parts[0] == "EVEX":
        return bytes([0x62, 0xF0 | number, 0x7C | w | pp, 0x08 | length << 5, opcode])
    return bytes([0xC4, 0xE0 | number, 0x78 | w | min(length, 1) << 2 | pp, opcode])


def encodings(encoding, operands):
    """The byte strings of one row, immediates included."""
    tokens = encoding.split()
    head, body, vex_spec, modrm = [], [], None, [None]
    rex = b""
    for token in tokens:
        if token.startswith(("VEX", "EVEX")):
            vex_spec = token
        elif token == "REX.W+":
            rex = b"\x48"
        elif token in ("o16", "a32"):
            head.append(0x66 if token == "o16" else 0x67)
        elif token in LEGACY_MAPS:
            body += LEGACY_MAPS[token]
        elif token in PP and not body and not vex_spec:
            head.append(int(token, 16))
        elif re.fullmatch("[0-9A-F]{2}", token):
            body.append(int(token, 16))
        elif re.fullmatch(r"[0-9A-F]{2}\+[ri]", token):
            body.append(int(token[:2], 16) + 1)
        elif token == "/r":
            modrm = [MODRM, 0x03]
        elif re.fullmatch("/[0-7]", token):
            modrm = [MODRM | int(token[1]) << 3, 0x03 | int(token[1]) << 3]
    if "mem" in tokens:
        modrm = modrm[1:]
    if "reg" in tokens:
        modrm = modrm[:1]
    immediate = b""
    for code in operands.replace(" ", "").split(","):
        if re.match("[IJL]", code):
            immediate += b"\x05" if code.endswith(("b", "bs")) or code[0] == "L" else b"\x05\x00" if code == "Iw" else b"\x05\0\0\0"
    start = vex(vex_spec, body[0]) + bytes(body[1:]) if vex_spec else bytes(head) + rex + bytes(body)
    return [start + (b"" if m is None else bytes([m])) + immediate for m in modrm]


def dictionary(path):
    seen = set()
    for prefix in b"\x66\x67\xF0\xF2\xF3\x2E\x36\x3E\x26\x64\x65\x48\x41\x4F":
        print('prefix_%02X="\\x%02X"' % (prefix, prefix))
    for mnemonic, encoding, operands, *_ in rows(path):
        for number, code in enumerate(encodings(encoding, operands)):
            if code not in seen:
                seen.add(code)
                name = re.sub("[^A-Za-z0-9]", "_", mnemonic)
                print('%s_%d="%s"' % (name, len(seen), "".join("\\x%02X" % byte for byte in code)))
    print('locked_cmpxchg16b="\\xF0\\x48\\x0F\\xC7\\x0C"')


def write(directory, name, data):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as file:
        file.write(data)


def chunks(codes, limit):
    piece = b""
    for code in codes:
        if len(piece) + len(code) > limit:
            yield piece
            piece = b""
        piece += code
    if piece:
        yield piece


def seeds(path, directory):
    families = {}
    for mnemonic, encoding, operands, feature, flags, attributes, kind, handler in rows(path):
        key = kind if kind != "-" else "general" if feature == "-" else "general-" + feature
        if "cpl0" in attributes or "ends" in attributes or "branch" in attributes:
            key = "system"
        if encoding.startswith(("VEX", "EVEX")):
            key = "vex" if encoding.startswith("VEX") else "evex"
        families.setdefault(re.sub("[^a-z0-9-]", "", key), []).extend(encodings(encoding, operands))
    for family, codes in sorted(families.items()):
        for number, piece in enumerate(chunks(codes, 600)):
            for mode in (0, 1, 2):
                write(directory + "/decoder", "seed-%s-%d-%d" % (family, number, 16 << mode), bytes([mode | 4]) + piece)
        for number, piece in enumerate(chunks(codes, 96)):
            mode = (8, 9, 8, 3, 7, 5, 8, 6, 0, 2, 4, 1)[number % 12]
            vectors = family in ("vex", "evex")
            header = bytes([mode, 3 if vectors else 1, 8 if vectors else 0, 0, 0, number * 37 & 0xFF,
                            number & 3, 120]) + bytes([number * 5 & 0xFF] * 8)
            write(directory + "/executor", "seed-%s-%02d-%s" % (family, number, MODES[mode]), header + piece)


def main():
    if len(sys.argv) == 3 and sys.argv[2] == "dictionary":
        dictionary(sys.argv[1])
    elif len(sys.argv) == 4 and sys.argv[2] == "seeds":
        seeds(sys.argv[1], sys.argv[3])
    else:
        sys.exit(__doc__)


main()
