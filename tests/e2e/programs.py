#!/usr/bin/env python3
"""
Real programs compute the same in the guest as on the host: hashes, ciphers, big integers, elliptic curves, floats, regular
expressions, JSON, compression, by Debian's busybox, openssl, python3, perl, bc, sqlite3 and luajit (tests/e2e/programs).

The very same files run in both places: scripts/guests programs makes the root folder and the initrd from it. On the host
they run by chroot. glibc and OpenSSL pick their code by CPUID, and mathematical functions with FMA may end in another
digit than those without, so on the host they are told what the guest's CPU model has.
"""
import filecmp
import os
import pathlib
import platform
import shutil
import subprocess

import harness
from harness import CLOUD, NOTESTS, Skip, case, check, need, record, temporary, verify

ROOT = harness.ROOT / "guests/programs/root"
INITRD = "guests/programs.gz"
SOURCES = pathlib.Path(__file__).resolve().parent / "programs"
BEGIN, END = "programs: begin", "programs: end"

# glibc's names of what a level lacks (its manual, "Hardware Capability Tunables"), and what is cleared in the words of
# OpenSSL's capability vector: CPUID.1 EDX and ECX, then CPUID.7 EBX and ECX (OPENSSL_ia32cap(3)).
ABOVE_V3 = "AVX512F AVX512BW AVX512CD AVX512DQ AVX512VL SHA VAES VPCLMULQDQ GFNI PKU RDPID".split()
ABOVE_V1 = "SSE3 SSSE3 SSE4_1 SSE4_2 POPCNT AVX AVX2 FMA F16C BMI1 BMI2 LZCNT MOVBE AES PCLMULQDQ ADX ERMS FSRM".split()
TUNED = {
    "x86-64-v1": (ABOVE_V1 + ABOVE_V3, "~0x3ed8120300000000:~0xffffffffffffffff"),
    "x86-64-v3": (ABOVE_V3, "~0x0:~0x00005f42fc230000"),
    "x86-64-v4": ([], None),
}


def host_lines(model):
    """What the host prints in the root folder, line by line."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        flags = set(next((line for line in file if line.startswith("flags")), "").split())
    if platform.machine() != "x86_64" or model != "x86-64-v1" and not {"avx2", "fma", "bmi2"} <= flags:
        raise Skip(f"this host has no processor of level {model}")
    lacking, capabilities = TUNED[model]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    if lacking:
        environment["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=" + ",".join("-" + name for name in lacking)
    if capabilities:
        environment["OPENSSL_ia32cap"] = capabilities
    root = temporary("root")
    shutil.copytree(ROOT, root, symlinks=True)
    chroot = shutil.which("chroot", path=environment["PATH"])
    if not chroot:
        raise Skip("chroot is not there")
    command = [chroot, root, "/bin/sh", "/compute/compute.sh"]
    if os.geteuid() != 0:
        command = ["unshare", "-r", *command]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=600)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0 and BEGIN not in text:
        raise Skip(f"the host does not let a test change its root: {text}")
    return lines_of(text, "the host")


def lines_of(text, where):
    lines = text.replace("\r", "").splitlines()
    check(BEGIN in lines and lines[-1:] == [END] or END in lines, f"{where} did not come to the end:\n{text[-2000:]}")
    return lines[lines.index(BEGIN):lines.index(END) + 1]


def same(model):
    need(CLOUD, INITRD)
    stale = filecmp.dircmp(SOURCES, ROOT / "compute", ignore=["__pycache__"])
    check(not (stale.left_only or stale.diff_files), "tests/e2e/programs was changed: run scripts/guests programs")
    on_host = host_lines(model)
    for line in on_host:
        check(": status " not in line, f"a program fails on the host: {line}")
    log = temporary("programs.mp")
    result = record(log, "--kernel", CLOUD, "--initrd", INITRD, "--memory", "512M", "--cpu", model, "--seed", 1,
                    "--cmdline", NOTESTS + " loglevel=1", timeout=1200)
    in_guest = lines_of(result.out.decode("utf-8", "replace"), "the guest")
    wrong = [(a, b) for a, b in zip(in_guest, on_host) if a != b]
    check(not wrong, f"{len(wrong)} lines differ, the first: the guest prints\n  {wrong and wrong[0][0]}\nand the host\n"
                     f"  {wrong and wrong[0][1]}")
    check(len(in_guest) == len(on_host), f"{len(in_guest)} lines in the guest, {len(on_host)} on the host")
    verify(log, "--fp", "soft", timeout=1200)


@case
def v1():
    same("x86-64-v1")


@case
def v3():
    same("x86-64-v3")


@case
def v4():
    same("x86-64-v4")


if __name__ == "__main__":
    harness.main()
