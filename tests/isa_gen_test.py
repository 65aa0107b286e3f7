#!/usr/bin/env python3
"""Feeds isa_gen.py tables with one fault each, and some good ones, and looks at what it says.

usage: isa_gen_test.py ISA_GEN.PY
"""
import os
import subprocess
import sys
import tempfile

FEATURES = "feature sse 1.0 edx 25\nfeature bmi1 7.0 ebx 3\n"
TAIL = " | - | - | - | - | nop"

# Rows that the generator must refuse, and a part of what it must say.
BAD = [
    # two rows, one encoding
    (["ADD | 01 /r | Ev, Gv" + TAIL, "OR | 01 /r | Ev, Gv" + TAIL], "ambiguous"),
    (["ADD | 80 /0 | Eb, Ib" + TAIL, "OR | 80 /0 | Eb, Ib" + TAIL], "ambiguous"),
    (["MOV | 89 /r mem | Ev, Gv" + TAIL, "MOV | o16 89 /r | Ev, Gv" + TAIL], "ambiguous"),
    (["PUSH | 50+r | Zv" + TAIL, "POP | 50+r | Zv" + TAIL], "ambiguous"),
    (["FADD | D8 C0+i | ST0, STi" + TAIL, "FMUL | D8 /0 reg | -" + TAIL], "ambiguous"),
    (["A | NP 0F 10 /r | Vps, Wps" + TAIL, "B | NP 0F 10 /r | Vpd, Wpd" + TAIL], "ambiguous"),
    (["A | NP 0F 10 /r | Vps, Wps" + TAIL, "B | NFx 0F 10 /r mem | Vpd, Wpd" + TAIL, "C | NP 0F 10 /r mem | Vx, Mq" + TAIL,
      "D | NP 0F 10 /3 | Wps" + TAIL], "ambiguous"),
    (["A | VEX.128.66.0F38.W0 98 /r | Vx, Hx, Wx" + TAIL, "B | VEX.LIG.66.0F38.W0 98 /r mem | Vx, Hx, Wx" + TAIL], "ambiguous"),
    (["PUSHFQ | o64 9C | - | - | - | d64 | - | a", "PUSHFD | o32 9C | - | - | - | - | - | b"], "ambiguous"),
    (["A | 90 | -" + TAIL, "B | 90 /r | Ev, Gv" + TAIL], "with and without a ModRM"),
    # operands
    (["ADD | 01 /r | Ev, Gk" + TAIL], "unknown operand"),
    (["ADD | 01 /r | Ev, Tv" + TAIL], "unknown operand"),
    (["ADD | 01 /r | Ev, Gps" + TAIL], "makes no sense"),
    (["ADD | 01 /r | Ev, Ev" + TAIL], "same place"),
    (["ADD | 01 | Ev, Gv" + TAIL], "need a ModRM byte"),
    (["ADD | 01 /r | Ev" + TAIL], "no operand comes from ModRM.reg"),
    (["ADD | 51 | Zv" + TAIL], "needs an opcode with +r"),
    (["ADD | 50+r | rAX" + TAIL], "without a Z operand"),
    (["ADD | 01 /r | Ev, Gv, Hx" + TAIL], "needs a VEX"),
    (["ADD | 01 /r | Ev, Gv, Ib, Ib, Ib" + TAIL], "more than four"),
    (["ADD | 01 /r reg | M, Gv" + TAIL], "no encoding is left"),
    # encodings
    (["ADD | 1 /r | Ev, Gv" + TAIL], "bad opcode"),
    (["ADD | 01 /8 | Ev" + TAIL], "unknown token"),
    (["ADD | 01 /r ib | Ev, Gv, Ib" + TAIL], "immediates are not written"),
    (["ADD | 0F 01 70 | -" + TAIL], "not a register form"),
    (["ADD | 51+r | Zv" + TAIL], "low bits"),
    (["ADD | 66 F3 01 /r | Ev, Gv" + TAIL], "two mandatory"),
    (["ADD | o16 o32 01 /r | Ev, Gv" + TAIL], "two sizes"),
    (["ADD | VEX.128.0F39 01 /r | Vx, Wx" + TAIL], "unknown field"),
    (["ADD | VEX.512.0F 01 /r | Vx, Wx" + TAIL], "no such vector length"),
    (["ADD | VEX.128.MAP5 01 /r | Vx, Wx" + TAIL], "no such opcode map"),
    # the other columns
    (["ADD | 01 /r | Ev, Gv | sse9 | - | - | - | nop"], "unknown feature"),
    (["ADD | 01 /r | Ev, Gv | - | w:OSX | - | - | nop"], "bad flags"),
    (["ADD | 01 /r | Ev, Gv | - | - | locked | - | nop"], "unknown attribute"),
    (["ADD | 01 /r | Ev, Gv | - | - | 64 no64 | - | nop"], "contradict"),
    (["ADD | 01 /r | Ev, Gv | - | - | cost=0 | - | nop"], "cost"),
    (["ADD | 01 /r | Gv, Ev | - | - | lock | - | nop"], "lock, but"),
    (["ADD | 01 /r | Ev, Gv | - | - | - | fpu | nop"], "unknown class"),
    (["ADD | 01 /r | Ev, Gv | - | - | - | - | No"], "bad handler"),
    (["add | 01 /r | Ev, Gv" + TAIL], "bad mnemonic"),
    (["ADD | 01 /r | Ev, Gv | - | -"], "eight columns"),
    (["ADD | 01 /r | Ev, Gv | - |  | - | - | nop"], "eight columns"),
    (["feature sse 1.0 edx 25"], "twice"),
    (["feature sse2 1.0 edx 32"], "bad feature line"),
    # what is undefined: rows and lines say the same
    (["OR | 08 /r | Eb, Gb | - | w:OSZPC u:A | - | - | or"], "say nothing"),
    (["OR | 08 /r | Eb, Gb | - | w:OSZPC u:A | - | - | or", "undefined or | always | P | clear | clear | intel | -"], "say P"),
    (["OR | 08 /r | Eb, Gb | - | w:SZP | - | - | or", "undefined or | count>1 | O | clear | clear | intel | -"], "does not write"),
    (["undefined or | always | A | clear | clear | intel | -"], "no row has the handler"),
    (["undefined or | always | A | left | clear | intel | -"], "no rule 'left'"),
    (["undefined or | never | A | clear | clear | intel | -"], "unknown condition"),
    (["undefined or | always | A | clear | clear | via | -"], "whose manual"),
    (["undefined or | always | A | clear | clear | intel"], "seven columns"),
]

