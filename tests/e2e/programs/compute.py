"""Floats, big integers, hashes, regular expressions, JSON and compression in Python."""
import bz2
import cmath
import ctypes
import decimal
import fractions
import hashlib
import json
import lzma
import math
import random
import re
import statistics
import struct
import zlib


def floats():
    """Functions of libm, which has variants with and without FMA."""
    random.seed(12)
    points = [random.uniform(-8, 8) for _ in range(400)] + [0.5, 1.0, 1e-9, 710.0, -745.0]
    unary = [math.sin, math.cos, math.tan, math.exp, math.expm1, math.atan, math.sinh, math.tanh, math.erf, math.gamma,
             math.lgamma, math.cbrt, math.exp2]
    for function in unary:
        values = []
        for x in points:
            try:
                values.append(function(x))
            except (OverflowError, ValueError):
                values.append(0.0)
        print(function.__name__, repr(values[7]), hashlib.sha256(struct.pack(f"<{len(values)}d", *values)).hexdigest()[:20])
    for function in [math.log, math.log2, math.log10, math.log1p, math.sqrt, math.acosh]:
        values = [function(abs(x) + 1) for x in points]
        print(function.__name__, repr(values[7]), hashlib.sha256(struct.pack(f"<{len(values)}d", *values)).hexdigest()[:20])
    powers = [abs(x) ** y for x, y in zip(points, points[1:]) if y < 300]
    print("pow", repr(powers[3]), hashlib.sha256(struct.pack(f"<{len(powers)}d", *powers)).hexdigest()[:20])
    print("fsum", repr(math.fsum(points)), repr(sum(points)), repr(statistics.stdev(points)), repr(math.hypot(*points)))
    print("complex", cmath.exp(1 + 2j), cmath.sqrt(-3 + 4j), cmath.log(-1), (1 + 2j) ** 3.5)
    print("repr", 0.1 + 0.2, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, 1e22, 2 / 3, float("1.00000000000000011102230246251565"))
    print("round", [round(x, 2) for x in points[:6]], f"{points[8]:.30f}", f"{1e300:.0f}"[:40], (0.1).hex())
    print("float32", struct.unpack("<4f", struct.pack("<4f", *points[:4])), struct.unpack("<4e", struct.pack("<4e", *points[:4])))


def long_doubles():
    """libm's x87 functions, rounded to fewer digits than their results have: x87 approximates."""
    libm = ctypes.CDLL("libm.so.6")
    for name in ["sinl", "cosl", "tanl", "expl", "logl", "log2l", "log10l", "atanl", "sqrtl", "cbrtl", "exp2l", "floorl", "rintl"]:
        function = getattr(libm, name)
        function.restype, function.argtypes = ctypes.c_longdouble, [ctypes.c_longdouble]
        print(name, " ".join(f"{function(0.3 + 0.7 * i):.14g}" for i in range(9)))
    for name in ["powl", "atan2l", "fmodl", "remainderl", "hypotl"]:
        function = getattr(libm, name)
        function.restype, function.argtypes = ctypes.c_longdouble, [ctypes.c_longdouble] * 2
        print(name, " ".join(f"{function(7.3 + 1.3 * i, 0.9 + i):.14g}" for i in range(6)))


def integers():
    a, b = 3 ** 2000, 7 ** 1500 + 11
    print("product", hashlib.sha256(str(a * b).encode()).hexdigest()[:20], (a * b) % (2 ** 127 - 1))
    print("quotient", hashlib.sha256(str(b // 3 ** 1111).encode()).hexdigest()[:20], a % b % 1000003)
    print("powers", pow(3, 10 ** 40, 2 ** 255 - 19), pow(65537, -1, 2 ** 521 - 1) % 10 ** 30)
    print("roots", math.isqrt(10 ** 121), math.gcd(math.factorial(60), 2 ** 70 * 3 ** 20 * 61), math.comb(200, 77))
    x, y = 0, 1
    for _ in range(3000):
        x, y = y, x + y
    print("fibonacci", str(x)[:30], len(str(x)), x.bit_count())
    decimal.getcontext().prec = 120
    print("decimal", decimal.Decimal(2).sqrt(), decimal.Decimal(1).exp(), decimal.Decimal(10).ln())
    print("fraction", sum(fractions.Fraction(1, n) for n in range(1, 90)))
    random.seed(2 ** 70)
    print("random", random.getrandbits(90), random.random(), random.gauss(0, 1), random.sample(range(1000), 5))


def hashes():
    data = bytes(i * i % 251 for i in range(30000))
    for name in ["md5", "sha1", "sha256", "sha512", "sha3_384", "blake2b", "blake2s"]:
        print(name, hashlib.new(name, data).hexdigest())
    print("pbkdf2", hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 2000).hex())
    print("crc32", zlib.crc32(data), zlib.adler32(data))


def expressions():
    text = " ".join(f"user{i}@host{i * 37 % 101}.example.{'org' if i % 3 else 'net'} 10.{i % 256}.{i * 7 % 256}.1" for i in range(900))
    found = re.findall(r"\b(\w+)@((?:\w+\.)+net)\b", text)
    print("findall", len(found), found[5], found[-1])
    print("sub", hashlib.sha256(re.sub(r"(?<![\d.])(\d+)\.(\d+)\.(\d+)\.(\d+)", r"\4.\3.\2.\1", text).encode()).hexdigest()[:20])
    print("lookahead", len(re.findall(r"(?i)(?=(host(\d)\2))", text)), re.search(r"(?P<n>\d{3})@.*?(?P=n)", text))
    print("split", len(re.split(r"[@.\s]+", text)), re.fullmatch(r"(a|ab)(c|bcd)(d*)", "abcd").groups())
    print("unicode", re.findall(r"\w+", "na\u00efve \u0394\u03b1\u03c4\u03b1 \u4f60\u597d"), ascii("\u00df".upper()))


def documents():
    random.seed(5)
    tree = {f"key{i}": [random.uniform(-1e6, 1e6), {"i": i, "s": "\u00e9\n" * (i % 4), "b": i % 2 == 0, "none": None}] for i in range(400)}
    text = json.dumps(tree, sort_keys=True)
    print("json", len(text), hashlib.sha256(text.encode()).hexdigest()[:20], json.loads(text) == tree)
    print("json", json.dumps({"x": [1e400, -0.0, 1.5e-7, 2 ** 80], "y": "\u20ac"}), json.loads('{"a":[1e3,-2.5E-3,"\\ud83d\\ude00"]}')["a"][:2])


def compression():
    random.seed(9)
    data = b"".join(random.choice([b"alpha", b"beta", b"gamma", b"delta"]) * random.randrange(1, 4) for _ in range(5000))
    for level in (1, 6, 9):
        packed = zlib.compress(data, level)
        print("zlib", level, len(packed), zlib.crc32(packed), zlib.decompress(packed) == data)
    packed = bz2.compress(data)
    print("bz2", len(packed), zlib.crc32(packed), bz2.decompress(packed) == data)
    for preset in (0, 4):
        packed = lzma.compress(data, preset=preset)
        print("lzma", preset, len(packed), zlib.crc32(packed), lzma.decompress(packed) == data)


for part in (floats, long_doubles, integers, hashes, expressions, documents, compression):
    part()
