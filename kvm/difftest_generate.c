/*
 * The generator of instruction tests: bytes from a row of isa.def, and states that suit them.
 *
 * Everything about an encoding comes from the row's isa_encoding; what was made up is then decoded, so that a row that
 * is more specific gets what belongs to it.
 */
#include "kvm/difftest.h"
#include "cpu/undefined.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

uint64_t difftest_random(struct difftest_random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static unsigned below(struct difftest_random *random, unsigned limit)
{
    return (unsigned)((difftest_random(random) >> 32) * limit >> 32);
}
static bool percent(struct difftest_random *random, unsigned chance)
{
    return below(random, 100) < chance;
}

/* --- bytes --- */

/* One of the bits set in a mask, as its number. */
static unsigned choose(struct difftest_random *random, unsigned mask)
{
    unsigned skip = below(random, (unsigned)__builtin_popcount(mask));
    while (skip--)
        mask &= mask - 1;
    return (unsigned)__builtin_ctz(mask);
}

struct maker {
    struct difftest_random *random;
    const struct isa_row *row;
    uint8_t bytes[40];
    unsigned at;
    int disp_at; /* of a disp32 that is the whole address, relative to RIP or not; -1 */
    bool rip_relative;
};

static void put(struct maker *m, uint8_t byte)
{
    m->bytes[m->at++] = byte;
}

static void put_random(struct maker *m, unsigned count)
{
    static const uint8_t corners[] = { 0x00, 0xFF, 0x80, 0x7F, 0x01, 0x1F, 0x20, 0x3F, 0x40 };
    bool corner = percent(m->random, 25);
    uint64_t value = difftest_random(m->random);
    for (unsigned i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * (i & 7));
        put(m, corner ? corners[byte % COUNT(corners)] : byte);
    }
}

/* Prefixes that mean nothing here, or little. */
static void put_idle_prefixes(struct maker *m)
{
    static const uint8_t idle[] = { 0x26, 0x2E, 0x36, 0x3E };
    if (percent(m->random, 6))
        put(m, idle[below(m->random, 4)]);
    if (percent(m->random, 10))
        put(m, 0x65);
}

/* A disp32 near zero, so that base + disp stays in reach of both signs. */
static void put_displacement32(struct maker *m)
{
    uint32_t value = (uint32_t)difftest_random(m->random);
    if (percent(m->random, 70))
        value = (uint32_t)((int32_t)(value & 0xFFFFF) - 0x80000);
    for (unsigned i = 0; i < 4; i++)
        put(m, (uint8_t)(value >> 8 * i));
}

static void put_modrm(struct maker *m, unsigned mods, unsigned regs, unsigned rms)
{
    unsigned kind = choose(m->random, mods); /* 0 memory, 1 register */
    unsigned mod = kind ? 3 : below(m->random, 3);
    unsigned reg = choose(m->random, regs), rm = choose(m->random, rms);
    put(m, (uint8_t)(mod << 6 | reg << 3 | rm));
    if (mod == 3)
        return;
    unsigned base = rm;
    if (rm == 4) {
        uint8_t sib = (uint8_t)difftest_random(m->random);
        put(m, sib);
        base = sib & 7;
    }
    if (mod == 1) {
        put_random(m, 1);
    } else if (mod == 2) {
        put_displacement32(m);
    } else if (base == 5) {
        m->disp_at = (int)m->at;
        m->rip_relative = rm == 5;
        put_displacement32(m);
    }
}