GOOD = [
    ["NOP | 90 | -" + TAIL, "PAUSE | F3 90 | -" + TAIL, "XCHG | 90+r | Zv, rAX" + TAIL],
    ["BSF | 0F BC /r | Gv, Ev" + TAIL, "TZCNT | F3 0F BC /r | Gv, Ev | bmi1 | - | - | - | nop"],
    ["NOP | 0F 1E /r | Ev" + TAIL, "ENDBR64 | F3 0F 1E FA | -" + TAIL],
    ["A | NP 0F 10 /r | Vps, Wps" + TAIL, "B | 66 0F 10 /r | Vpd, Wpd" + TAIL, "C | F3 0F 10 /r | Vss, Wss" + TAIL],
    ["CMPXCHG8B | 0F C7 /1 | Mq" + TAIL, "CMPXCHG16B | REX.W+ 0F C7 /1 | Mdq" + TAIL, "RDRAND | NFx 0F C7 /6 | Rv" + TAIL],
    ["PUSHFQ | o64 9C | - | - | - | d64 | - | a", "PUSHFD | o32 9C | - | - | - | d64 | - | b", "PUSHFW | o16 9C | - | - | - | d64 | - | b"],
    ["FADD | D8 C0+i | ST0, STi" + TAIL, "FADD | D8 /0 | Md" + TAIL],
    ["A | VEX.256.66.0F38.W0 98 /r | Vx, Hx, Wx" + TAIL, "B | VEX.128.66.0F38.W0 98 /r | Vx, Hx, Wx" + TAIL,
     "C | VEX.LIG.66.0F38.W1 98 /r | Vx, Hx, Wx" + TAIL, "D | EVEX.512.F3.0F.W1 E6 /r | Vx, Wxh" + TAIL],
    ["A | 01 /r | Ev, Gv | sse | - | - | - | nop   # a comment"],
    ["OR | 08 /r | Eb, Gb | - | w:OSZPC u:A | - | - | or", "undefined or | always | A | clear | set | intel amd | intel"],
]


def run(generator, directory, lines):
    table = os.path.join(directory, "table.def")
    with open(table, "w", encoding="utf-8") as f:
        f.write(FEATURES + "\n".join(lines) + "\n")
    return subprocess.run([sys.executable, generator, table, directory], capture_output=True, text=True, check=False)


def fingerprint(directory):
    with open(os.path.join(directory, "isa_tables.c"), encoding="utf-8") as f:
        return next(line for line in f if "isa_fingerprint" in line)


def main(arguments):
    if len(arguments) != 1:
        print("usage: isa_gen_test.py ISA_GEN.PY", file=sys.stderr)
        return 2
    generator, failures = arguments[0], 0
    with tempfile.TemporaryDirectory() as directory:
        for lines, message in BAD:
            result = run(generator, directory, lines)
            if result.returncode != 1 or message not in result.stderr:
                print("not refused with '%s': %s\n  status %d: %s" % (message, lines, result.returncode, result.stderr))
                failures += 1
        for lines in GOOD:
            result = run(generator, directory, lines)
            if result.returncode != 0 or result.stderr:
                print("refused: %s\n  %s" % (lines, result.stderr))
                failures += 1
        # The fingerprint follows what rows say, not how they are laid out.
        prints = []
        for lines in (["A | 01 /r | Ev, Gv" + TAIL, "B | 03 /r | Gv, Ev" + TAIL],
                      ["# words", "B |  03 /r | Gv,  Ev" + TAIL, "", "A | 01 /r | Ev, Gv" + TAIL + "  # words"],
                      ["A | 01 /r | Ev, Gv" + TAIL, "B | 03 /r | Gv, Ev | - | w:C | - | - | nop"]):
            run(generator, directory, lines)
            prints.append(fingerprint(directory))
        if prints[0] != prints[1] or prints[0] == prints[2]:
            print("fingerprints are wrong: %s" % prints)
            failures += 1
    print("%d tables, %d failures" % (len(BAD) + len(GOOD) + 3, failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
