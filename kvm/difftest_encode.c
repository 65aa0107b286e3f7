/*
 * The encodings of the instruction tests: bytes from a row of isa.def.
 *
 * Everything about an encoding comes from the row's isa_encoding. What matters (shape of the operand, vector length,
 * mask, rounding, prefixes) is chosen by a plan, each combination in its turn; the rest (registers, displacements,
 * immediates) at random. What was made up is then decoded, so that a row that is more specific gets what belongs to it.
 */
#include "kvm/difftest_choice.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define below        difftest_below
#define percent      difftest_percent

/* One of the bits set in a mask, as its number. */
static unsigned any_bit(struct difftest_random *random, unsigned mask)
{
    unsigned skip = below(random, (unsigned)__builtin_popcount(mask));
    while (skip--)
        mask &= mask - 1;
    return (unsigned)__builtin_ctz(mask);
}

/* What an illegal encoding has wrong; which of them are tried depends on the kind of encoding. */
enum fault_kind {
    NO_FAULT,
    LEADING_LOCK,
    LEADING_66,
    LEADING_F2,
    LEADING_F3,
    WRONG_MOD,
    TOO_LONG,
    LEADING_REX, /* of VEX and EVEX, from here on */
    WRONG_W,
    WRONG_LENGTH,
    WRONG_PP,
    WRONG_VVVV,
    LEGACY_FAULTS = LEADING_REX,
    WRONG_B = WRONG_VVVV + 1, /* of EVEX, from here on */
    WRONG_Z,
    WRONG_MASK,
    RESERVED_SET,
    RESERVED_CLEAR,
    EVEX_FAULTS,
    VEX_FAULTS = WRONG_B,
};

/* The shapes of an address: ModRM.mod and what stands in for the base. */
enum address_shape { PLAIN, DISP8, DISP32, SIB, SIB_DISP8, SIB_DISP32, ABSOLUTE, RIP_RELATIVE, ADDRESS_SHAPES };

struct maker {
    struct difftest_random *random;
    struct difftest_plan plan;
    const struct isa_row *row;
    enum fault_kind fault;
    bool memory; /* the form with an operand in memory, where the row has both */
    enum difftest_mask mask;
    enum address_shape shape;
    uint8_t bytes[40];
    unsigned at;
    int disp_at; /* of a disp32 that is the whole address, relative to RIP or not; -1 */
    bool rip_relative;
};

/* Gathers and scatters have nothing but a SIB byte. */
static unsigned row_rms(const struct isa_row *row)
{
    return row->attributes & ISA_VSIB ? 16 : row->accepts.rms ? row->accepts.rms : 255;
}

static unsigned choose(struct maker *m, unsigned among)
{
    return difftest_choose(&m->plan, among);
}
static unsigned choose_bit(struct maker *m, unsigned mask)
{
    return difftest_choose_bit(&m->plan, mask);
}

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

/*
 * The shape of the address, and its prefixes: each shape without any, one of them with each prefix. Of rows that fix
 * ModRM.rm there are fewer.
 */