static void put_legacy(struct maker *m, bool lock, unsigned wrong_prefix)
{
    const struct isa_encoding *e = &m->row->accepts;
    struct difftest_random *random = m->random;
    bool free_prefix = (e->prefixes & 15) == 15;
    unsigned size = choose(random, e->operand_sizes ? e->operand_sizes : 7);
    unsigned w = choose(random, e->w ? e->w : 3);
    unsigned prefix = free_prefix ? 0 : choose(random, e->prefixes);
    bool p66 = prefix == 1 || (size == 0 && w == 0);
    if (e->w == 3 && e->operand_sizes != 7 && e->operand_sizes)
        w = size == 2; /* an o16, o32, o64 row: the sizes decide */
    if (e->operand_sizes == 7 && free_prefix)
        p66 = percent(random, 25);
    if (free_prefix && percent(random, m->row->attributes & ISA_REP ? 60 : 8))
        prefix = 2 + below(random, 2);
    if (wrong_prefix)
        prefix = wrong_prefix & 3;
    put_idle_prefixes(m);
    if (lock)
        put(m, 0xF0);
    if (e->address_sizes && (e->address_sizes == 2 || (e->address_sizes & 2 && percent(random, 15))))
        put(m, 0x67);
    if (p66 || prefix == 1)
        put(m, 0x66);
    if (prefix == 2)
        put(m, 0xF3);
    if (prefix == 3)
        put(m, 0xF2);
    uint8_t rex = (uint8_t)(0x40 | w << 3 | below(random, 8));
    if (w || percent(random, 45))
        put(m, rex);
    if (e->map != ISA_MAP_LEGACY)
        put(m, 0x0F);
    if (e->map == ISA_MAP_0F38)
        put(m, 0x38);
    if (e->map == ISA_MAP_0F3A)
        put(m, 0x3A);
}

static void put_vex(struct maker *m, unsigned map)
{
    const struct isa_encoding *e = &m->row->accepts;
    struct difftest_random *random = m->random;
    unsigned w = choose(random, e->w ? e->w : 3), l = choose(random, e->vector_lengths ? e->vector_lengths & 3 : 3);
    unsigned pp = choose(random, e->prefixes ? e->prefixes : 1), rxb = below(random, 8);
    bool uses_vvvv = false;
    for (unsigned i = 0; i < m->row->operand_count; i++)
        uses_vvvv |= m->row->operand[i].source == FROM_VVVV;
    unsigned vvvv = uses_vvvv || percent(random, 2) ? below(random, 16) : 15;
    put_idle_prefixes(m);
    if (percent(random, 10))
        put(m, 0x67);
    if (map == 1 && !w && (rxb & 3) == 3 && percent(random, 60)) {
        put(m, 0xC5);
        put(m, (uint8_t)((rxb & 4) << 5 | vvvv << 3 | l << 2 | pp));
        return;
    }
    put(m, 0xC4);
    put(m, (uint8_t)(rxb << 5 | map));
    put(m, (uint8_t)(w << 7 | vvvv << 3 | l << 2 | pp));
}

static void put_evex(struct maker *m, unsigned map)
{
    const struct isa_encoding *e = &m->row->accepts;
    struct difftest_random *random = m->random;
    unsigned w = choose(random, e->w ? e->w : 3), l = choose(random, e->vector_lengths ? e->vector_lengths : 7);
    unsigned pp = choose(random, e->prefixes ? e->prefixes : 1), rxb = below(random, 8), high = below(random, 2);
    bool uses_vvvv = false;
    for (unsigned i = 0; i < m->row->operand_count; i++)
        uses_vvvv |= m->row->operand[i].source == FROM_VVVV;
    unsigned vvvv = uses_vvvv || percent(random, 2) ? below(random, 32) : 31;
    unsigned mask = percent(random, 40) ? 0 : below(random, 8), z = mask && percent(random, 50);
    unsigned b = percent(random, 30);
    if (b && percent(random, 50))
        l = below(random, 4); /* with registers: the rounding mode */
    put_idle_prefixes(m);
    if (percent(random, 10))
        put(m, 0x67);
    put(m, 0x62);
    put(m, (uint8_t)(rxb << 5 | high << 4 | map));
    put(m, (uint8_t)(w << 7 | (vvvv & 15) << 3 | 4 | pp));
    put(m, (uint8_t)(z << 7 | l << 5 | b << 4 | (vvvv >> 4) << 3 | mask));
}

