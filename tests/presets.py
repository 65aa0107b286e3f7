#!/usr/bin/env python3
"""Runs the unit tests and the small guests of another preset: tests/presets.py PRESET"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
preset = sys.argv[1]
if not (ROOT / "build" / preset / "sim").exists():
    print(f"skipped: build/{preset} is not built (scripts/build {preset})")
    sys.exit(77)
sys.exit(subprocess.run(["ctest", "--test-dir", ROOT / "build" / preset, "--output-on-failure",
                         "-R", "^(unit|asm|replay|guest|fuzz)/"]).returncode)
