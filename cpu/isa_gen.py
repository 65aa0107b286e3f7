#!/usr/bin/env python3
"""Makes isa_tables.h and isa_tables.c from isa.def.

usage: isa_gen.py [--stubs] ISA.DEF OUTPUT_DIRECTORY

The preface of isa.def describes its rows. This program refuses rows it does not understand and rows that are ambiguous.
Each row accepts a set of encodings: a product, over the dimensions in DIMENSIONS, of the values it admits. Two rows of one
opcode whose sets meet are told apart only if one set lies strictly within the other; the smaller one then wins in the decoder
(PAUSE, F3 90, lies within NOP, 90, which lies within XCHG, 90+r). Everything else is an error.

--stubs also defines every handlers_NAME as an empty one, for tests of the decoder alone.
Exit status: 0 done, 1 the table is refused (one line per error), 2 wrong usage.
"""
import hashlib
import os
import re
import sys

# One-hot dimensions of a decoding state, lowest bit first: name, values. decode.c builds the same words (ISA_STATE_*).
DIMENSIONS = [
    ("prefix", ["NP", "66", "F3", "F2"]),
    ("osize", ["16", "32", "64"]),
    ("asize", ["16", "32", "64"]),
    ("w", ["0", "1"]),
    ("b", ["0", "1"]),
    ("mode", ["not64", "64"]),
    ("mod", ["mem", "reg"]),
    ("reg", [str(i) for i in range(8)]),
    ("rm", [str(i) for i in range(8)]),
    ("vl", ["128", "256", "512"]),
]
SHIFT, FULL = {}, {}
_position = 0
for _name, _values in DIMENSIONS:
    SHIFT[_name], FULL[_name] = _position, (1 << len(_values)) - 1
    _position += len(_values)

MAPS = ["LEGACY", "0F", "0F38", "0F3A", "VEX_0F", "VEX_0F38", "VEX_0F3A",
        "EVEX_0F", "EVEX_0F38", "EVEX_0F3A", "EVEX_MAP5", "EVEX_MAP6"]
MAP = {name: number for number, name in enumerate(MAPS)}

ATTRIBUTES = {"lock": "LOCK", "cpl0": "CPL0", "ends": "ENDS", "branch": "BRANCH", "rep": "REP", "64": "ONLY64", "no64": "NOT64",
              "d64": "D64", "f64": "F64", "pm": "PROTECTED", "ro": "DST_READ_ONLY", "wo": "DST_WRITE_ONLY",
              "pure": "PURE", "k": "MASKED", "z": "ZEROED", "bcst": "BROADCAST", "er": "ROUNDING", "sae": "SAE", "vsib": "VSIB"}
CLASSES = {"-": "NONE", "x87": "X87", "mmx": "MMX", "sse": "SSE", "sse-aligned": "SSE_ALIGNED", "sse-mmx": "SSE_MMX",
           "avx": "AVX", "avx-aligned": "AVX_ALIGNED", "avx512": "AVX512", "avx512-aligned": "AVX512_ALIGNED", "opmask": "OPMASK"}
FLAGS = {"O": "OF", "S": "SF", "Z": "ZF", "A": "AF", "P": "PF", "C": "CF", "D": "DF", "I": "IF", "T": "TF", "N": "NT"}

SIZES = {"": "NONE", "b": "B", "w": "W", "d": "D", "q": "Q", "v": "V", "z": "Z", "y": "Y", "dq": "DQ", "qq": "QQ", "x": "X",
         "ps": "X", "pd": "X", "ss": "D", "sd": "Q", "pi": "Q", "si": "D", "d/q": "Y", "p": "P", "s": "S", "t": "T", "a": "A",
         "bs": "SB", "14/28": "M14_28", "94/108": "M94_108", "512": "M512", "xsave": "XSAVE", "64B": "64B", "xh": "XH", "xf": "XF", "xe": "XE"}