static void put_insn(struct maker *m, bool illegal)
{
    const struct isa_encoding *e = &m->row->accepts;
    struct difftest_random *random = m->random;
    unsigned what = illegal ? 1 + below(random, 3) : 0;
    bool lock = what == 1 || (m->row->attributes & ISA_LOCK && percent(random, 15));
    switch ((enum isa_map)e->map) {
    case ISA_MAP_VEX_0F:
    case ISA_MAP_VEX_0F38:
    case ISA_MAP_VEX_0F3A:
        if (illegal)
            put(m, (uint8_t[]){ 0xF0, 0x66, 0xF3 }[what - 1]);
        put_vex(m, e->map - ISA_MAP_VEX_0F + 1u);
        break;
    case ISA_MAP_EVEX_0F:
    case ISA_MAP_EVEX_0F38:
    case ISA_MAP_EVEX_0F3A:
        put_evex(m, e->map - ISA_MAP_EVEX_0F + 1u);
        break;
    case ISA_MAP_EVEX_MAP5:
    case ISA_MAP_EVEX_MAP6:
        put_evex(m, e->map - ISA_MAP_EVEX_MAP5 + 5u);
        break;
    default:
        put_legacy(m, lock, what == 2 ? 1 + below(random, 3) : 0);
        break;
    }
    put(m, e->plus_r ? (uint8_t)(e->opcode | below(random, 8)) : e->opcode);
    if (e->has_modrm)
        put_modrm(m, what == 3 ? 3 : e->mods ? e->mods : 3, e->regs ? e->regs : 255, e->rms ? e->rms : 255);
    put_random(m, 12);
}

/* --- addresses --- */

/* An address where a memory operand of so many bytes is worth being. */
static uint64_t pick_address(struct difftest_random *random, unsigned bytes)
{
    uint64_t r = difftest_random(random);
    unsigned size = bytes ? bytes : 8;
    uint64_t inside = DIFFTEST_DATA + 256 + (r % (DIFFTEST_DATA_BYTES - 1024)), near = r % (size + 1);
    switch (below(random, 32)) {
    case 0:
    case 1: /* across the two writable pages */
        return DIFFTEST_DATA + 4096 - near;
    case 2: /* into the read-only page */
        return DIFFTEST_READ_ONLY - near;
    case 3:
        return DIFFTEST_READ_ONLY + 64 + r % (DIFFTEST_READ_ONLY_BYTES - 640);
    case 4: /* across the end */
        return DIFFTEST_DATA_END - near;
    case 5: /* across the start */
        return DIFFTEST_DATA - near;
    case 6:
        return percent(random, 50) ? 0x0000800000000000u - near : 0xDEAD000000000000u + (r & 0xFFFF);
    case 7:
        return percent(random, 50) ? DIFFTEST_DATA_END + (r & 0xFFF) : DIFFTEST_CODE + 0x800 + (r & 0x3FF);
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
        return inside; /* aligned or not */
    case 14:
    case 15:
        return inside & ~7ull;
    default:
        return inside & ~63ull;
    }
}

static unsigned memory_bytes(const struct insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == OPERAND_MEMORY)
            return insn->operand[i].bytes ? insn->operand[i].bytes : 64;
    return 8;
}

/* Fills in a displacement that is the whole address. */
static void patch_displacement(struct maker *m, const struct insn *insn, uint64_t rip)
{
    uint64_t address = pick_address(m->random, memory_bytes(insn));
    if (insn->segment == GS)
        address -= DIFFTEST_GS_BASE;
    unsigned bytes = 4;
    int at = m->disp_at;
    for (unsigned i = 0; i < insn->row->operand_count; i++) {
        if (insn->row->operand[i].source == FROM_OFFSET) {
            bytes = insn->address_bits / 8;
            at = insn->length - (int)bytes;
        }
    }
    if (at < 0)
        return;
    if (at == m->disp_at && m->rip_relative)
        address -= rip + insn->length;
    for (unsigned i = 0; i < bytes; i++)
        m->bytes[at + (int)i] = (uint8_t)(address >> 8 * i);
}

