#!/usr/bin/env python3
"""Writes the seeds of the fuzz target "board" (fuzz/board.c has the format): board_seeds.py DIRECTORY"""
import pathlib
import struct
import sys

LAPIC, IOAPIC = 1, 0  # memory-mapped ranges in the order of their addresses


def read(port):
    return struct.pack("<BH", 0, port)


def write(port, *values):
    return b"".join(struct.pack("<BHB", 1, port, value) for value in values)


def wide_write(port, value):
    return struct.pack("<BHI", 1 | 2 << 3, port, value)


def wide_read(port):
    return struct.pack("<BH", 2 << 3, port)


def lapic(offset, value):
    return struct.pack("<BBHI", 3 | 2 << 3, LAPIC, offset, value) + struct.pack("<BBH", 2 | 2 << 3, LAPIC, offset)


def ioapic(register, value):
    return (struct.pack("<BBHI", 3 | 2 << 3, IOAPIC, 0, register) + struct.pack("<BBHI", 3 | 2 << 3, IOAPIC, 16, value) +
            struct.pack("<BBH", 2 | 2 << 3, IOAPIC, 16))


def rdmsr(number):
    return struct.pack("<BB", 4, number)


def wrmsr(number, value):
    return struct.pack("<BBQ", 5, number, value)


def spin(count):
    return struct.pack("<BB", 7, count)


WAIT = b"\6"  # for ever, if nothing interrupts
PAUSE = spin(200)
PIC = write(0x20, 0x11) + write(0x21, 0x20, 4, 1, 0) + write(0xA0, 0x11) + write(0xA1, 0x28, 2, 1, 0)
TIMER = write(0x43, 0x34) + write(0x40, 3, 0)
APIC = lapic(0xF0, 0x1FF) + lapic(0x80, 0)


def cmos(index, value):
    return write(0x70, index) + write(0x71, value) + write(0x70, index) + read(0x71)


SEEDS = {
    "pic-pit": PIC + TIMER + WAIT * 3 + write(0x20, 0x0A) + read(0x20) + write(0x20, 0x0B, 0x0C) + read(0x20) +
    write(0x20, 0x68, 0xC3, 0xA0, 0x48) + WAIT + write(0x4D0, 0x20) + read(0x4D1) + write(0x21, 0xFF),
    "pit-modes": b"".join(write(0x43, mode) + write(0x40 + (mode >> 6), 9, 0) + spin(40) + write(0x43, 0xC2 | 2 << (mode >> 6)) +
                          read(0x40 + (mode >> 6)) * 3 for mode in (0x30, 0x32, 0x34, 0x36, 0x38, 0x3A, 0x77, 0xB6)) +
    write(0x61, 3) + read(0x61) + spin(90) + read(0x61),
    "apic-timer": PIC + APIC + lapic(0x3E0, 11) + lapic(0x320, 0x20040) + lapic(0x380, 500) + WAIT * 4 +
    lapic(0x320, 0x00041) + lapic(0x380, 99) + WAIT + lapic(0x390, 0),
    "apic-deadline": APIC + lapic(0x320, 0x40050) + wrmsr(67, 1 << 20) + rdmsr(67) + WAIT + wrmsr(67, 0) + rdmsr(64),
    "x2apic": rdmsr(65) + wrmsr(65, 0xFEE00D00) + wrmsr(0x0F, 0x1FF) + rdmsr(2) + rdmsr(0x20) + wrmsr(0x32, 0x20060) +
    wrmsr(0x3E, 0) + wrmsr(0x38, 300) + WAIT + wrmsr(0x3F, 0x55) + WAIT + wrmsr(0x30, 0x44455) + wrmsr(0x0B, 0) +
    wrmsr(65, 0xFEE00100) + rdmsr(65),
    "ipi": APIC + lapic(0x310, 0) + lapic(0x300, 0x40041) + WAIT + lapic(0x300, 0x44050) + lapic(0x300, 0x00400) + spin(5) +
    lapic(0x300, 0x00200) + lapic(0x280, 0) + lapic(0x300, 0x500) + lapic(0x300, 0x601),
    "ioapic": APIC + ioapic(1, 0) + ioapic(0x14, 0x50) + ioapic(0x15, 0) + ioapic(0x18, 0x8051) + ioapic(0x22, 0xA061) + TIMER +
    WAIT * 2 + write(0x3F9, 1) + WAIT + struct.pack("<BBHI", 3 | 2 << 3, IOAPIC, 0x40, 0x51),
    "rtc": PIC + cmos(0x0A, 0x23) + cmos(0x0B, 0x72) + WAIT * 3 + write(0x70, 0x0C) + read(0x71) + cmos(1, 1) + cmos(3, 0xC0) +
    cmos(0x0B, 0xF6) + cmos(9, 0x99) + cmos(0x0B, 0x36) + WAIT * 2 + cmos(0x32, 0x20),
    "uart": PIC + write(0x3FB, 0x80) + write(0x3F8, 1) + write(0x3F9, 0) + write(0x3FB, 3) + write(0x3FA, 0xC7) +
    write(0x3FC, 0x0B) + write(0x3F9, 0x0F) + write(0x3F8, 0x41) + PAUSE * 2 + read(0x3FA) + read(0x3F8) * 3 + read(0x3FD) +
    write(0x3FC, 0x1F) + write(0x3F8, 0x42) + read(0x3F8) + read(0x3FE) + write(0x3FA, 0x06) + PAUSE + read(0x3F8),
    "i8042": PIC + write(0x64, 0x20) + read(0x60) + write(0x64, 0x60) + write(0x60, 0x47) + write(0x60, 0xFF) + PAUSE +
    read(0x60) * 3 + write(0x64, 0xD4) + write(0x60, 0xFF) + read(0x64) + read(0x60) + write(0x64, 0xAA) + read(0x60) +
    write(0x64, 0xD1) + write(0x60, 3) + write(0x64, 0xD2) + write(0x60, 7),
    "acpi-pci": PIC + wide_read(0x608) + wide_write(0x600, 0x01010101) + wide_write(0x604, 1) + wide_read(0x604) + PAUSE +
    wide_write(0xCF8, 0x80000000) + wide_read(0xCFC) + wide_write(0xCF8, 0x8000F808) + read(0xCFE) + wide_write(0xCFC, 0x1234) +
    read(0x92) + write(0x92, 2) + write(0x80, 1) + write(0xCF9, 2),
    "reset": write(0xCF9, 6),
    "power-off": wide_write(0x604, 0x3C01) + wide_write(0x604, 0x3400),
}

directory = pathlib.Path(sys.argv[1])
for name, operations in SEEDS.items():
    (directory / f"seed-{name}").write_bytes(struct.pack("<QBB", 7, 1, 4) + b"ab\r\n" + operations)