# Letter: where the operand comes from, class of its register form, register only, memory only, sizes it admits (None: any).
VECTOR_SIZES = "d q dq qq x ps pd ss sd si w b xh xf xe".split()
LETTERS = {
    "A": ("FAR", "IMM", 0, 0, ["p"]),
    "B": ("VVVV", "GPR", 0, 0, ["d", "q", "v", "y", "d/q"]),
    "C": ("MODRM_REG", "CR", 0, 0, ["d", "q", "y"]),
    "D": ("MODRM_REG", "DR", 0, 0, ["d", "q", "y"]),
    "E": ("MODRM_RM", "GPR", 0, 0, ["b", "w", "d", "q", "v", "z", "y", "d/q"]),
    "G": ("MODRM_REG", "GPR", 0, 0, ["b", "w", "d", "q", "v", "z", "y", "d/q"]),
    "H": ("VVVV", "VEC", 0, 0, VECTOR_SIZES),
    "I": ("IMMEDIATE", "IMM", 0, 0, ["b", "bs", "w", "d", "z", "v"]),
    "J": ("RELATIVE", "IMM", 0, 0, ["b", "z"]),
    "L": ("IS4", "VEC", 0, 0, VECTOR_SIZES),
    "M": ("MODRM_RM", "MEM", 0, 1, None),
    "N": ("MODRM_RM", "MMX", 1, 0, ["q", "pi", "d"]),
    "O": ("OFFSET", "MEM", 0, 0, ["b", "v"]),
    "P": ("MODRM_REG", "MMX", 0, 0, ["q", "pi", "d", "ps"]),
    "Q": ("MODRM_RM", "MMX", 0, 0, ["q", "pi", "d", "ps"]),
    "R": ("MODRM_RM", "GPR", 1, 0, ["b", "w", "d", "q", "v", "z", "y", "d/q"]),
    "S": ("MODRM_REG", "SEG", 0, 0, ["w"]),
    "U": ("MODRM_RM", "VEC", 1, 0, VECTOR_SIZES),
    "V": ("MODRM_REG", "VEC", 0, 0, VECTOR_SIZES),
    "W": ("MODRM_RM", "VEC", 0, 0, VECTOR_SIZES),
    "X": ("STRING_SI", "MEM", 0, 0, ["b", "w", "d", "q", "v", "z"]),
    "Y": ("STRING_DI", "MEM", 0, 0, ["b", "w", "d", "q", "v", "z"]),
    "Z": ("OPCODE", "GPR", 0, 0, ["b", "w", "d", "q", "v", "z", "y"]),
    "rK": ("MODRM_REG", "OPMASK", 0, 0, ["b", "w", "d", "q"]),
    "vK": ("VVVV", "OPMASK", 0, 0, ["b", "w", "d", "q"]),
    "mK": ("MODRM_RM", "OPMASK", 0, 0, ["b", "w", "d", "q"]),
}
FIXED = {"1": ("ONE", "IMM", "B", 0), "XMM0": ("FIXED", "VEC", "DQ", 0), "STi": ("MODRM_RM", "ST", "T", 0),
         "ST(i)": ("MODRM_RM", "ST", "T", 0), "ST": ("FIXED", "ST", "T", 0)}
for _i, _n in enumerate(["AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"]):
    FIXED[_n] = ("FIXED", "GPR", "W", _i)
    FIXED["E" + _n] = ("FIXED", "GPR", "D", _i)
    FIXED["R" + _n] = ("FIXED", "GPR", "Q", _i)
    FIXED["e" + _n] = ("FIXED", "GPR", "Z", _i)
    FIXED["r" + _n] = ("FIXED", "GPR", "V", _i)
for _i, _n in enumerate(["AL", "CL", "DL", "BL"]):
    FIXED[_n] = ("FIXED", "GPR", "B", _i)
for _i, _n in enumerate(["AH", "CH", "DH", "BH"]):
    FIXED[_n] = ("FIXED", "GPR", "B", 16 + _i)
for _i, _n in enumerate(["ES", "CS", "SS", "DS", "FS", "GS"]):
    FIXED[_n] = ("FIXED", "SEG", "W", _i)
for _i in range(8):
    FIXED["ST%d" % _i] = FIXED["ST(%d)" % _i] = ("FIXED", "ST", "T", _i)


class Bad(Exception):
    """What is wrong with one line."""


class Operand:
    def __init__(self, source, cls, size, mem_size=None, fixed=0, register_only=0, memory_only=0):
        self.source, self.cls, self.size = source, cls, size
        self.mem_size = mem_size or size
        self.fixed, self.register_only, self.memory_only = fixed, register_only, memory_only

    def c(self):
        return "{ FROM_%s, CLASS_%s, SIZE_%s, SIZE_%s, %d, %d, %d }" % (
            self.source, self.cls, self.size, self.mem_size, self.fixed, self.register_only, self.memory_only)