static uint64_t pick_rip(struct difftest_random *random, unsigned length)
{
    uint64_t r = difftest_random(random);
    switch (below(random, 24)) {
    case 0:
    case 1: /* across the two code pages */
        return DIFFTEST_CODE + 4096 - r % (length + 1);
    case 2: /* into nowhere */
        return DIFFTEST_CODE + DIFFTEST_CODE_BYTES - 1 - r % length;
    default:
        return DIFFTEST_CODE + 64 + r % (DIFFTEST_CODE_BYTES - 256);
    }
}

static bool may_run(const struct difftest_generator *generator, const struct insn *insn)
{
    if (generator->reference->row_skipped(insn->row))
        return false;
    if (insn->segment == FS)
        return false; /* the host's thread lives there */
    if (insn->mode_bits != 64)
        return false;
    return true;
}

/*
 * Encodings that are none in the table, but that something takes all the same: XBEGIN, XABORT, XEND, XTEST, which
 * processors know though their CPUID hides them, VMCALL and VMMCALL, which a hypervisor under the host hears of.
 */
static bool may_be_hidden(const uint8_t *bytes)
{
    for (unsigned i = 0; i + 2 < INSN_BYTES_MAX; i++) {
        static const uint8_t taken[] = { 0xC1, 0xD5, 0xD6, 0xD9 };
        if (bytes[i] == 0x0F && bytes[i + 1] == 0x01 && memchr(taken, bytes[i + 2], sizeof(taken)))
            return true;
        if ((bytes[i] & 0xFE) == 0xC6 && bytes[i + 1] == 0xF8)
            return true;
    }
    return false;
}

bool difftest_make_insn(struct difftest_generator *generator, const struct isa_row *row, bool illegal,
                        struct difftest_case *test)
{
    struct difftest_random *random = &generator->random;
    for (unsigned tries = 0; tries < 40; tries++) {
        struct maker m = { .random = random, .row = row, .disp_at = -1 };
        struct insn insn;
        put_insn(&m, illegal);
        enum decode_status status = decode(m.bytes, INSN_BYTES_MAX, 64, generator->features, &insn);
        if (status == DECODE_TOO_LONG || status == DECODE_MORE)
            continue;
        if (status == DECODE_OK ? !may_run(generator, &insn) || (insn.row != row && !illegal)
                                : !illegal || may_be_hidden(m.bytes))
            continue;
        memset(test, 0, sizeof(*test));
        test->row = status == DECODE_OK ? insn.row : NULL;
        test->length = status == DECODE_OK ? insn.length : INSN_BYTES_MAX;
        test->state.rip =
            status == DECODE_OK ? pick_rip(random, insn.length) : DIFFTEST_CODE + 64 + below(random, 4096);
        if (status == DECODE_OK)
            patch_displacement(&m, &insn, test->state.rip);
        memcpy(test->bytes, m.bytes, test->length);
        test->step = test->row && (test->row->attributes & ISA_BRANCH || percent(random, 30));
        if (test->row && strncmp(test->row->mnemonic, "POPF", 4) == 0)
            test->step = false; /* it may set TF or clear it: the INT3 comes first or the trap behind it */
        if (test->row && (strstr(test->row->mnemonic, "GATHER") || strstr(test->row->mnemonic, "SCATTER")))
            test->step = false; /* a trap may come between two lanes */
        return true;
    }
    return false;
}

/* --- states --- */

