#!/usr/bin/env python3
"""
What the n-body microkernel has to print, computed by whole numbers alone: no floating-point unit has a part in it.

    tests/guests/nbody/reference.py [STEPS] > tests/guests/nbody/nbody.expected

A number is a pair (m, e) for m * 2^e. Each operation computes exactly (or with a sticky bit below the quotient or root)
and rounds once, to nearest even, to the bits of its format: 53 for SSE2 and AVX, 64 for x87. system.h has the problem and
the order of the operations. Exponents have no limits here, which none of these numbers comes near.
"""
import math
import pathlib
import re
import sys
from fractions import Fraction

NAMES = ["sun", "jupiter", "saturn", "uranus", "neptune"]
SYSTEM = pathlib.Path(__file__).with_name("system.h")
PLACES = {"sse2": 20, "avx2": 20, "avx512": 20, "x87": 24, "fixed": 16}


def planets():
    """The rows of PLANETS as lists of decimal texts, and the constants."""
    text = SYSTEM.read_text(encoding="ascii").replace("\\\n", " ")
    rows = [re.split(r",\s*", row) for row in re.findall(r"\bB\(([^)]*\d[^)]*)\)", text)]
    constants = {name: value for name, value in re.findall(r"#define (PI|YEAR|DT) +(\S+)", text)}
    assert len(rows) == len(NAMES) and all(len(row) == 7 for row in rows) and len(constants) == 3
    return rows, constants