def parse_simple_operand(text):
    if text in FIXED:
        source, cls, size, number = FIXED[text]
        return Operand(source, cls, size, fixed=number, register_only=int(text in ("STi", "ST(i)")))
    letters = 2 if text[1:2] == "K" else 1
    letter, size = text[:letters], text[letters:]
    if letter not in LETTERS or size not in SIZES:
        raise Bad("unknown operand '%s'" % text)
    source, cls, register_only, memory_only, sizes = LETTERS[letter]
    if sizes is not None and size not in sizes:
        raise Bad("operand '%s': size '%s' makes no sense for letter %s" % (text, size, letter))
    if sizes is None and size == "bs":
        raise Bad("operand '%s': only immediates are sign-extended" % text)
    return Operand(source, cls, SIZES[size], None, 0, register_only, memory_only)


def parse_operand(text):
    """A code; or two of them for the register and the memory form: Rv/Mw, Ry/Mb, Udq/Mq."""
    match = re.fullmatch(r"([RNU][a-z]+)/(M[a-z0-9]+)", text)
    if not match:
        return parse_simple_operand(text)
    reg, mem = parse_simple_operand(match[1]), parse_simple_operand(match[2])
    return Operand("MODRM_RM", reg.cls, reg.size, mem.size)


def parse_operands(text):
    if text == "-":
        return []
    operands = [parse_operand(part.strip()) for part in text.split(",")]
    if len(operands) > 4:
        raise Bad("more than four operands")
    for source in ("MODRM_RM", "MODRM_REG", "OPCODE", "VVVV", "RELATIVE", "FAR", "OFFSET"):
        if sum(o.source == source for o in operands) > 1:
            raise Bad("two operands come from the same place (%s)" % source)
    if sum(o.source in ("IMMEDIATE", "IS4") for o in operands) > 2:
        raise Bad("more than two immediates")
    return operands


class Encoding:
    """map, opcode, plus_r, has_modrm and the admitted values by dimension."""

    def __init__(self, text):
        self.map, self.opcode = None, None
        self.scalar = False
        self.plus_r = self.has_modrm = False
        self.accept = dict(FULL)
        self.explicit_mod = None
        tokens = text.split()
        if tokens and re.match(r"E?VEX\.", tokens[0]):
            self.vector_prefix(tokens.pop(0))
        else:
            tokens = self.legacy_prefixes(tokens)
        self.opcode_and_modrm(tokens)

    def vector_prefix(self, token):
        kind, *fields = token.split(".")
        self.accept["prefix"] = 1
        space = None
        self.scalar = "LLIG" in fields
        for field in fields:
            if field in ("128", "256", "512", "256/512"):
                self.accept["vl"] = {"128": 1, "256": 2, "512": 4, "256/512": 6}[field]
            elif field in ("L0", "LZ", "L1"):
                self.accept["vl"] = 2 if field == "L1" else 1
            elif field in ("66", "F3", "F2"):
                self.accept["prefix"] = {"66": 2, "F3": 4, "F2": 8}[field]
            elif field in ("0F", "0F38", "0F3A", "MAP5", "MAP6"):
                space = field
            elif field in ("W0", "W1"):
                self.accept["w"] = 1 << int(field[1])
            elif field not in ("LIG", "LLIG", "WIG", "NP", "NDS", "NDD", "DDS"):
                raise Bad("unknown field '%s' in %s" % (field, token))
        if kind == "VEX":
            self.accept["vl"] &= 3
        if space is None or kind + "_" + space not in MAP:
            raise Bad("no such opcode map in %s" % token)
        self.map = MAP[kind + "_" + space]
        if not self.accept["vl"]:
            raise Bad("no such vector length in %s" % token)

    def legacy_prefixes(self, tokens):
        a = self.accept
        names = {"NP": 1, "66": 2, "F3": 4, "F2": 8, "NFx": 3}
        seen_prefix = None
        while tokens:
            token = tokens[0]
            if token in names:
                if seen_prefix:
                    raise Bad("two mandatory prefixes")
                seen_prefix, a["prefix"] = token, names[token]
            elif re.fullmatch(r"REX\.W(\+|1)?", token):
                a["w"] = 2
            elif token == "REX.W0":
                a["w"] = 1
            elif re.fullmatch(r"[oa](16|32|64)", token):
                dimension = "osize" if token[0] == "o" else "asize"
                if a[dimension] != FULL[dimension]:
                    raise Bad("two sizes: '%s'" % token)
                a[dimension] = {"16": 1, "32": 2, "64": 4}[token[1:]]
            elif token != "+":
                break
            tokens = tokens[1:]
        self.map = MAP["LEGACY"]
        if tokens and tokens[0] in ("0F", "0F38", "0F3A"):
            self.map = MAP[tokens.pop(0)]
            if self.map == MAP["0F"] and tokens and tokens[0] in ("38", "3A"):
                self.map = MAP["0F" + tokens.pop(0)]
        return tokens

    def opcode_and_modrm(self, tokens):
        a = self.accept
        if not tokens:
            raise Bad("no opcode")
        match = re.fullmatch(r"([0-9A-F]{2})(\+r[bwdov]?)?", tokens.pop(0))
        if not match:
            raise Bad("bad opcode byte")
        self.opcode, self.plus_r = int(match[1], 16), bool(match[2])
        if self.plus_r and self.opcode & 7:
            raise Bad("+r on an opcode whose low bits are not clear")
        if tokens and tokens[0] in ("+r", "+rb", "+rw", "+rd"):
            self.plus_r = True
            tokens.pop(0)
        for token in tokens:
            fixed = re.fullmatch(r"([0-9A-F]{2})(\+i)?", token)
            if token == "/r":
                self.has_modrm = True
            elif re.fullmatch(r"/[0-7]", token):
                self.has_modrm = True
                a["reg"] = 1 << int(token[1])
            elif fixed and not self.has_modrm:
                byte = int(fixed[1], 16)
                if byte < 0xC0 or (fixed[2] and byte & 7):
                    raise Bad("fixed ModRM byte '%s' is not a register form" % token)
                self.has_modrm = True
                a["mod"], a["reg"] = 2, 1 << (byte >> 3 & 7)
                if not fixed[2]:
                    a["rm"] = 1 << (byte & 7)
            elif token in ("mem", "reg"):
                if not self.has_modrm:
                    raise Bad("'%s' without a ModRM byte" % token)
                a["mod"] &= 1 if token == "mem" else 2
            elif token == "/is4" and self.map >= MAP["VEX_0F"]:
                pass
            elif re.fullmatch(r"i[bwdo]|c[bwdpo]|m[or]", token):
                raise Bad("'%s': immediates are not written in the encoding, the operands name them" % token)
            else:
                raise Bad("unknown token '%s' in the encoding" % token)