static const uint32_t corners32[] = {
    0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x3F000000, 0x40200000, 0x7F800000, 0xFF800000,
    0x7FC00001, 0xFFC12345, 0x7F800001, 0xFFA00000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000,
    0x80800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x4F000000, 0xCF000000, 0x4EFFFFFF, 0x5F000000, 0xDF000000,
    0x33800000, 0x00FFFFFF, 0x00400000, 0x3EFFFFFF, 0x3F7FFFFF, 0x4B000001, 0x7FFFFFFF, 0xFFFFFFFF,
};
static const uint64_t corners64[] = {
    0x0000000000000000, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000, 0x3FE0000000000000,
    0x4004000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000001, 0xFFF8123456789ABC,
    0x7FF0000000000001, 0xFFF4000000000000, 0x0000000000000001, 0x8000000000000001, 0x000FFFFFFFFFFFFF,
    0x0010000000000000, 0x8010000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF, 0x41E0000000000000,
    0xC1E0000000000000, 0x41DFFFFFFFC00000, 0x41DFFFFFFFE00000, 0x43E0000000000000, 0xC3E0000000000000,
    0x380FFFFFFFFFFFFF, 0x36A0000000000000, 0x3690000000000000, 0x47EFFFFFE0000000, 0x47EFFFFFF0000000,
    0x3810000000000000, 0x380FFFFFF0000000, 0xC1E0000000100000, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF,
};

/* A general register. */
static uint64_t pick_integer(struct difftest_random *random)
{
    uint64_t r = difftest_random(random);
    unsigned bits = (unsigned)(r & 63);
    switch (below(random, 10)) {
    case 0:
        return r >> 8 & 0x7F; /* small, a shift count */
    case 1:
        return UINT64_MAX - (r >> 8 & 0x7F);
    case 2: { /* signed edges of each width */
        static const uint64_t edges[] = { 0x7F, 0x80, 0x7FFF, 0x8000, 0x7FFFFFFF, 0x80000000, INT64_MAX, 1ull << 63 };
        return edges[r & 7] + ((r >> 8) % 3) - 1;
    }
    case 3:
        return 1ull << bits;
    case 4:
        return UINT64_MAX >> bits;
    case 5:
        return (r & 0x1FFF) + DIFFTEST_DATA;
    case 6:
        return (uint32_t)r;
    default:
        return r;
    }
}

enum style { RANDOM_BYTES, CORNERS_32, CORNERS_64, NEAR_32, NEAR_64, TEXT, SMALL, EXTREMES, INTEGERS, ZEROES, STYLES };

/* Operand bytes in one of several styles; count is a multiple of 8. */
static void fill(struct difftest_random *random, uint8_t *to, unsigned count, enum style style)
{
    static const uint8_t extreme[] = { 0x00, 0xFF, 0x80, 0x7F, 0x01 };
    for (unsigned at = 0; at < count; at += 8) {
        uint64_t r = difftest_random(random), value = r;
        uint32_t low = (uint32_t)r, high = (uint32_t)(r >> 32);
        switch (style) {
        case CORNERS_32:
            value = corners32[low % COUNT(corners32)] | (uint64_t)corners32[high % COUNT(corners32)] << 32;
            break;
        case CORNERS_64:
            value = corners64[r % COUNT(corners64)];
            break;
        case NEAR_32: /* exponents close to each other, so that sums cancel and quotients round */
            value = (r & 0x807FFFFF807FFFFFu) | (uint64_t)(120 + low % 40) << 23 | (uint64_t)(120 + high % 40) << 55;
            break;
        case NEAR_64:
            value = (r & 0x800FFFFFFFFFFFFFu) | (1010 + r % 60) << 52;
            break;
        case TEXT:
            for (unsigned i = 0; i < 8; i++)
                to[at + i] = (uint8_t)"aabcz\0\x80"[(r >> 8 * i) % 7];
            continue;
        case SMALL:
            value = (low % 40) | (uint64_t)(high % 40) << 32;
            break;
        case EXTREMES:
            for (unsigned i = 0; i < 8; i++)
                to[at + i] = extreme[(r >> 8 * i & 0xFF) % COUNT(extreme)];
            continue;
        case INTEGERS:
            value = pick_integer(random);
            break;
        case ZEROES:
            value = 0;
            break;
        default:
            break;
        }
        memcpy(to + at, &value, 8);
    }
}

