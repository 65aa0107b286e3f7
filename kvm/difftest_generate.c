/*
 * The states of the instruction tests, and memory's contents: random and corner-case operands, control words each in
 * its turn, addresses where something happens.
 */
#include "kvm/difftest_choice.h"

#include "cpu/undefined.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define below        difftest_below
#define percent      difftest_percent

uint64_t difftest_random(struct difftest_random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* --- addresses --- */

uint64_t difftest_pick_address(struct difftest_random *random, unsigned bytes, unsigned where)
{
    uint64_t r = difftest_random(random);
    unsigned size = bytes ? bytes : 8;
    uint64_t inside = DIFFTEST_DATA + 256 + (r % (DIFFTEST_DATA_BYTES - 1024)), near = r % (size + 1);
    switch (where) {
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
        return inside; /* aligned or not */
    case 12:
    case 13:
        return inside & ~7ull;
    default:
        return inside & ~63ull;
    }
}

unsigned difftest_memory_bytes(const struct insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == OPERAND_MEMORY)
            return insn->operand[i].bytes ? insn->operand[i].bytes : 64;
    return 8;
}

static uint64_t pick_address(struct difftest_random *random, unsigned bytes)
{
    return difftest_pick_address(random, bytes, below(random, DIFFTEST_PLACES));
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

/* Exceptions masked: all, none, or some. */
static unsigned pick_masks(struct difftest_random *random, struct difftest_plan *plan)
{
    unsigned which = difftest_choose(plan, 4);
    return which < 2 ? 0x3F : which == 2 ? 0 : (unsigned)difftest_random(random) & 0x3F;
}

static void make_x87(struct difftest_random *random, struct difftest_plan *plan, struct x87 *x87)
{
    uint64_t r = difftest_random(random);
    memset(x87, 0, sizeof(*x87));
    x87->fcw = (uint16_t)(0x40 | difftest_choose(plan, 4) << 10 | difftest_choose(plan, 4) << 8);
    x87->fcw |= (uint16_t)pick_masks(random, plan);
    x87->fsw = (uint16_t)(r >> 24 & 0x7F00);
    if (percent(random, 30))
        x87->fsw |= r >> 48 & 0x7F;
    if (percent(random, 95))
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

static uint32_t pick_mxcsr(struct difftest_random *random, struct difftest_plan *plan)
{
    uint32_t mxcsr = difftest_choose(plan, 4) << 13; /* RC */
    mxcsr |= pick_masks(random, plan) << 7;
    unsigned flush = difftest_choose(plan, 6); /* half of the time neither FTZ nor DAZ */
    mxcsr |= (flush & 1 ? 0x8000u : 0) | (flush == 2 || flush == 3 ? 0x40u : 0);
    if (flush == 5)
        mxcsr &= ~0x8000u;
    if (percent(random, 25))
        mxcsr |= difftest_random(random) & 0x3F;
    return mxcsr;
}

static void make_opmasks(struct difftest_random *random, const struct insn *insn, enum difftest_mask mask,
                         struct difftest_state *state)
{
    uint64_t *selected = &state->opmask[insn->mask & 7];
    if (!insn->mask)
        return;
    if (mask == DIFFTEST_MASK_ZERO)
        *selected = 0;
    else if (mask == DIFFTEST_MASK_ONES)
        *selected = UINT64_MAX;
    else if (mask == DIFFTEST_MASK_RANDOM)
        *selected = difftest_random(random);
}

/* Sets base and index so that the operand lies at a chosen address, as far as they can. */
static void aim(struct difftest_random *random, const struct insn *insn, unsigned where, struct difftest_state *state)
{
    if (!insn->has_memory || insn->base == INSN_BASE_RIP)
        return;
    uint64_t want = difftest_pick_address(random, difftest_memory_bytes(insn), where) - (uint64_t)insn->displacement;
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
    struct difftest_plan x87 = { generator->state_turn, 1 }, sse = x87;
    generator->state_turn++;
    make_x87(random, &x87, &state->x87);
    state->mxcsr = pick_mxcsr(random, &sse);
    enum style style = (enum style)difftest_choose(&sse, STYLES);
    for (unsigned i = 0; i < 32; i++)
        fill(random, state->zmm[i].u8, 64, percent(random, 80) ? style : (enum style)below(random, STYLES));
    for (unsigned i = 0; i < 8; i++)
        state->opmask[i] = percent(random, 20) ? 0 : percent(random, 20) ? UINT64_MAX : difftest_random(random);
    struct insn insn;
    if (!test->row || decode(test->bytes, test->length, 64, generator->features, &insn) != DECODE_OK) {
        state->gpr[RSP] = DIFFTEST_DATA + 0x400;
        return;
    }
    if (insn.row->isa_class == ISA_CLASS_MMX || insn.row->isa_class == ISA_CLASS_SSE_MMX)
        for (unsigned i = 0; i < 8; i++)
            fill(random, (uint8_t *)&state->x87.r[i].mantissa, 8, style);
    make_opmasks(random, &insn, test->mask, state);
    aim_implicit(random, &insn, state);
    aim(random, &insn, (unsigned)(generator->place++ % DIFFTEST_PLACES), state);
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