class Row:
    def __init__(self, line, fields, features):
        self.line, self.fields = line, fields
        self.mnemonic, self.encoding_text, self.operands_text, feature, flags, attributes, cls, self.handler = fields
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", self.mnemonic):
            raise Bad("bad mnemonic '%s'" % self.mnemonic)
        if self.handler != "-" and not re.fullmatch(r"[a-z][a-z0-9_]*", self.handler):
            raise Bad("bad handler '%s'" % self.handler)
        self.encoding = Encoding(self.encoding_text)
        self.operands = parse_operands(self.operands_text)
        self.feature = canonical_feature(feature)
        if self.feature not in features:
            raise Bad("unknown feature '%s': the preface lists them" % feature)
        self.flags = self.parse_flags(flags)
        self.attributes, self.cost = self.parse_attributes(attributes)
        if cls not in CLASSES:
            raise Bad("unknown class '%s'" % cls)
        self.cls = CLASSES[cls]
        self.combine()

    @staticmethod
    def parse_flags(text):
        result = {"r": set(), "w": set(), "u": set()}
        if text != "-":
            for part in text.split():
                match = re.fullmatch(r"([rwu]):([A-Z]+)", part)
                if not match or set(match[2]) - set(FLAGS):
                    raise Bad("bad flags '%s'" % part)
                result[match[1]] |= set(match[2])
        result["w"] |= result["u"]
        return result

    @staticmethod
    def parse_attributes(text):
        names, cost = set(), 1
        for word in [] if text == "-" else text.split():
            match = re.fullmatch(r"cost=([0-9]+)", word)
            if match:
                cost = int(match[1])
                if not 1 <= cost <= 100:
                    raise Bad("cost must be 1 to 100")
            elif word in ATTRIBUTES:
                names.add(ATTRIBUTES[word])
            else:
                raise Bad("unknown attribute '%s'" % word)
        for a, b in (("ONLY64", "NOT64"), ("D64", "F64"), ("DST_READ_ONLY", "DST_WRITE_ONLY"), ("NOT64", "F64")):
            if a in names and b in names:
                raise Bad("attributes contradict each other: %s, %s" % (a, b))
        return names, cost

    def combine(self):
        """What operands and attributes say about the encoding."""
        e, a = self.encoding, self.encoding.accept
        needs_modrm = False
        for o in self.operands:
            if o.source in ("MODRM_RM", "MODRM_REG"):
                needs_modrm = True
            if o.source == "OPCODE" and not e.plus_r:
                raise Bad("a Z operand needs an opcode with +r")
            if o.source == "MODRM_RM" and (o.register_only or o.memory_only):
                control = any(x.cls in ("CR", "DR") for x in self.operands)
                if control:
                    self.attributes.add("MOD_IGNORED")
                else:
                    a["mod"] &= 2 if o.register_only else 1
            if o.source in ("VVVV", "IS4") and e.map < MAP["VEX_0F"]:
                raise Bad("an operand in VEX.vvvv or is4 needs a VEX encoding")
        if needs_modrm and not e.has_modrm:
            raise Bad("the operands need a ModRM byte")
        if e.plus_r and not any(o.source == "OPCODE" for o in self.operands):
            raise Bad("+r without a Z operand")
        if e.has_modrm and a["reg"] == FULL["reg"] and not any(o.source == "MODRM_REG" for o in self.operands):
            # SETcc and the wide NOPs ignore ModRM.reg; elsewhere a forgotten digit or operand is likelier.
            if not re.match(r"NOP|SET|UD[01]|PREFETCH", self.mnemonic):
                raise Bad("/r, but no operand comes from ModRM.reg (write /digit, or /r with a G, V, ... operand)")
        if "ONLY64" in self.attributes:
            a["mode"] = 2
        if "NOT64" in self.attributes:
            a["mode"] = 1
        if e.map >= MAP["VEX_0F"]:
            # SDM vol. 2A, 2.3.1: not in real and virtual-8086 mode.
            self.attributes.add("PROTECTED")
            a["osize"] = FULL["osize"]
        if e.map >= MAP["EVEX_0F"] and a["vl"] & 3 and not e.scalar:
            self.attributes.add("VL")
        evex_only = self.attributes & {"MASKED", "ZEROED", "BROADCAST", "ROUNDING", "SAE"}
        if evex_only and e.map < MAP["EVEX_0F"]:
            raise Bad("k, z, bcst, er and sae need an EVEX encoding")
        if "ZEROED" in self.attributes and "MASKED" not in self.attributes:
            raise Bad("z without k")
        if not all(a.values()):
            raise Bad("no encoding is left: operands, attributes and encoding contradict each other")
        if "LOCK" in self.attributes and not (self.operands and self.operands[0].source == "MODRM_RM" and a["mod"] & 1):
            raise Bad("lock, but the first operand cannot be in memory")
        if self.handler == "-":
            self.attributes.add("UNIMPLEMENTED")

    def candidates(self):
        """The sets of decoding states the row accepts, before default operand sizes are applied (d64, f64)."""
        base = dict(self.encoding.accept)
        defaults = self.attributes & {"D64", "F64"}
        if not defaults or base["osize"] == FULL["osize"]:
            return [base]
        result = []
        outside, inside = dict(base), dict(base)
        outside["mode"] &= 1
        if outside["mode"]:
            result.append(outside)
        inside["mode"] &= 2
        raw = 0
        if base["osize"] & 4:
            raw |= 7 if "F64" in defaults else 6
        if base["osize"] & 1 and "D64" in defaults:
            raw |= 1
        inside["osize"] = raw
        if inside["mode"] and raw:
            result.append(inside)
        if not result:
            raise Bad("no operand size is left")
        return result

    def canonical(self):
        return "|".join(" ".join(f.split()) for f in self.fields)


