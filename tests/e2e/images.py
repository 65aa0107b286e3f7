#!/usr/bin/env python3
"""Malformed images, dialogues and command lines: one clear line on stderr and the documented status, under sanitizers."""
import os
import random
import struct

import harness
from harness import (BAD_INPUT, CLOUD, INITRD, USAGE, assemble, case, check, flat, need, one_line, sim, temporary)

PT_LOAD, PT_NOTE = 1, 4
HLT = b"\xfa\xf4"  # cli, hlt


def write(name, data):
    path = temporary(name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def elf(segments, machine=62, ident=b"\x7fELF\2\1\1", entry=0x200000, phnum=None, phoff=64, body=HLT * 2048):
    """A 64-bit ELF file; a segment is (type, offset, paddr, filesz, memsz). The body lies at offset 4096."""
    header = ident.ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, phoff, 0, 0, 64, 56,
                                                  len(segments) if phnum is None else phnum, 64, 0, 0)
    for kind, offset, paddr, filesz, memsz in segments:
        header += struct.pack("<IIQQQQQQ", kind, 7, offset, paddr, paddr, filesz, memsz, 4096)
    return header.ljust(4096, b"\0") + body


def elf32(machine=3, entry=0x200000):
    header = b"\x7fELF\1\1\1".ljust(16, b"\0") + struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, entry, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    header += struct.pack("<IIIIIIII", PT_LOAD, 4096, 0x200000, 0x200000, 16, 16, 7, 4096)
    return header.ljust(4096, b"\0") + HLT * 8


GOOD = (PT_LOAD, 4096, 0x200000, 4096, 4096)


def refuses(name, data, texts=(), *options, status=BAD_INPUT):
    path = write(name.replace(" ", "-"), data) if isinstance(data, bytes) else data
    result = sim("run", "--kernel", path, "--memory", "64M", "--seed", 1, *options, build="asan", status=None)
    check(result.status == status, f"{name}: expected status {status} of\n{result}")
    one_line(result, *texts)


@case
def no_files():
    refuses("missing", temporary("nothing"), ["nothing", "No such file"])
    refuses("directory", os.path.dirname(temporary("x")), ["directory"])
    refuses("file as folder", write("file", b"x") + "/x", ["Not a directory"])
    refuses("device without end", "/dev/zero", ["/dev/zero", "device"])
    good = assemble("letters")
    for option in "--initrd", "--module", "--expect":
        refuses("missing " + option, good, ["nothing"], "--entry", "flat", option, temporary("nothing"))
        refuses("directory as " + option, good, ["directory"], "--entry", "flat", option, os.path.dirname(good))


@case
def no_kernels():
    refuses("empty", b"", ["empty"])
    refuses("one byte", b"x", ["no known kernel format"])
    refuses("text", b"#!/bin/sh\n" * 1000, ["no known kernel format"])
    refuses("zeros", bytes(100000), ["no known kernel format"])
    refuses("empty flat", b"", ["empty"], "--entry", "flat")
    refuses("flat too large", bytes(80 << 20), ["flat image", "not inside"], "--entry", "flat")
    for kind in "linux64", "pvh":
        refuses("text as " + kind, b"no ELF" * 100, ["ELF"], "--entry", kind)
    refuses("text as multiboot", b"no header" * 2000, ["Multiboot"], "--entry", "multiboot")