/* An 80-bit value: the classes of SDM vol. 1 table 4-6 and the unsupported ones of table 8-3. */
static void pick_f80(struct difftest_random *random, uint64_t *mantissa, uint16_t *exponent)
{
    uint64_t r = difftest_random(random), m = difftest_random(random);
    uint16_t sign = (uint16_t)(r & 0x8000);
    static const uint64_t patterns[] = { 0,
                                         0x8000000000000000,
                                         0x8000000000000001,
                                         0xFFFFFFFFFFFFFFFF,
                                         0xC000000000000000,
                                         0xBFFFFFFFFFFFFFFF,
                                         0x4000000000000000,
                                         1 };
    if (percent(random, 25))
        m = patterns[m & 7];
    uint16_t e;
    switch (below(random, 16)) {
    case 0:
        e = 0, m = 0;
        break;
    case 1:
        e = 0; /* denormal or pseudo-denormal */
        break;
    case 2:
        e = 0x7FFF, m = 0x8000000000000000;
        break;
    case 3:
        e = 0x7FFF, m |= 0xC000000000000000;
        break;
    case 4:
        e = 0x7FFF, m = (m & 0x3FFFFFFFFFFFFFFF) | 0x8000000000000001;
        break;
    case 5:
        e = (uint16_t)(r >> 16 & 0x7FFF); /* maybe an unnormal */
        break;
    case 6:
        e = (uint16_t)(r >> 16 & 1 ? 0x7FFE - (r >> 20 & 3) : 1 + (r >> 20 & 70)), m |= 1ull << 63;
        break;
    case 7: /* whole numbers */
        e = (uint16_t)(0x3FFF + (r >> 16) % 70), m |= 1ull << 63;
        m &= ~(UINT64_MAX >> 1 >> ((r >> 24) % 63));
        break;
    case 8: /* what a float or double holds */
        e = (uint16_t)(0x3FFF - 160 + (r >> 16) % 320), m = (m & 0xFFFFFF0000000000) | 1ull << 63;
        break;
    case 9:
        e = (uint16_t)(0x3FFF - 1100 + (r >> 16) % 2200), m |= 1ull << 63;
        break;
    default:
        e = (uint16_t)(0x3FFF - 6 + (r >> 16) % 12), m |= 1ull << 63;
        break;
    }
    *mantissa = m;
    *exponent = e | sign;
}

static void make_x87(struct difftest_random *random, struct x87 *x87)
{
    uint64_t r = difftest_random(random);
    memset(x87, 0, sizeof(*x87));
    x87->fcw = (uint16_t)(0x37F | (percent(random, 50) ? r & 0xF00 : 0));
    if (percent(random, 20))
        x87->fcw = (uint16_t)((x87->fcw & ~0x3F) | (r >> 16 & 0x3F));
    x87->fsw = (uint16_t)(r >> 24 & 0x7F00);
    if (percent(random, 30))
        x87->fsw |= r >> 48 & 0x7F;
    if (percent(random, 90))
        x87->fsw &= (uint16_t)(~0x3Fu | x87->fcw); /* only masked ones: nothing waits */
    if (x87->fsw & ~x87->fcw & 0x3F)
        x87->fsw |= 0x8080;
    x87->tags = percent(random, 70) ? 0xFF : (uint8_t)(r >> 56);
    for (unsigned i = 0; i < 8; i++)
        pick_f80(random, &x87->r[i].mantissa, &x87->r[i].exponent);
    x87->fop = 0;
    x87->fip = 0x1234;
    x87->fdp = 0x5678;
}

static uint32_t pick_mxcsr(struct difftest_random *random)
{
    uint32_t r = (uint32_t)difftest_random(random), mxcsr = 0x1F80;
    if (percent(random, 50))
        mxcsr |= r & 0x6000;
    if (percent(random, 25))
        mxcsr |= r & 0x8040;
    if (percent(random, 25))
        mxcsr |= r >> 16 & 0x3F;
    if (percent(random, 20))
        mxcsr &= ~(r >> 8 & 0x1F80);
    return mxcsr;
}