WHENS = {"always": "ALWAYS", "count>1": "COUNT_ABOVE_1", "count>=size": "COUNT_SIZE", "count>size": "COUNT_ABOVE_SIZE",
         "zero": "ZERO", "size=16": "SIZE_16"}
RULES = ["kept", "clear", "set", "result", "first", "left", "right", "carry"]
OF_RULES = {"first", "left", "right", "carry"}


class Undefined:
    """A line of the section about what manuals leave undefined."""

    def __init__(self, line, text):
        fields = [field.strip() for field in text.split("|")]
        if len(fields) != 7 or not all(fields):
            raise Bad("an undefined line has seven columns, none of them empty (this one: %d)" % len(fields))
        names, self.when, self.what, self.intel, self.amd, whose, seen = fields
        self.line, self.handlers, self.whose = line, names.split(), set(whose.split())
        self.seen = set() if seen == "-" else set(seen.split())
        if self.when not in WHENS:
            raise Bad("unknown condition '%s'" % self.when)
        if self.what != "R" and (set(self.what) - set("OSZAPC") or len(set(self.what)) != len(self.what)):
            raise Bad("bad flags '%s'" % self.what)
        for rule in (self.intel, self.amd):
            if rule not in RULES or (rule in OF_RULES and self.what != "O"):
                raise Bad("no rule '%s' for %s" % (rule, self.what))
        if not self.whose or self.whose - {"intel", "amd", "old"}:
            raise Bad("whose manual: intel, amd, old")
        if self.seen - {"intel", "amd"}:
            raise Bad("seen: intel, amd, or -")

    def canonical(self):
        return "|".join(["undefined", " ".join(self.handlers), self.when, self.what, self.intel, self.amd, " ".join(sorted(self.whose))])

    def c(self):
        what = "true, 0" if self.what == "R" else "false, %s" % flag_mask(self.what)
        whose = " | ".join("UNDEFINED_BY_" + name.upper() for name in sorted(self.whose))
        seen = " | ".join("UNDEFINED_BY_" + name.upper() for name in sorted(self.seen)) or "0"
        return "    { UNDEFINED_%s, %s, RULE_%s, RULE_%s, %s, %s }," % (
            WHENS[self.when], what, self.intel.upper(), self.amd.upper(), whose, seen)