@case
def bzimages():
    need(CLOUD)
    whole = (harness.ROOT / CLOUD).read_bytes()

    def changed(offset, form, value):
        return whole[:offset] + struct.pack(form, value) + whole[offset + struct.calcsize(form):]

    setup = (whole[0x1F1] + 1) * 512
    for size in 0x206, 0x230, 0x264:
        refuses(f"cut at {size}", whole[:size], ["setup header cut off"])
    refuses("cut at 0x205", whole[:0x205], ["no known kernel format"])
    for size in 0x268, setup, setup + 1, setup + 100000, len(whole) - 4096:
        refuses(f"cut at {size}", whole[:size], ["kernel code of"])
    refuses("magic", changed(0x202, "4s", b"HdrX"), ["no known kernel format"])
    refuses("boot flag", changed(0x1FE, "<H", 0xAA56), ["no known kernel format"])
    refuses("old protocol", changed(0x206, "<H", 0x20B), ["2.11", "64-bit entry"])
    refuses("16 bits only", changed(0x236, "<H", 0), ["64-bit entry"])
    refuses("loaded low", changed(0x211, "B", 0), ["64-bit entry"])
    refuses("no code", changed(0x1F4, "<I", 0), ["kernel code of"])
    refuses("huge code", changed(0x1F4, "<I", 0xFFFFFFFF), ["kernel code of"])
    refuses("huge init_size", changed(0x260, "<I", 0xFFFFFFFF), ["init_size"])
    low = changed(0x258, "<Q", 0x10000)
    refuses("alignment", low[:0x230] + struct.pack("<I", 12345) + low[0x234:], ["kernel_alignment"])
    refuses("huge alignment", low[:0x230] + struct.pack("<I", 1 << 31) + low[0x234:], ["init_size"])
    refuses("low", low[:0x234] + b"\0" + low[0x235:], ["init_size"])
    refuses("little memory", CLOUD, ["init_size", "memory"], "--memory", "32M")
    refuses("a little too little memory", CLOUD, ["init_size", "memory"])
    refuses("long command line", CLOUD, ["command line", "2047"], "--memory", "128M", "--cmdline", "x" * 3000)
    refuses("too long for a log", CLOUD, ["--cmdline"], "--cmdline", "x" * 10000, status=USAGE)
    large = temporary("large")
    with open(large, "wb") as file:
        file.truncate(100 << 20)
    refuses("large initrd", CLOUD, ["initrd", "does not fit"], "--initrd", large, "--memory", "128M")


@case
def elves():
    def refuses_segments(name, segments, *texts, **keywords):
        refuses(name, elf(segments, **keywords), texts)

    refuses_segments("no segment", [], "without a loadable segment")
    refuses_segments("overlapping", [GOOD, (PT_LOAD, 4096, 0x200FFF, 100, 100)], "segment 1", "overlaps")
    refuses_segments("equal", [GOOD, GOOD], "overlaps")
    refuses_segments("huge in memory", [(PT_LOAD, 4096, 0x200000, 16, 1 << 63)], "segment 0", "not inside")
    refuses_segments("huge in file", [(PT_LOAD, 4096, 0x200000, 1 << 63, 1 << 63)], "segment 0", "claims")
    refuses_segments("around the end", [(PT_LOAD, 4096, (1 << 64) - 4096, 4096, 8192)], "not inside")
    refuses_segments("behind the file", [(PT_LOAD, 1 << 62, 0x200000, 4096, 4096)], "claims")
    refuses_segments("over the file's end", [(PT_LOAD, 4096, 0x200000, 8192, 8192)], "claims")
    refuses_segments("offset wraps", [(PT_LOAD, (1 << 64) - 1, 0x200000, 2, 2)], "claims")
    refuses_segments("more in file", [(PT_LOAD, 4096, 0x200000, 4096, 100)], "claims")
    refuses_segments("over memory's end", [(PT_LOAD, 4096, (64 << 20) - 100, 4096, 4096)], "not inside")
    refuses_segments("below 1 MiB", [(PT_LOAD, 4096, 0x1000, 4096, 4096)], "not inside")
    refuses_segments("in the hole below 4 GiB", [(PT_LOAD, 4096, 0xFEE00000, 4096, 4096)], "not inside")
    refuses_segments("too many", [(PT_LOAD, 4096, 0x200000 + i * 4096, 16, 16) for i in range(70)], "more than 64")
    refuses_segments("headers behind the file", [GOOD], "headers", phoff=1 << 40)
    refuses_segments("too many headers", [GOOD], "", phnum=65000)
    refuses_segments("wrong machine", [GOOD], "ELF machine 183", machine=183)
    refuses_segments("big-endian", [GOOD], "ELF", ident=b"\x7fELF\2\2\1")
    refuses_segments("class 3", [GOOD], "ELF", ident=b"\x7fELF\3\1\1")
    refuses("32 bits", elf32(), ["32 bits"])
    whole = elf([GOOD])
    for size in [4, 5, 16, 63, 64, 65, 100, 119, 4096, 8191]:
        refuses(f"ELF cut at {size}", whole[:size], [f"ELF-cut-at-{size}"])
    # Execution of what is accepted: HLT with interrupts off.
    sim("run", "--kernel", write("good", whole), "--memory", "64M", "--seed", 1, build="asan", status=harness.IDLE)