static void choose_address(struct maker *m, bool may_be_32)
{
    static const uint8_t idle[] = { 0x26, 0x2E, 0x36, 0x3E };
    unsigned rms = row_rms(m->row);
    unsigned shapes = !m->memory ? 1 : rms == 255 ? ADDRESS_SHAPES : rms == 16 ? 4 : 1;
    unsigned choice = choose(m, shapes + (may_be_32 ? 3 : 2));
    unsigned shape = choice < shapes ? choice : below(m->random, shapes);
    m->shape = shapes == 4 ? (enum address_shape)(SIB + shape) : (enum address_shape)shape;
    if (choice == shapes)
        put(m, idle[below(m->random, 4)]);
    if (choice == shapes + 1 || (choice > shapes + 1 && percent(m->random, 30)))
        put(m, 0x65);
    if (choice == shapes + 2)
        put(m, 0x67);
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

static void put_memory(struct maker *m, unsigned reg, unsigned rms)
{
    struct difftest_random *random = m->random;
    bool any = rms == 255;
    enum address_shape shape = m->shape;
    unsigned mod = shape == DISP8 || shape == SIB_DISP8 ? 1 : shape == DISP32 || shape == SIB_DISP32 ? 2 : 0;
    unsigned rm = any_bit(random, any ? mod ? 0xEF : 0xCF : rms); /* neither SIB nor, with mod 0, disp32 */
    uint8_t sib = (uint8_t)difftest_random(random);
    if (shape >= SIB)
        rm = shape == RIP_RELATIVE ? 5 : 4;
    if (shape == SIB && (sib & 7) == 5)
        sib ^= 1;
    if (shape == ABSOLUTE)
        sib = (uint8_t)((sib & ~7u) | 5);
    put(m, (uint8_t)(mod << 6 | reg << 3 | rm));
    if (rm == 4)
        put(m, sib);
    if (mod == 1) {
        put_random(m, 1);
    } else if (mod == 2) {
        put_displacement32(m);
    } else if (rm == 5 || (rm == 4 && (sib & 7) == 5)) {
        m->disp_at = (int)m->at;
        m->rip_relative = rm == 5;
        put_displacement32(m);
    }
}

static void put_modrm(struct maker *m)
{
    const struct isa_encoding *e = &m->row->accepts;
    unsigned reg = any_bit(m->random, e->regs ? e->regs : 255), rms = row_rms(m->row);
    if (m->memory)
        put_memory(m, reg, rms);
    else
        put(m, (uint8_t)(0xC0 | reg << 3 | any_bit(m->random, rms)));
}

static void put_leading(struct maker *m)
{
    static const uint8_t bytes[] = {
        [LEADING_LOCK] = 0xF0, [LEADING_66] = 0x66, [LEADING_F2] = 0xF2, [LEADING_F3] = 0xF3
    };
    if (m->fault >= LEADING_LOCK && m->fault <= LEADING_F3)
        put(m, bytes[m->fault]);
    if (m->fault == LEADING_REX)
        put(m, (uint8_t)(0x40 | below(m->random, 16)));
    for (unsigned n = m->fault == TOO_LONG ? 12 + below(m->random, 3) : 0; n > 0; n--)
        put(m, 0x2E);
}

static void put_legacy(struct maker *m)
{
    const struct isa_encoding *e = &m->row->accepts;
    struct difftest_random *random = m->random;
    bool free_prefix = (e->prefixes & 15) == 15, p66, rex;
    unsigned w, prefix = 0;
    if (free_prefix && (!e->operand_sizes || e->operand_sizes == 7)) {
        unsigned width = choose(m, 4); /* none, 66H, REX.W, both */
        p66 = width & 1;
        w = (e->w ? e->w : 3) == 3 ? width >> 1 : choose_bit(m, e->w);
    } else {
        unsigned size = choose_bit(m, e->operand_sizes ? e->operand_sizes : 7);
        w = choose_bit(m, e->w ? e->w : 3);
        prefix = free_prefix ? 0 : choose_bit(m, e->prefixes);
        p66 = prefix == 1 || (size == 0 && w == 0);
        if (e->w == 3 && e->operand_sizes != 7 && e->operand_sizes)
            w = size == 2; /* an o16, o32, o64 row: the sizes decide */
    }
    if (free_prefix && m->row->attributes & ISA_REP)
        prefix = (unsigned[]){ 0, 2, 3 }[choose(m, 3)];
    else if (free_prefix && percent(random, 8))
        prefix = 2 + below(random, 2);
    if (m->row->attributes & ISA_LOCK && m->memory && choose(m, 2))
        put(m, 0xF0);
    rex = choose(m, w ? 1 : 2) || w;
    choose_address(m, (e->address_sizes & 6) == 6 || !e->address_sizes);
    if (e->address_sizes == 2)
        put(m, 0x67);
    if (p66)
        put(m, 0x66);
    if (prefix == 2)
        put(m, 0xF3);
    if (prefix == 3)
        put(m, 0xF2);
    if (rex)
        put(m, (uint8_t)(0x40 | w << 3 | below(random, 8)));
    if (e->map != ISA_MAP_LEGACY)
        put(m, 0x0F);
    if (e->map == ISA_MAP_0F38)
        put(m, 0x38);
    if (e->map == ISA_MAP_0F3A)
        put(m, 0x3A);
}

static bool uses_vvvv(const struct isa_row *row)
{
    for (unsigned i = 0; i < row->operand_count; i++)
        if (row->operand[i].source == FROM_VVVV)
            return true;
    return false;
}

static void put_vex(struct maker *m, unsigned map)
{
    const struct isa_encoding *e = &m->row->accepts;
    struct difftest_random *random = m->random;
    unsigned l = choose_bit(m, e->vector_lengths ? e->vector_lengths & 3 : 3), w = choose_bit(m, e->w ? e->w : 3);
    unsigned pp = choose_bit(m, e->prefixes ? e->prefixes : 1), rxb = below(random, 8);
    unsigned vvvv = uses_vvvv(m->row) || m->fault == WRONG_VVVV ? below(random, 16) : 15;
    w ^= m->fault == WRONG_W;
    l ^= m->fault == WRONG_LENGTH;
    pp ^= m->fault == WRONG_PP ? 1 + below(random, 3) : 0;
    choose_address(m, true);
    if (map == 1 && !w && choose(m, 2)) {
        put(m, 0xC5);
        put(m, (uint8_t)((rxb & 4) << 5 | vvvv << 3 | l << 2 | pp));
        return;
    }
    put(m, 0xC4);
    put(m, (uint8_t)(rxb << 5 | map));
    put(m, (uint8_t)(w << 7 | vvvv << 3 | l << 2 | pp));
}

/* EVEX.b and L'L: each vector length, in memory with and without broadcast; in registers each rounding mode. */
static unsigned choose_length(struct maker *m, bool *b)
{
    unsigned lengths = m->row->accepts.vector_lengths ? m->row->accepts.vector_lengths : 7;
    uint32_t attributes = m->row->attributes;
    unsigned count = (unsigned)__builtin_popcount(lengths), modes = 0;
    if (!m->memory)
        modes = attributes & ISA_ROUNDING ? 4 : attributes & ISA_SAE ? 1 : 0;
    else if (attributes & ISA_BROADCAST)
        modes = count;
    unsigned choice = choose(m, count + modes);
    *b = choice >= count;
    if (*b && !m->memory)
        return modes == 4 ? choice - count : below(m->random, 4);
    for (unsigned skip = *b ? choice - count : choice; skip > 0; skip--)
        lengths &= lengths - 1;
    return (unsigned)__builtin_ctz(lengths);
}

/* EVEX.aaa and z. */
static unsigned choose_mask(struct maker *m, bool *z)
{
    uint32_t attributes = m->row->attributes;
    bool vsib = attributes & ISA_VSIB;
    bool zeroed = attributes & ISA_ZEROED && !(m->memory && m->row->operand[0].source == FROM_MODRM_RM);
    *z = false;
    if (!(attributes & ISA_MASKED) && !vsib)
        return 0;
    unsigned choice = choose(m, vsib ? 3 : zeroed ? 7 : 4);
    if (vsib)
        choice++;
    if (choice == 0)
        return 0;
    m->mask = (enum difftest_mask)(DIFFTEST_MASK_ZERO + (choice - 1) % 3);
    *z = choice > 3;
    return 1 + below(m->random, 7);
}

static void put_evex(struct maker *m, unsigned map)
{
    const struct isa_encoding *e = &m->row->accepts;
    struct difftest_random *random = m->random;
    bool b, z;
    unsigned l = choose_length(m, &b), mask = choose_mask(m, &z);
    unsigned w = choose_bit(m, e->w ? e->w : 3), pp = choose_bit(m, e->prefixes ? e->prefixes : 1);
    unsigned rxb = below(random, 8), high = below(random, 2);
    unsigned vvvv = uses_vvvv(m->row) || m->fault == WRONG_VVVV ? below(random, 32) : 31;
    if (m->row->attributes & ISA_VSIB)
        vvvv = 15 | below(random, 2) << 4; /* V' is the index's */
    w ^= m->fault == WRONG_W;
    pp ^= m->fault == WRONG_PP ? 1 + below(random, 3) : 0;
    b ^= m->fault == WRONG_B;
    if (m->fault == WRONG_LENGTH)
        l = 3;
    if (m->fault == WRONG_Z)
        z = true;
    if (m->fault == WRONG_MASK)
        mask = mask ? 0 : 1 + below(random, 7);
    choose_address(m, true);
    put(m, 0x62);
    put(m, (uint8_t)(rxb << 5 | high << 4 | (m->fault == RESERVED_SET ? 8 : 0) | map));
    put(m, (uint8_t)(w << 7 | (vvvv & 15) << 3 | (m->fault == RESERVED_CLEAR ? 0 : 4) | pp));
    put(m, (uint8_t)(z << 7 | l << 5 | b << 4 | (vvvv >> 4) << 3 | mask));
}

static bool is_evex(unsigned map)
{
    return map >= ISA_MAP_EVEX_0F;
}

static void put_insn(struct maker *m, bool illegal)
{
    const struct isa_encoding *e = &m->row->accepts;
    unsigned mods = e->has_modrm ? e->mods ? e->mods : 3 : 2;
    if (illegal) {
        unsigned end = is_evex(e->map) ? EVEX_FAULTS : e->map >= ISA_MAP_VEX_0F ? VEX_FAULTS : LEGACY_FAULTS;
        m->fault = (enum fault_kind)(1 + choose(m, end - 1));
    }
    m->memory = choose_bit(m, m->fault == WRONG_MOD ? 3 : mods) == 0;
    put_leading(m);
    switch ((enum isa_map)e->map) {
    case ISA_MAP_VEX_0F:
    case ISA_MAP_VEX_0F38:
    case ISA_MAP_VEX_0F3A:
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
        put_legacy(m);
        break;
    }
    put(m, e->plus_r ? (uint8_t)(e->opcode | below(m->random, 8)) : e->opcode);
    if (e->has_modrm)
        put_modrm(m);
    unsigned left = (unsigned)sizeof(m->bytes) - m->at;
    put_random(m, left < 12 ? left : 12);
}

/* --- what becomes of it --- */

/* Fills in a displacement that is the whole address. */
static void patch_displacement(struct maker *m, const struct insn *insn, uint64_t rip, unsigned where)
{
    uint64_t address = difftest_pick_address(m->random, difftest_memory_bytes(insn), where);
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
    uint64_t turn = illegal ? generator->illegal_turn++ : generator->turn++;
    for (unsigned tries = 0; tries < 40; tries++) {
        struct maker m = { .random = random, .plan = { turn, 1 }, .row = row, .disp_at = -1 };
        struct insn insn;
        put_insn(&m, illegal);
        if (!illegal && m.plan.combinations > generator->combinations)
            generator->combinations = m.plan.combinations;
        enum decode_status status = decode(m.bytes, INSN_BYTES_MAX, 64, generator->features, &insn);
        /* Which of an undefined opcode and the length counts first is the processor's choice (SDM vol. 3A, 6.9). */
        if (status == DECODE_MORE || (status == DECODE_TOO_LONG) != (m.fault == TOO_LONG))
            continue;
        if (status == DECODE_OK ? !may_run(generator, &insn) || (insn.row != row && !illegal)
                                : !illegal || may_be_hidden(m.bytes))
            continue;
        memset(test, 0, sizeof(*test));
        test->row = status == DECODE_OK ? insn.row : NULL;
        test->length = status == DECODE_OK ? insn.length : INSN_BYTES_MAX;
        test->mask = m.mask;
        test->state.rip =
            status == DECODE_OK ? pick_rip(random, insn.length) : DIFFTEST_CODE + 64 + below(random, 4096);
        if (status == DECODE_OK)
            patch_displacement(&m, &insn, test->state.rip, (unsigned)(generator->place++ % DIFFTEST_PLACES));
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