def check_undefined(path, rows, undefined):
    """The column u: of the rows and the lines about their handlers say the same."""
    errors = []
    by_handler = {}
    for u in undefined:
        for handler in u.handlers:
            by_handler.setdefault(handler, []).append(u)
    users = {}
    for row in rows:
        users.setdefault(row.handler, []).append(row)
        lines = [u for u in by_handler.get(row.handler, []) if "intel" in u.whose and u.what != "R"]
        always = {letter for u in lines if u.when == "always" for letter in u.what}
        counted = {letter for u in lines if u.when == "count>1" for letter in u.what}
        if not always <= row.flags["u"] <= always | counted:
            errors.append("%s:%d: u:%s, but the lines about '%s' say %s" % (
                path, row.line, "".join(sorted(row.flags["u"])), row.handler, "".join(sorted(always | counted)) or "nothing"))
        for u in lines:
            if not set(u.what) <= row.flags["w"]:
                errors.append("%s:%d: %s may be undefined (line %d), but the row does not write it" % (path, row.line, u.what, u.line))
    for handler, lines in by_handler.items():
        if handler not in users:
            errors.append("%s:%d: no row has the handler '%s'" % (path, lines[0].line, handler))
    return errors


ALIASES = {"pni": "sse3", "abm": "lzcnt", "bmi": "bmi1", "3dnowprefetch": "prefetchw", "clfsh": "clflush", "lahflm": "lahf",
           "cmpxchg8b": "cx8", "cmpxchg16b": "cx16", "sysenter": "sep", "aesni": "aes", "x87": "fpu", "pclmul": "pclmulqdq"}


def canonical_feature(text):
    if text == "-":
        return text
    name = re.sub(r"[._-]", "", text)
    return ALIASES.get(name, name)


def parse_table(path):
    rows, features, undefined, errors = [], {"-": None}, [], []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            try:
                line = line.strip()
                if line.startswith("feature "):
                    match = re.fullmatch(r"feature ([a-z0-9._-]+) ([0-9A-F]+)\.([0-9A-F]) (eax|ebx|ecx|edx) ([0-9]+)", line)
                    if not match or int(match[5]) > 31:
                        raise Bad("bad feature line")
                    name = canonical_feature(match[1])
                    if name in features:
                        raise Bad("feature '%s' is there twice" % name)
                    register = ["eax", "ebx", "ecx", "edx"].index(match[4])
                    features[name] = (int(match[2], 16), int(match[3], 16), register, int(match[5]))
                elif line.startswith("undefined "):
                    undefined.append(Undefined(number, line[len("undefined "):]))
                elif line and not line.startswith("#"):
                    line = re.sub(r"\s+#.*", "", line)
                    fields = [field.strip() for field in line.split("|")]
                    if len(fields) != 8 or not all(fields):
                        raise Bad("a row has eight columns, none of them empty (this one: %d)" % len(fields))
                    row = Row(number, fields, features)
                    row.sets = row.candidates()
                    rows.append(row)
            except Bad as e:
                errors.append("%s:%d: %s" % (path, number, e))
    if len(features) > 128:
        errors.append("%s: more than 127 features" % path)
    errors += check_undefined(path, rows, undefined)
    return rows, features, undefined, errors