@case
def pvh():
    def note(name, kind, desc, namesz=None, descsz=None):
        return struct.pack("<III", len(name) if namesz is None else namesz, len(desc) if descsz is None else descsz,
                           kind) + name.ljust(-(-len(name) // 4) * 4, b"\0") + desc

    def image(notes, size=None):
        return elf([GOOD, (PT_NOTE, 4096, 0, len(notes) if size is None else size, 0)], body=notes.ljust(8192, b"\0"))

    xen = b"Xen\0"
    for name, notes in {"no note": b"", "other note": note(xen, 17, bytes(8)), "other name": note(b"GNU\0", 18, bytes(8)),
                        "empty note": note(xen, 18, b""), "short note": note(xen, 18, b"\0\0"),
                        "huge name": note(xen, 18, bytes(8), namesz=0xFFFFFFFF),
                        "huge description": note(xen, 18, bytes(8), descsz=0xFFFFFFF0)}.items():
        refuses(name, image(notes), ["no PVH entry"], "--entry", "pvh")
    refuses("notes over the end", image(note(xen, 18, bytes(8)), 1 << 40), ["no PVH entry"], "--entry", "pvh")
    refuses("high entry", image(note(xen, 18, struct.pack("<Q", 1 << 33))), ["above 4 GiB"], "--entry", "pvh")
    refuses("no PVH entry", elf([GOOD]), ["no PVH entry"], "--entry", "pvh")


@case
def multiboot():
    def image(flags, *fields, at=0, magic=0x1BADB002, checksum=None):
        checksum = -(magic + flags) & 0xFFFFFFFF if checksum is None else checksum
        header = struct.pack("<III", magic, flags, checksum) + struct.pack(f"<{len(fields)}I", *fields)
        return (bytes(at) + header).ljust(16384, b"\xf4")

    base = 0x200000
    as_multiboot = ["--entry", "multiboot"]
    refuses("checksum", image(1 << 16, base, base, 0, 0, base, checksum=5), ["Multiboot"], *as_multiboot)
    refuses("header too far", image(1 << 16, base, base, 0, 0, base, at=8192), ["Multiboot"], *as_multiboot)
    refuses("cut header", image(1 << 16)[:12], [], *as_multiboot)
    refuses("no address", image(0), [], *as_multiboot)
    refuses("unknown demand", image(1 << 16 | 1 << 9, base, base, 0, 0, base), ["flags"], *as_multiboot)
    refuses("load above header", image(1 << 16, base, base + 4096, 0, 0, base), [], *as_multiboot)
    refuses("ends before start", image(1 << 16, base, base, base - 1, 0, base), [], *as_multiboot)
    refuses("loads more than there is", image(1 << 16, base, base, base + (1 << 24), 0, base), [], *as_multiboot)
    refuses("huge bss", image(1 << 16, base, base, 0, 0xFFFFFFFF, base), ["not inside"], *as_multiboot)
    refuses("below 1 MiB", image(1 << 16, 0x1000, 0x1000, 0, 0, 0x1000), ["not inside"], *as_multiboot)


@case
def dialogues():
    good = assemble("letters")
    for name, text in {"no verb": b'"x"\n', "unknown verb": b'wait "x"\n', "no text": b"send\n", "no quote": b"send x\n",
                       "open quote": b'send "x\n', "bad escape": b'send "\\q"\n', "short hex": b'send "\\x1"\n',
                       "something behind": b'send "x" y\n', "empty expect": b'expect ""\n', "zeros": bytes(100),
                       "long": b'expect "' + b"x" * 2000 + b'"\n'}.items():
        refuses("dialogue " + name, good, ["line 1"], "--entry", "flat", "--expect", write("d", text))
    refuses("long dialogue", good, ["line"], "--entry", "flat", "--expect", write("d", b'send "x"\n' * 5000))


@case
def command_lines():
    """Mistakes of the user: status 2, and what was wrong."""
    kernel = flat(assemble("letters"))

    def mistake(*arguments, texts=()):
        one_line(sim(*arguments, build="asan", status=USAGE), *texts)

    mistake("frobnicate", texts=["frobnicate"])
    mistake("--frobnicate")
    for verb in "run", "record", "replay", "log":
        mistake(verb, "--frobnicate", texts=["--frobnicate"])
        mistake(verb, "-Z", texts=["-Z"])
    for verb in "replay", "log":
        mistake(verb, texts=["log"])
        mistake(verb, "one", "two", texts=["two"])
    mistake("run", texts=["--kernel"])
    mistake("run", "--kernel", texts=["--kernel"])
    mistake("run", *kernel, "more", texts=["more"])
    for option, values in {
            "--memory": ["", "0", "1M", "4097", "x", "-1", "256Q", "65G", "99999999999999999999", "0x", "256MM"],
            "--cpu": ["", "x86-64", "x86-64-v9", "host"],
            "--entry": ["", "elf"],
            "--seed": ["", "x", "-1", "18446744073709551616", "0x", "1k"],
            "--rtc": ["", "now", "2025-13-01", "1969-12-31", "2025-01-01T", "2025-01-01 10:00:00", "10000-01-01"],
            "--max-cycles": ["", "x", "-5", "1.5"],
            "--mark-every": ["0", "x"],
            "--idle-limit": ["x", ""],
            "--on-reset": ["", "never"],
            "--fp": ["x87"],
            "--until": ["", "x" * 2000],
            "--fail": [""],
            "--single-step": ["", "5", "5:", ":5", "7:5", "a:b"]}.items():
        for value in values:
            mistake("run", *kernel, option, value)
            mistake("run", *kernel, f"{option}={value}")
    mistake("run", *kernel, "--quiet=yes", texts=["--quiet"])
    mistake("run", *kernel, *["--module", kernel[1]] * 20, texts=["--module"])
    mistake("decode", "--mode", "8", "90")
    for arguments in [["--help"], *([verb, "--help"] for verb in ["run", "record", "replay", "log", "isa", "decode"])]:
        result = sim(*arguments, build="asan")
        check(result.out.startswith(b"sim 0") or result.out.startswith(b"usage: sim "), f"no help in\n{result}")
        check(result.err == "", f"help on stderr:\n{result}")
    none = sim(build="asan", status=USAGE)
    check("usage: sim COMMAND" in none.err and none.out == b"", f"no usage on stderr of\n{none}")


@case
def mutants():
    """Images with a few wrong bytes each: whatever happens, sim ends with a status it has documented, and soon."""
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"mutants by random.Random({seed})")
    chance = random.Random(seed)
    parents = {"elf": elf([GOOD, (PT_NOTE, 4096, 0, 100, 0)]), "elf32": elf32()}
    headers = {"elf": 180, "elf32": 90}
    if (harness.ROOT / CLOUD).exists():
        parents["bzimage"] = (harness.ROOT / CLOUD).read_bytes()[:60000]
        parents["bzimage"] = parents["bzimage"][:0x1F4] + struct.pack("<I", 2400) + parents["bzimage"][0x1F8:]
        headers["bzimage"] = 0x280
    for turn in range(150):
        name = chance.choice(sorted(parents))
        data = bytearray(parents[name])
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(headers[name])
            data[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1 << chance.randrange(8), chance.randrange(256)])
        entry = chance.choice(["auto", "auto", "linux64", "pvh", "multiboot", "flat"])
        result = sim("run", "--kernel", write("mutant", bytes(data)), "--memory", "64M", "--entry", entry, "--seed", turn,
                     "--max-cycles", 20000, build="asan", status=None, timeout=10)
        check(0 <= result.status <= 10 or 64 <= result.status < 128, f"mutant {turn}:\n{result}")


if __name__ == "__main__":
    harness.main()