class Format:
    """Binary arithmetic with so many bits of mantissa; `fused` is what FMA makes of a product and a sum."""

    def __init__(self, bits, fused):
        self.bits, self.fused = bits, fused

    def round(self, m, e, sticky=False):
        """Nearest even; sticky: something below m's last bit is not zero."""
        excess = abs(m).bit_length() - self.bits
        if excess <= 0:
            assert not sticky
            return m, e
        magnitude, half = abs(m), 1 << (excess - 1)
        kept, rest = magnitude >> excess, magnitude & ((1 << excess) - 1)
        if rest > half or rest == half and (sticky or kept & 1):
            kept += 1
        return (kept if m > 0 else -kept), e + excess

    def decimal(self, text):
        """A constant of the source, rounded as a compiler does."""
        value = Fraction(text)
        return self.quotient(value.numerator, value.denominator, 0)

    def quotient(self, a, b, e):
        shift = max(0, self.bits + 2 + b.bit_length() - abs(a).bit_length())
        q, rest = divmod(abs(a) << shift, b)
        return self.round(q if a >= 0 else -q, e - shift, rest != 0)

    def exact_sum(self, a, b):
        e = min(a[1], b[1])
        return (a[0] << (a[1] - e)) + (b[0] << (b[1] - e)), e

    def add(self, a, b):
        return self.round(*self.exact_sum(a, b))

    def sub(self, a, b):
        return self.add(a, (-b[0], b[1]))

    def mul(self, a, b):
        return self.round(a[0] * b[0], a[1] + b[1])

    def div(self, a, b):
        assert b[0]
        return self.quotient(a[0] if b[0] > 0 else -a[0], abs(b[0]), a[1] - b[1])

    def sqrt(self, a):
        m, e = a
        shift = max(0, 2 * (self.bits + 2) - m.bit_length())
        shift += (e - shift) & 1
        root = math.isqrt(m << shift)
        return self.round(root, (e - shift) // 2, root * root != m << shift)

    def add_product(self, a, b, c):
        """a * b + c, in one rounding or in two."""
        if self.fused:
            return self.round(*self.exact_sum((a[0] * b[0], a[1] + b[1]), c))
        return self.add(self.mul(a, b), c)


def initial(a):
    """Positions, velocities and masses in a format, before the Sun is given its velocity."""
    rows, constants = planets()
    pi, year = a.decimal(constants["PI"]), a.decimal(constants["YEAR"])
    solar_mass = a.mul(a.mul((4, 0), pi), pi)
    numbers = [[a.decimal(text) for text in row] for row in rows]
    return ([row[0:3] for row in numbers], [[a.mul(x, year) for x in row[3:6]] for row in numbers],
            [a.mul(row[6], solar_mass) for row in numbers])


PAIRS = [(i, j) for i in range(len(NAMES)) for j in range(i + 1, len(NAMES))]


class Planets:
    """The simulation in one format; the order of operations is that of system.h."""

    def __init__(self, arithmetic):
        self.a = arithmetic
        self.dt = arithmetic.decimal(planets()[1]["DT"])
        self.p, self.v, self.m = initial(arithmetic)
        for k in range(3):
            momentum = (0, 0)
            for v, m in zip(self.v, self.m):
                momentum = self.a.add_product(v[k], m, momentum)
            self.v[0][k] = self.a.div((-momentum[0], momentum[1]), self.m[0])

    def square(self, d):
        a = self.a
        return a.add_product(d[2], d[2], a.add_product(d[1], d[1], a.mul(d[0], d[0]))) if a.fused else \
            a.add(a.add(a.mul(d[0], d[0]), a.mul(d[1], d[1])), a.mul(d[2], d[2]))

    def apart(self, i, j):
        return [self.a.sub(x, y) for x, y in zip(self.p[i], self.p[j])]

    def energy(self):
        a, e = self.a, (0, 0)
        for v, m in zip(self.v, self.m):
            e = a.add_product(a.mul((1, -1), m), self.square(v), e)
        for i, j in PAIRS:
            e = a.sub(e, a.div(a.mul(self.m[i], self.m[j]), a.sqrt(self.square(self.apart(i, j)))))
        return e

    def step(self):
        a = self.a
        for i, j in PAIRS:
            d = self.apart(i, j)
            square = self.square(d)
            w = a.div(self.dt, a.mul(square, a.sqrt(square)))
            wi, wj = a.mul(self.m[i], w), a.mul(self.m[j], w)
            for k in range(3):
                self.v[i][k] = a.add_product((-d[k][0], d[k][1]), wj, self.v[i][k])
                self.v[j][k] = a.add_product(d[k], wi, self.v[j][k])
        for p, v in zip(self.p, self.v):
            for k in range(3):
                p[k] = a.add_product(self.dt, v[k], p[k])


def cut(a, b):
    """The quotient towards zero, as IDIV has it."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


class FixedPlanets:
    """16.16: the numbers of variant_fixed.c. Its constants are binary64 ones, cut off."""

    def __init__(self):
        p, v, m = initial(Format(53, False))

        def fixed(x):
            return cut(x[0] << max(0, x[1] + 16), 1 << max(0, -x[1] - 16))

        self.p, self.v = ([[fixed(x) for x in row] for row in rows] for rows in (p, v))
        self.m = [fixed(x) for x in m]
        for k in range(3):
            self.v[0][k] = -cut(sum(v[k] * m for v, m in zip(self.v, self.m)), self.m[0])

    def apart(self, i, j):
        d = [x - y for x, y in zip(self.p[i], self.p[j])]
        return d, sum(x * x for x in d)

    def energy(self):
        e = sum(m * (sum(x * x for x in v) >> 16) >> 17 for v, m in zip(self.v, self.m))
        for i, j in PAIRS:
            e -= self.m[i] * self.m[j] // math.isqrt(self.apart(i, j)[1])
        return e, -16

    def step(self):
        for i, j in PAIRS:
            d, square = self.apart(i, j)
            cube = (square >> 16) * math.isqrt(square) * 100
            for k in range(3):
                self.v[i][k] -= cut(d[k] * self.m[j] << 16, cube)
                self.v[j][k] += cut(d[k] * self.m[i] << 16, cube)
        for p, v in zip(self.p, self.v):
            for k in range(3):
                p[k] += cut(v[k], 100)


def decimals(number, places):
    """So many digits behind the point, the rest cut off."""
    m, e = number
    units = (abs(m) * 10 ** places << max(0, e)) >> max(0, -e)
    return f"{'-' if m < 0 else ''}{units // 10 ** places}.{units % 10 ** places:0{places}}"


def variant(name, system, steps):
    """The lines of one variant at each privilege level."""
    energies = [system.energy()]
    for _ in range(steps):
        system.step()
    energies.append(system.energy())
    texts = ["energy " + " ".join(decimals(e, PLACES[name]) for e in energies)]
    for body, p in zip(NAMES, system.p):
        numbers = [(x, -16) if name == "fixed" else x for x in p]
        texts.append(body + " " + " ".join(decimals(x, PLACES[name]) for x in numbers))
    return [f"{name} {level} {text}" for level in ("cpl0", "cpl3") for text in texts]


def expected(steps):
    fused = variant("avx2", Planets(Format(53, True)), steps)
    lines = [f"nbody: {steps} steps", *variant("sse2", Planets(Format(53, False)), steps), *fused,
             *(line.replace("avx2", "avx512") for line in fused), *variant("x87", Planets(Format(64, False)), steps),
             *variant("fixed", FixedPlanets(), steps), "nbody: end"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(expected(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
