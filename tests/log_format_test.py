#!/usr/bin/env python3
"""The log as docs/log-format.md describes it, read by other people's libraries: msgpack for the objects, libxxhash for the seals.

    log_format_test.py SIM GUEST       records the guest with one byte typed and many marks, then reads the log
"""
import ctypes
import ctypes.util
import os
import subprocess
import sys
import tempfile

try:
    import msgpack
except ImportError:
    print("skipped: no msgpack for this Python (python3-msgpack)")
    sys.exit(77)

xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
xxhash.XXH3_64bits.restype = ctypes.c_uint64
xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

SETTINGS = ["memory", "cpu", "undefined", "rtc", "cmdline", "entry", "on-reset", "mark-every"]
INPUT, MARK, END = 1, 2, 3
SEAL_BYTES = 10  # C4 08 and eight bytes


def check(condition, what):
    if not condition:
        sys.exit(f"the log is not as documented: {what}")


def check_seal(data, end, seal):
    """The seal that ends before byte `end` is the hash of everything before it."""
    start = end - SEAL_BYTES
    check(data[start : start + 2] == b"\xc4\x08" and data[start + 2 : end] == seal, f"seal at {start}")
    check(xxhash.XXH3_64bits(data[:start], start) == int.from_bytes(seal, "big"), f"hash of the seal at {start}")


def check_header(data, header, end):
    check(data[:9] == b"\x87\xa7sim-log", "the first bytes")
    check(list(header) == ["sim-log", "model", "fingerprint", "settings", "images", "seed", "seal"], "keys of the header")
    check(header["sim-log"] == 1 and header["seed"] == 7, "format or seed")
    check(list(header["settings"]) == SETTINGS, "keys of the settings")
    check(header["settings"]["mark-every"] == 100000, "mark-every")
    check([image[0] for image in header["images"]] == ["kernel"], "images")
    role, path, size, digest = header["images"][0]
    check(size == os.path.getsize(path) and len(digest) == 16, "size and hash of the kernel")
    check_seal(data, end, header["seal"])


def check_record(data, record, start, end, last_cycle):
    kind, length, cycle = record[:3]
    check(length == end - start <= 127, f"length of the record at {start}")
    check(cycle >= last_cycle, f"cycle of the record at {start}")
    if kind == INPUT:
        check(len(record) == 5 and record[3] == 0 and 1 <= len(record[4]) <= 64, f"input at {start}")
    elif kind == MARK:
        check(len(record) == 5 and len(record[3]) == 8, f"mark at {start}")
    else:
        check(kind == END and len(record) == 8 and len(record[6]) == 8, f"end at {start}")
    if kind != INPUT:
        check_seal(data, end, record[-1])


def main():
    sim, guest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        dialogue, log = f"{folder}/dialogue", f"{folder}/log.mp"
        with open(dialogue, "w") as file:
            file.write('send "x"\n')
        command = [sim, "record", "-q", "-o", log, "--kernel", guest, "--seed", "7", "--mark-every", "100000", "--expect", dialogue]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        with open(log, "rb") as file:
            data = file.read()
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=True)
    unpacker.feed(data)
    header = unpacker.unpack()
    start = unpacker.tell()
    check_header(data, header, start)
    kinds, cycle = [], 0
    for record in unpacker:
        check_record(data, record, start, unpacker.tell(), cycle)
        check(msgpack.packb(record) == data[start : unpacker.tell()], f"shortest form at {start}")
        kinds.append(record[0])
        start, cycle = unpacker.tell(), record[2]
    check(start == len(data), "something behind the last record")
    check(kinds[0] == MARK and kinds[-1] == END and kinds.count(END) == 1, "order of records")
    check(kinds.count(MARK) > 3 and kinds.count(INPUT) == 1, "number of marks and inputs")
    print(f"{len(data)} bytes, {kinds.count(INPUT)} inputs, {kinds.count(MARK)} marks")


if __name__ == "__main__":
    main()