def fill_slots(rows):
    """By map and opcode: the candidates (accepted set, row number)."""
    slots = {}
    for index, row in enumerate(rows):
        e = row.encoding
        for opcode in range(e.opcode, e.opcode + (8 if e.plus_r else 1)):
            for accept in row.sets:
                slots.setdefault((e.map, opcode), []).append((dict(accept), index))
    for key, candidates in slots.items():
        # An opcode byte written out in full that is also one of a +r row's means the register without REX.B; with a
        # mandatory prefix (PAUSE) it is an instruction of its own with either.
        if any(rows[i].encoding.plus_r for _, i in candidates):
            for accept, i in list(candidates):
                if not rows[i].encoding.plus_r:
                    accept["b"] = 1
                    if accept["prefix"] != FULL["prefix"]:
                        candidates.append((dict(accept, b=2), i))
    return slots


def size_of(accept):
    product = 1
    for name in FULL:
        product *= bin(accept[name]).count("1")
    return product


def check_slots(path, rows, slots):
    errors = []
    for (space, opcode), candidates in sorted(slots.items()):
        where = "%s %02X" % (MAPS[space], opcode)
        if len({rows[i].encoding.has_modrm for _, i in candidates}) > 1:
            errors.append("%s: %s: rows with and without a ModRM byte: lines %s" % (
                path, where, ", ".join(str(rows[i].line) for _, i in candidates)))
            continue
        for n, (a, i) in enumerate(candidates):
            for b, j in candidates[:n]:
                if i == j or not all(a[d] & b[d] for d in FULL):
                    continue
                a_in_b = all(a[d] & ~b[d] == 0 for d in FULL)
                b_in_a = all(b[d] & ~a[d] == 0 for d in FULL)
                if a_in_b == b_in_a:
                    errors.append("%s:%d: %s: '%s %s' is ambiguous with '%s %s' of line %d" % (
                        path, rows[i].line, where, rows[i].mnemonic, rows[i].encoding_text, rows[j].mnemonic,
                        rows[j].encoding_text, rows[j].line))
        candidates.sort(key=lambda c: (size_of(c[0]), c[1]))
    return errors


def identifier(name):
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def refuse_word(accept):
    return sum((FULL[d] & ~accept[d]) << SHIFT[d] for d in FULL)


def implemented(rows, features):
    """Bit set of the features whose rows all have handlers."""
    has = {row.feature for row in rows} - {row.feature for row in rows if row.handler == "-"}
    return sum(1 << number for number, name in enumerate(features) if name in has)


def write_header(path, rows, features, candidate_count):
    lines = ["/* Generated by isa_gen.py from isa.def. */", "#ifndef ISA_TABLES_H", "#define ISA_TABLES_H", "", "enum isa_feature {"]
    lines += ["    ISA_FEATURE_%s," % ("NONE" if name == "-" else identifier(name)) for name in features]
    lines += ["    ISA_FEATURE_COUNT", "};", "", "enum isa_map {"]
    lines += ["    ISA_MAP_%s," % name for name in MAPS] + ["    ISA_MAP_COUNT", "};", ""]
    lines.append("/* First bit of each dimension in a decoding state. */")
    lines += ["#define ISA_STATE_%s %d" % (name.upper(), SHIFT[name]) for name, _ in DIMENSIONS]
    lines += ["", "/* Features that have rows, each of them with a handler: bit sets of enum isa_feature, 64 a word. */"]
    lines += ["#define ISA_IMPLEMENTED_%d 0x%Xull" % (i, implemented(rows, features) >> 64 * i & 2**64 - 1) for i in range(2)]
    lines += ["", "#define ISA_ROW_COUNT %du" % len(rows), "#define ISA_CANDIDATE_COUNT %du" % candidate_count, "",
              "extern const struct isa_row isa_rows[];",
              "extern const struct isa_feature_info isa_features[]; /* [ISA_FEATURE_COUNT] */",
              "extern const struct isa_slot isa_slots[ISA_MAP_COUNT][256];",
              "extern const struct isa_candidate isa_candidates[];",
              "extern const char isa_fingerprint[]; /* of what the rows say, 32 hex digits */", "", "#endif", ""]
    write(path, lines)


def flag_mask(letters):
    return " | ".join("FLAG_" + FLAGS[x] for x in "OSZAPCDITN" if x in letters) or "0"