/* Sets base and index so that the operand lies at a chosen address, as far as they can. */
static void aim(struct difftest_random *random, const struct insn *insn, struct difftest_state *state)
{
    if (!insn->has_memory || insn->base == INSN_BASE_RIP)
        return;
    uint64_t want = pick_address(random, memory_bytes(insn)) - (uint64_t)insn->displacement;
    if (insn->segment == GS)
        want -= DIFFTEST_GS_BASE;
    unsigned base = insn->base, index = insn->index;
    uint64_t garbage = insn->address_bits == 32 ? difftest_random(random) << 32 : 0;
    if (base == INSN_NO_REGISTER) {
        if (index < 16)
            state->gpr[index] = (want >> insn->scale) | garbage;
    } else if (base == index) {
        state->gpr[base] = (want / (1 + (1ull << insn->scale))) | garbage;
    } else {
        uint64_t offset = 0;
        if (index < 16) {
            if (percent(random, 70))
                state->gpr[index] = below(random, 64);
            offset = state->gpr[index] << insn->scale;
        }
        if (base < 16)
            state->gpr[base] = insn->address_bits == 32 ? (uint32_t)(want - offset) | garbage : want - offset;
    }
}

/* Implicit addresses: stack, strings, XLAT, MASKMOV, and the bit offsets of BT. */
static void aim_implicit(struct difftest_random *random, const struct insn *insn, struct difftest_state *state)
{
    const char *name = insn->row->mnemonic;
    uint64_t gs = insn->segment == GS ? DIFFTEST_GS_BASE : 0;
    if (!(insn->has_memory && (insn->base == RSP)) || insn->row->attributes & (ISA_D64 | ISA_BRANCH))
        state->gpr[RSP] = pick_address(random, 8);
    if (insn->row->attributes & ISA_REP) {
        state->gpr[RSI] = pick_address(random, 8) - gs;
        state->gpr[RDI] = pick_address(random, 8);
        if (percent(random, 85))
            state->gpr[RCX] = below(random, percent(random, 80) ? 24 : 2000);
        if (insn->address_bits == 32 && percent(random, 70))
            state->gpr[RCX] = (uint32_t)state->gpr[RCX] | difftest_random(random) << 32;
    }
    if (strcmp(name, "XLAT") == 0)
        state->gpr[RBX] = pick_address(random, 8) - (state->gpr[RAX] & 0xFF) - gs;
    if (strncmp(name, "MASKMOV", 7) == 0 || strncmp(name, "VMASKMOVDQU", 11) == 0)
        state->gpr[RDI] = pick_address(random, 16) - gs;
    if (strcmp(name, "LEAVE") == 0 || strcmp(name, "ENTER") == 0)
        state->gpr[RBP] = pick_address(random, 8);
    if (name[0] == 'B' && name[1] == 'T' && insn->has_memory && insn->operand[1].kind == OPERAND_REGISTER) {
        unsigned number = insn->operand[1].number;
        bool addresses = number == insn->base || number == insn->index;
        if (!addresses && percent(random, 90))
            state->gpr[number] = (uint64_t)((int64_t)below(random, 4096) - 2048);
    }
    if (strncmp(name, "LOOP", 4) == 0 || strstr(name, "CXZ"))
        state->gpr[RCX] = percent(random, 50) ? below(random, 3) : state->gpr[RCX] & ~0xFFFFFFFFull;
    if (insn->row->attributes & ISA_BRANCH && insn->operand_count == 1 && insn->operand[0].kind == OPERAND_REGISTER &&
        percent(random, 60))
        state->gpr[insn->operand[0].number & 15] = DIFFTEST_CODE + below(random, 4096);
    if ((name[0] == 'D' || (name[0] == 'I' && name[1] == 'D')) && strstr(name, "DIV") && percent(random, 70)) {
        /* quotients that fit */
        unsigned bits = insn->operand_bits;
        bool is_signed = name[0] == 'I';
        if (bits == 8)
            state->gpr[RAX] &= ~0xFF00ull;
        else
            state->gpr[RDX] = is_signed && state->gpr[RAX] >> (bits - 1) & 1 ? UINT64_MAX : below(random, 4);
    }
    if (strncmp(name, "CMPXCHG", 7) == 0 && percent(random, 60) && insn->operand[0].kind == OPERAND_REGISTER)
        state->gpr[RAX] = state->gpr[insn->operand[0].number & 15];
}