def row_lines(row):
    e, a = row.encoding, row.encoding.accept
    attributes = " | ".join("ISA_" + name for name in sorted(row.attributes)) or "0"
    feature_name = row.fields[3]
    operands = ", ".join(o.c() for o in row.operands) or "{ 0 }"
    return [
        '    { "%s", "%s", "%s", "%s", "%s", %s,' % (row.mnemonic, row.encoding_text, row.operands_text, feature_name, row.handler,
                                                    "NULL" if row.handler == "-" else "&handlers_" + row.handler),
        "      %s, %s, %s, %s," % (flag_mask(row.flags["r"]), flag_mask(row.flags["w"]), flag_mask(row.flags["u"]), attributes),
        "      ISA_CLASS_%s, %d, ISA_FEATURE_%s, %d, { %s }," % (
            row.cls, row.cost, "NONE" if row.feature == "-" else identifier(row.feature), len(row.operands), operands),
        "      { ISA_MAP_%s, 0x%02X, %d, %d, %s } }," % (MAPS[e.map], e.opcode, e.plus_r, e.has_modrm, ", ".join(
            "0x%X" % a[d] for d in ("prefix", "osize", "asize", "w", "mode", "mod", "reg", "rm", "vl"))),
    ]


def undefined_lines(undefined):
    """One struct undefined for each handler, whether this table has lines about it or not; the handlers refer to them."""
    result, names = [], list(dict.fromkeys(handler for u in undefined for handler in u.handlers))
    for name in names:
        lines = [u for u in undefined if name in u.handlers]
        differs = any(u.intel != u.amd for u in lines)
        result += ["static const struct undefined_line undefined_lines_%s[] = {" % name] + [u.c() for u in lines]
        result += ["};", "const struct undefined undefined_%s = { \"%s\", undefined_lines_%s, %d, %s };" % (
            name, name, name, len(lines), "true" if differs else "false"), ""]
    return result


def write_source(path, rows, features, undefined, slots, stubs):
    handlers = sorted({row.handler for row in rows} - {"-"})
    lines = ["/* Generated by isa_gen.py from isa.def. */", '#include "cpu/isa.h"', '#include "cpu/undefined.h"', ""]
    lines += ["extern const struct handlers handlers_%s;" % name for name in handlers]
    if stubs:
        lines += ["const struct handlers handlers_%s = { 0 };" % name for name in handlers]
    lines += [""] + undefined_lines(undefined)
    said = sorted(row.canonical() for row in rows) + [u.canonical() for u in undefined]
    digest = hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]
    lines += ["", 'const char isa_fingerprint[] = "%s";' % digest, "", "const struct isa_feature_info isa_features[] = {"]
    for name, where in features.items():
        lines.append('    { "%s", 0x%X, %d, %d, %d },' % ((name,) + (where or (0, 0, 0, 0))))
    lines += ["};", "", "const struct isa_row isa_rows[] = {"]
    for row in rows:
        lines += row_lines(row)
    if not rows:
        lines.append("    { 0 },")
    lines += ["};", "", "const struct isa_candidate isa_candidates[] = {"]
    first, position = {}, 0
    for key, candidates in sorted(slots.items()):
        first[key] = position
        for accept, index in candidates:
            lines.append("    { 0x%010Xull, %d }, /* %s %02X: %s %s */" % (
                refuse_word(accept), index, MAPS[key[0]], key[1], rows[index].mnemonic, rows[index].operands_text))
            position += 1
    lines += ["    { ~0ull, 0 },", "};", "", "const struct isa_slot isa_slots[ISA_MAP_COUNT][256] = {"]
    for key, candidates in sorted(slots.items()):
        lines.append("    [ISA_MAP_%s][0x%02X] = { %d, %d, %d }," % (
            MAPS[key[0]], key[1], first[key], len(candidates), rows[candidates[0][1]].encoding.has_modrm))
    if not slots:
        lines.append("    [0][0] = { 0, 0, 0 },")
    lines += ["};", ""]
    write(path, lines)


def write(path, lines):
    """Leaves a file alone that would not change, so that nothing is compiled for a comment in the table."""
    text = "\n".join(lines)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main(arguments):
    stubs = arguments[:1] == ["--stubs"]
    if stubs:
        arguments = arguments[1:]
    if len(arguments) != 2:
        print("usage: isa_gen.py [--stubs] ISA.DEF OUTPUT_DIRECTORY", file=sys.stderr)
        return 2
    path, out = arguments
    try:
        rows, features, undefined, errors = parse_table(path)
        slots = fill_slots(rows)
        errors += check_slots(path, rows, slots)
        if errors:
            print("\n".join(errors), file=sys.stderr)
            return 1
        os.makedirs(out, exist_ok=True)
        write_header(os.path.join(out, "isa_tables.h"), rows, features, sum(map(len, slots.values())))
        write_source(os.path.join(out, "isa_tables.c"), rows, features, undefined, slots, stubs)
    except OSError as e:
        print("isa_gen.py: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