void difftest_make_state(struct difftest_generator *generator, struct difftest_case *test)
{
    struct difftest_random *random = &generator->random;
    struct difftest_state *state = &test->state;
    uint64_t rip = state->rip;
    memset(state, 0, sizeof(*state));
    state->rip = rip;
    for (unsigned i = 0; i < 16; i++)
        state->gpr[i] = pick_integer(random);
    state->rflags = FLAGS_FIXED | FLAG_IF | (difftest_random(random) & FLAGS_STATUS);
    if (percent(random, 20))
        state->rflags |= FLAG_DF;
    if (percent(random, 5))
        state->rflags |= FLAG_AC;
    make_x87(random, &state->x87);
    enum style style = (enum style)below(random, STYLES);
    for (unsigned i = 0; i < 32; i++)
        fill(random, state->zmm[i].u8, 64, percent(random, 80) ? style : (enum style)below(random, STYLES));
    for (unsigned i = 0; i < 8; i++)
        state->opmask[i] = percent(random, 20) ? 0 : percent(random, 20) ? UINT64_MAX : difftest_random(random);
    state->mxcsr = pick_mxcsr(random);
    struct insn insn;
    if (!test->row || decode(test->bytes, test->length, 64, generator->features, &insn) != DECODE_OK) {
        state->gpr[RSP] = DIFFTEST_DATA + 0x400;
        return;
    }
    if (insn.row->isa_class == ISA_CLASS_MMX || insn.row->isa_class == ISA_CLASS_SSE_MMX)
        for (unsigned i = 0; i < 8; i++)
            fill(random, (uint8_t *)&state->x87.r[i].mantissa, 8, style);
    aim_implicit(random, &insn, state);
    aim(random, &insn, state);
}

void difftest_make_memory(struct difftest_random *random, struct difftest_memory *memory)
{
    for (unsigned part = 0; part < 2; part++) {
        uint8_t *to = part ? memory->read_only : memory->data;
        unsigned bytes = part ? DIFFTEST_READ_ONLY_BYTES : DIFFTEST_DATA_BYTES;
        for (unsigned at = 0; at < bytes; at += 64) {
            unsigned style = below(random, STYLES + 2);
            if (style >= STYLES) { /* 80-bit numbers */
                memset(to + at, 0, 64);
                for (unsigned i = 0; i < 4; i++) {
                    uint64_t mantissa;
                    uint16_t exponent;
                    pick_f80(random, &mantissa, &exponent);
                    memcpy(to + at + 16 * i, &mantissa, 8);
                    memcpy(to + at + 16 * i + 8, &exponent, 2);
                }
                continue;
            }
            fill(random, to + at, 64, (enum style)style);
        }
    }
}

/* --- what is undefined --- */

void difftest_mask(struct difftest_case *test, unsigned whose)
{
    struct insn insn;
    bool result;
    test->flags_undefined = 0;
    if (!test->row || !test->row->handlers || !test->row->handlers->undefined ||
        decode(test->bytes, test->length, 64, NULL, &insn) != DECODE_OK)
        return;
    const struct undefined *what = test->row->handlers->undefined;
    uint32_t count = 1, w = insn.operand_bits;
    for (unsigned i = 0; i < what->count; i++) {
        bool immediate = insn.operand[insn.operand_count - 1].kind == OPERAND_IMMEDIATE;
        if (what->lines[i].when >= UNDEFINED_COUNT_ABOVE_1 && what->lines[i].when <= UNDEFINED_COUNT_ABOVE_SIZE)
            count = (uint32_t)(immediate ? insn.immediate : test->state.gpr[RCX]) & (w == 64 ? 63 : 31);
    }
    test->flags_undefined = undefined_flags(what, whose, w, count, false, &result);
}
