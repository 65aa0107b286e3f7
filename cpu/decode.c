/*
 * The instruction decoder (SDM vol. 2A, chapter 2): prefixes, opcode, ModRM, displacement, immediates.
 *
 * What exists and what it looks like stands in isa.def alone. Here the prefixes and the ModRM byte are gathered into
 * one word with a bit for each property (the decoding state), and the first candidate row of the opcode that refuses
 * none of these bits and whose feature exists is the instruction. isa_gen.py has put the most specific candidates
 * first.
 */
#include "cpu/insn.h"

#include <string.h>

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

#define NO_SEGMENT 0xFF

struct decoder {
    const uint8_t *bytes;
    unsigned limit; /* bytes that may be looked at, at most 15 */
    unsigned at;
    enum decode_status status; /* why a fetch failed */

    unsigned mode_bits;
    bool operand_prefix, address_prefix, lock;
    uint8_t rep;     /* the last of F2H and F3H, or 0 */
    uint8_t segment; /* override, or NO_SEGMENT */
    uint8_t rex;     /* REX byte; with VEX and EVEX the bits in its low half */
    bool rex_byte;   /* a REX byte stands there, so that SPL..DIL replace AH..BH */

    enum isa_map map;
    unsigned vector_prefix; /* VEX.pp, in the numbering of ISA_STATE_PREFIX */
    unsigned vector_length; /* 0, 1, 2 */
    unsigned vvvv;
    uint8_t reg_high, evex, mask; /* EVEX: R' and V' as bit 4 of their registers in reg_high, vvvv */

    unsigned operand_bits; /* effective operand size before the row is known, then with its defaults applied */
    unsigned address_bits;
    unsigned mod, reg, rm;
};

static bool fetch_failed(struct decoder *d)
{
    d->status = d->limit >= INSN_BYTES_MAX ? DECODE_TOO_LONG : DECODE_MORE;
    return false;
}

static inline bool fetch_byte(struct decoder *d, uint8_t *out)
{
    if (d->at >= d->limit)
        return fetch_failed(d);
    *out = d->bytes[d->at++];
    return true;
}

/* A little-endian number of 1, 2, 4 or 8 bytes, zero-extended. */
static bool fetch_number(struct decoder *d, unsigned bytes, uint64_t *out)
{
    uint64_t value = 0;

    if (d->limit - d->at < bytes)
        return fetch_failed(d);
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)d->bytes[d->at + i] << (8 * i);
    d->at += bytes;
    *out = value;
    return true;
}

static bool fetch_signed(struct decoder *d, unsigned bytes, uint64_t *out)
{
    if (!fetch_number(d, bytes, out))
        return false;
    if (bytes < 8) {
        uint64_t sign = 1ull << (8 * bytes - 1);
        *out = (*out ^ sign) - sign;
    }
    return true;
}

static bool undefined(struct decoder *d)
{
    d->status = DECODE_UD;
    return false;
}

/* In 64-bit mode CS, DS, ES and SS overrides are ignored: they do not even cancel an FS or GS before them (SDM vol.
 * 1, 3.3.7.1). */
static void note_segment(struct decoder *d, uint8_t segment)
{
    if (d->mode_bits != 64 || segment >= FS)
        d->segment = segment;
}

/* Legacy and REX prefixes. A REX that is not the last prefix is void. *opcode: the byte behind them. */
static bool read_prefixes(struct decoder *d, uint8_t *opcode)
{
    uint8_t byte;

    for (;;) {
        if (!fetch_byte(d, &byte))
            return false;
        switch (byte) {
        case 0x26:
            note_segment(d, ES);
            break;
        case 0x2E:
            note_segment(d, CS);
            break;
        case 0x36:
            note_segment(d, SS);
            break;
        case 0x3E:
            note_segment(d, DS);
            break;
        case 0x64:
            note_segment(d, FS);
            break;
        case 0x65:
            note_segment(d, GS);
            break;
        case 0x66:
            d->operand_prefix = true;
            break;
        case 0x67:
            d->address_prefix = true;
            break;
        case 0xF0:
            d->lock = true;
            break;
        case 0xF2:
        case 0xF3:
            d->rep = byte;
            break;
        default:
            if (d->mode_bits == 64 && (byte & 0xF0) == 0x40) {
                d->rex = byte;
                d->rex_byte = true;
                continue;
            }
            *opcode = byte;
            return true;
        }
        d->rex = 0;
        d->rex_byte = false;
    }
}

/* pp of VEX and EVEX to the numbering of ISA_STATE_PREFIX, which is the same: none, 66, F3, F2. */
static bool read_vex(struct decoder *d, uint8_t first, uint8_t *opcode)
{
    uint8_t p0, p1;
    unsigned space = 1;

    if (!fetch_byte(d, &p0))
        return false;
    p1 = p0;
    d->rex = p0 & 0x80 ? 0 : REX_R;
    if (first == 0xC4) {
        if (!fetch_byte(d, &p1))
            return false;
        d->rex = (uint8_t)(((~p0 >> 5) & 7) | (p1 & 0x80 ? REX_W : 0));
        space = p0 & 0x1F;
    }
    if (space < 1 || space > 3)
        return undefined(d);
    d->map = (enum isa_map)(ISA_MAP_VEX_0F + space - 1);
    d->vvvv = (~p1 >> 3) & 15u;
    d->vector_length = (p1 >> 2) & 1;
    d->vector_prefix = p1 & 3;
    return fetch_byte(d, opcode);
}

static bool read_evex(struct decoder *d, uint8_t *opcode)
{
    static const uint8_t maps[8] = { 0, ISA_MAP_EVEX_0F,   ISA_MAP_EVEX_0F38, ISA_MAP_EVEX_0F3A,
                                     0, ISA_MAP_EVEX_MAP5, ISA_MAP_EVEX_MAP6, 0 };
    uint8_t p0, p1, p2;

    if (!fetch_byte(d, &p0) || !fetch_byte(d, &p1) || !fetch_byte(d, &p2))
        return false;
    if ((p0 & 8) || !(p1 & 4) || !maps[p0 & 7])
        return undefined(d);
    d->map = (enum isa_map)maps[p0 & 7];
    d->rex = (uint8_t)(((~p0 >> 5) & 7) | (p1 & 0x80 ? REX_W : 0));
    d->reg_high = p0 & 0x10 ? 0 : 16;
    d->vvvv = ((~p1 >> 3) & 15u) | (p2 & 8 ? 0 : 16u);
    d->vector_prefix = p1 & 3;
    d->vector_length = (p2 >> 5) & 3;
    d->mask = p2 & 7;
    d->evex =
        (uint8_t)(INSN_EVEX | (p2 & 0x80 ? INSN_EVEX_Z : 0) | (p2 & 0x10 ? INSN_EVEX_B : 0) | (d->vector_length << 2));
    return fetch_byte(d, opcode);
}

/* Outside 64-bit mode C4, C5 and 62 are LES, LDS and BOUND unless their ModRM byte would name a register (SDM vol.
 * 2A, 2.3.5). */
static bool is_vector_prefix(const struct decoder *d, uint8_t byte)
{
    if (byte != 0xC4 && byte != 0xC5 && byte != 0x62)
        return false;
    return d->mode_bits == 64 || (d->at < d->limit && d->bytes[d->at] >= 0xC0);
}

/* Finds map and opcode. */
static bool read_opcode(struct decoder *d, uint8_t *opcode)
{
    if (!read_prefixes(d, opcode))
        return false;
    if (is_vector_prefix(d, *opcode)) {
        if (d->rex_byte || d->operand_prefix || d->rep || d->lock)
            return undefined(d);
        if (!(*opcode == 0x62 ? read_evex(d, opcode) : read_vex(d, *opcode, opcode)))
            return false;
        if (d->mode_bits != 64) {
            if (d->vvvv & 16) /* EVEX.V' has no meaning there and must be 1 (SDM vol. 2A, 2.7.11) */
                return undefined(d);
            d->rex &= REX_W;
            d->reg_high = 0;
        }
        return true;
    }
    d->map = ISA_MAP_LEGACY;
    if (*opcode != 0x0F)
        return true;
    d->map = ISA_MAP_0F;
    if (!fetch_byte(d, opcode))
        return false;
    if (*opcode != 0x38 && *opcode != 0x3A)
        return true;
    d->map = *opcode == 0x38 ? ISA_MAP_0F38 : ISA_MAP_0F3A;
    return fetch_byte(d, opcode);
}

static void find_sizes(struct decoder *d)
{
    if (d->mode_bits == 64) {
        d->operand_bits = d->rex & REX_W ? 64 : d->operand_prefix ? 16 : 32;
        d->address_bits = d->address_prefix ? 32 : 64;
    } else {
        d->operand_bits = d->operand_prefix ? 48 - d->mode_bits : d->mode_bits;
        d->address_bits = d->address_prefix ? 48 - d->mode_bits : d->mode_bits;
    }
}

/* EVEX.b with a register: L'L is a rounding mode, or nothing, and the length is 512 bits (SDM vol. 2A, 2.7.7). */
static unsigned vector_length(const struct decoder *d)
{
    return d->vector_length > 2 || ((d->evex & INSN_EVEX_B) && d->mod == 3) ? 2 : d->vector_length;
}

static uint64_t decoding_state(const struct decoder *d)
{
    unsigned prefix = d->map >= ISA_MAP_VEX_0F ? d->vector_prefix
                      : d->rep == 0xF2         ? 3
                      : d->rep == 0xF3         ? 2
                                               : d->operand_prefix;

    return 1ull << (ISA_STATE_PREFIX + prefix) | 1ull << (ISA_STATE_OSIZE + (d->operand_bits >> 5)) |
           1ull << (ISA_STATE_ASIZE + (d->address_bits >> 5)) | 1ull << (ISA_STATE_W + ((d->rex & REX_W) != 0)) |
           1ull << (ISA_STATE_B + (d->rex & REX_B)) | 1ull << (ISA_STATE_MODE + (d->mode_bits == 64)) |
           1ull << (ISA_STATE_MOD + (d->mod == 3)) | 1ull << (ISA_STATE_REG + d->reg) | 1ull << (ISA_STATE_RM + d->rm) |
           1ull << (ISA_STATE_VL + vector_length(d));
}

static const struct isa_row *find_row(const struct decoder *d, const struct isa_slot *slot, const uint64_t *features)
{
    uint64_t state = decoding_state(d);

    for (unsigned i = 0; i < slot->count; i++) {
        const struct isa_candidate *candidate = &isa_candidates[slot->first + i];
        const struct isa_row *row = &isa_rows[candidate->row];
        if (state & candidate->refuses)
            continue;
        if (row->feature != ISA_FEATURE_NONE && features && !(features[row->feature / 64] >> (row->feature % 64) & 1))
            continue;
        return row;
    }
    return NULL;
}

/* True if an operand is a 64-bit general register (or memory in its place). */
static bool has_wide_register(const struct isa_row *row)
{
    for (unsigned i = 0; i < row->operand_count; i++)
        if (row->operand[i].cls == CLASS_GPR && row->operand[i].size == SIZE_Q)
            return true;
    return false;
}

/* The operand size as the row wants it. */
static void apply_defaults(struct decoder *d, const struct isa_row *row)
{
    if (d->map < ISA_MAP_VEX_0F && row->accepts.prefixes == 2) {
        /* A mandatory 66H is no operand-size prefix. */
        d->operand_prefix = false;
        find_sizes(d);
    }
    if (d->mode_bits == 64 && ((row->attributes & ISA_F64) || ((row->attributes & ISA_D64) && d->operand_bits != 16)))
        d->operand_bits = 64;
}

static unsigned general_bits(const struct decoder *d)
{
    return d->rex & REX_W && d->mode_bits == 64 ? 64 : 32;
}

/* Bytes of an operand. */
static uint8_t operand_bytes(const struct decoder *d, uint8_t size)
{
    unsigned v = d->operand_bits / 8, x = 16u << vector_length(d);

    switch ((enum operand_size)size) {
    case SIZE_B:
    case SIZE_SB:
        return 1;
    case SIZE_W:
        return 2;
    case SIZE_D:
        return 4;
    case SIZE_Q:
        return 8;
    case SIZE_V:
        return (uint8_t)v;
    case SIZE_Z:
        return v > 4 ? 4 : (uint8_t)v;
    case SIZE_Y:
        return (uint8_t)(general_bits(d) / 8);
    case SIZE_DQ:
        return 16;
    case SIZE_QQ:
        return 32;
    case SIZE_X:
        return (uint8_t)x;
    case SIZE_XH:
        return (uint8_t)(x / 2);
    case SIZE_XF:
        return (uint8_t)(x / 4);
    case SIZE_XE:
        return (uint8_t)(x / 8);
    case SIZE_P:
        return (uint8_t)(2 + v);
    case SIZE_S:
        return d->mode_bits == 64 ? 10 : 6;
    case SIZE_T:
        return 10;
    case SIZE_A:
        return (uint8_t)(2 * v);
    case SIZE_64B:
        return 64;
    case SIZE_M14_28:
        return v > 2 ? 28 : 14;
    case SIZE_NONE:
    case SIZE_M94_108:
    case SIZE_M512:
    case SIZE_XSAVE:
        break;
    }
    return 0;
}

/* See struct insn. */
static uint8_t width_of_row(const struct decoder *d, const struct isa_row *row)
{
    unsigned fixed = 0;

    if (row->attributes & ISA_MOD_IGNORED)
        return d->mode_bits == 64 ? 64 : 32;
    for (unsigned i = 0; i < row->operand_count; i++) {
        const struct operand_code *code = &row->operand[i];
        if (code->cls != CLASS_GPR && code->cls != CLASS_MEM)
            continue;
        if (code->size == SIZE_V || code->size == SIZE_Y || code->size == SIZE_Z)
            return (uint8_t)(8 * operand_bytes(d, code->size));
        if (code->size == SIZE_B || code->size == SIZE_W || code->size == SIZE_D || code->size == SIZE_Q) {
            unsigned bits = 8u * operand_bytes(d, code->size);
            fixed = fixed && fixed < bits ? fixed : bits;
        }
    }
    return (uint8_t)(fixed ? fixed : d->operand_bits);
}

/* EVEX scales an 8-bit displacement by the bytes of the memory operand (SDM vol. 2A, 2.7.5). */
static unsigned displacement_scale(const struct decoder *d, const struct isa_row *row)
{
    if (!d->evex)
        return 1;
    if (d->evex & INSN_EVEX_B)
        return d->rex & REX_W ? 8 : 4;
    for (unsigned i = 0; i < row->operand_count; i++)
        if (row->operand[i].source == FROM_MODRM_RM)
            return operand_bytes(d, row->operand[i].mem_size);
    return 1;
}

static bool fetch_displacement(struct decoder *d, struct insn *insn, unsigned bytes)
{
    uint64_t value;

    if (!fetch_signed(d, bytes, &value))
        return false;
    if (bytes == 1)
        value *= displacement_scale(d, insn->row);
    insn->displacement = (int64_t)value;
    return true;
}

/* SDM vol. 2A, table 2-1. */
static bool read_address16(struct decoder *d, struct insn *insn)
{
    static const uint8_t bases[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
    static const uint8_t indexes[8] = {
        RSI, RDI, RSI, RDI, INSN_NO_REGISTER, INSN_NO_REGISTER, INSN_NO_REGISTER, INSN_NO_REGISTER
    };

    insn->index = indexes[d->rm];
    if (d->mod == 0 && d->rm == 6)
        return fetch_displacement(d, insn, 2);
    insn->base = bases[d->rm];
    if (insn->base == RBP)
        insn->segment = SS;
    return d->mod == 0 || fetch_displacement(d, insn, d->mod);
}

/* SDM vol. 2A, tables 2-2, 2-3 and section 2.2.1. */
static bool read_address(struct decoder *d, struct insn *insn)
{
    unsigned base = d->rm;

    if (d->rm == 4) {
        uint8_t sib;
        if (!fetch_byte(d, &sib))
            return false;
        base = sib & 7;
        unsigned index = ((sib >> 3) & 7) | (d->rex & REX_X ? 8 : 0);
        if (insn->row->attributes & ISA_VSIB) {
            insn->index = (uint8_t)(index | (d->vvvv & 16));
            insn->scale = sib >> 6;
        } else if (index != 4) {
            insn->index = (uint8_t)index;
            insn->scale = sib >> 6;
        }
    } else if (d->mod == 0 && d->rm == 5 && d->mode_bits == 64) {
        insn->base = INSN_BASE_RIP;
        return fetch_displacement(d, insn, 4);
    }
    if (d->mod == 0 && base == 5)
        return fetch_displacement(d, insn, 4);
    insn->base = (uint8_t)(base | (d->rex & REX_B ? 8 : 0));
    if (insn->base == RSP || insn->base == RBP)
        insn->segment = SS;
    return d->mod == 0 || fetch_displacement(d, insn, d->mod == 1 ? 1 : 4);
}

static bool read_memory(struct decoder *d, struct insn *insn)
{
    insn->has_memory = true;
    /* A length beyond 15 bytes counts before the operand of a gather that has no index. */
    if (!(d->address_bits == 16 ? read_address16(d, insn) : read_address(d, insn)))
        return false;
    return !(insn->row->attributes & ISA_VSIB && (d->address_bits == 16 || d->rm != 4)) || undefined(d);
}

/* AH..BH are 16..19. */
static uint8_t byte_register(const struct decoder *d, unsigned number)
{
    return (uint8_t)(!d->rex_byte && number >= 4 && number < 8 ? number + 12 : number);
}

/* Fills in a register operand and refuses numbers that do not exist. */
static bool set_register(struct decoder *d, struct operand *operand, unsigned number, bool first)
{
    operand->kind = OPERAND_REGISTER;
    operand->number = (uint8_t)number;
    switch ((enum operand_class)operand->cls) {
    case CLASS_GPR:
        operand->number = operand->bytes == 1 ? byte_register(d, number & 15) : number & 15;
        break;
    case CLASS_SEG: /* 6 and 7 do not exist, and CS cannot be loaded by MOV (SDM vol. 2B, MOV) */
        operand->number = number & 7;
        return (operand->number <= GS && !(first && operand->number == CS)) || undefined(d);
    case CLASS_CR:
        return number == 0 || (number >= 2 && number <= 4) || number == 8 || undefined(d);
    case CLASS_DR:
        return number < 8 || undefined(d);
    case CLASS_OPMASK:
        return number < 8 || undefined(d);
    case CLASS_MMX:
    case CLASS_ST:
        operand->number = number & 7;
        break;
    case CLASS_VEC:
    case CLASS_NONE:
    case CLASS_MEM:
    case CLASS_IMM:
        break;
    }
    return true;
}

static bool set_rm(struct decoder *d, struct insn *insn, const struct operand_code *code, struct operand *operand)
{
    if (insn->has_memory) {
        operand->kind = OPERAND_MEMORY;
        operand->bytes = operand_bytes(d, code->mem_size);
        return true;
    }
    unsigned number = d->rm | (d->rex & REX_B && code->cls != CLASS_OPMASK ? 8 : 0);
    if (d->evex && code->cls == CLASS_VEC && (d->rex & REX_X))
        number |= 16;
    return set_register(d, operand, number, false);
}

static bool set_immediate(struct decoder *d, struct insn *insn, unsigned size, struct operand *operand, bool second)
{
    uint64_t value;
    bool extend = size == SIZE_SB || size == SIZE_Z || size == SIZE_V || size == SIZE_D;

    operand->kind = OPERAND_IMMEDIATE;
    if (!(extend ? fetch_signed(d, operand->bytes, &value) : fetch_number(d, operand->bytes, &value)))
        return false;
    *(second ? &insn->immediate2 : &insn->immediate) = value;
    return true;
}

static bool set_operand(struct decoder *d, struct insn *insn, unsigned i, bool *second_immediate)
{
    const struct operand_code *code = &insn->row->operand[i];
    struct operand *operand = &insn->operand[i];
    uint64_t value;

    operand->cls = code->cls;
    operand->bytes = operand_bytes(d, code->size);
    if ((insn->row->attributes & ISA_MOD_IGNORED))
        operand->bytes = insn->operand_bits / 8;
    switch ((enum operand_source)code->source) {
    case FROM_MODRM_RM:
        return set_rm(d, insn, code, operand);
    case FROM_MODRM_REG:
        if (d->reg_high && code->cls == CLASS_GPR) /* EVEX.R': there are but 16 of them */
            return undefined(d);
        return set_register(d, operand, d->reg | (d->rex & REX_R ? 8 : 0) | d->reg_high, i == 0);
    case FROM_VVVV:
        return set_register(d, operand, d->vvvv, false);
    case FROM_OPCODE:
        return set_register(d, operand, (insn->opcode & 7) | (d->rex & REX_B ? 8u : 0), false);
    case FROM_FIXED:
        operand->kind = OPERAND_REGISTER;
        operand->number = code->fixed;
        return true;
    case FROM_ONE:
        operand->kind = OPERAND_IMMEDIATE;
        operand->bytes = 0;
        insn->immediate = 1;
        return true;
    case FROM_IMMEDIATE:
        if (!set_immediate(d, insn, code->size, operand, *second_immediate))
            return false;
        *second_immediate = true;
        return true;
    case FROM_RELATIVE:
        operand->kind = OPERAND_IMMEDIATE;
        return fetch_signed(d, operand->bytes, &insn->immediate);
    case FROM_FAR:
        operand->kind = OPERAND_IMMEDIATE;
        return fetch_number(d, d->operand_bits / 8, &insn->immediate) && fetch_number(d, 2, &insn->immediate2);
    case FROM_OFFSET:
        operand->kind = OPERAND_MEMORY;
        insn->has_memory = true;
        if (!fetch_number(d, d->address_bits / 8, &value))
            return false;
        insn->displacement = (int64_t)value;
        return true;
    case FROM_STRING_SI:
    case FROM_STRING_DI:
        operand->kind = OPERAND_MEMORY;
        return true;
    case FROM_IS4:
        if (!fetch_number(d, 1, &insn->immediate))
            return false;
        *second_immediate = true;
        return set_register(d, operand, insn->immediate >> 4 & (d->mode_bits == 64 ? 15 : 7), false);
    case FROM_NONE:
        break;
    }
    return true;
}

/* EVEX.b, .z, .aaa and .L'L must not ask for what the row does not have (SDM vol. 2A, 2.7 and 2.8). */
static bool evex_is_valid(const struct decoder *d, const struct isa_row *row, const uint64_t *features)
{
    bool memory = d->mod != 3, b = d->evex & INSN_EVEX_B, z = d->evex & INSN_EVEX_Z;
    unsigned wanted = memory ? ISA_BROADCAST : ISA_ROUNDING | ISA_SAE;

    if (b ? !(row->attributes & wanted) : d->vector_length > 2)
        return false;
    if (b && memory && d->vector_length > 2)
        return false;
    if (d->mask && !(row->attributes & ISA_MASKED))
        return false;
    if (z && (!d->mask || !(row->attributes & ISA_ZEROED) || (memory && row->operand[0].source == FROM_MODRM_RM)))
        return false;
    if (row->attributes & ISA_VSIB && !d->mask)
        return false;
    if (row->attributes & ISA_VL && vector_length(d) < 2 && features)
        return features[ISA_FEATURE_AVX512VL / 64] >> (ISA_FEATURE_AVX512VL % 64) & 1;
    return true;
}

/* VEX.vvvv must not say anything that no operand uses either (SDM vol. 2A, 2.4). */
static bool check_vector_fields(struct decoder *d, const struct isa_row *row, const uint64_t *features)
{
    if (d->evex && !evex_is_valid(d, row, features))
        return undefined(d);
    for (unsigned i = 0; i < row->operand_count; i++) {
        if (row->operand[i].source == FROM_VVVV) {
            d->vvvv &= d->mode_bits == 64 ? 31 : 7; /* eight registers; where there is none each bit counts */
            return true;
        }
    }
    return (row->attributes & ISA_VSIB ? d->vvvv & 15 : d->vvvv) == 0 || undefined(d);
}

/* The registers of a gather must differ (SDM vol. 2C, VPGATHERDD); EVEX rows have their mask apart. */
static bool check_gather(struct decoder *d, const struct insn *insn)
{
    const struct operand *dst = &insn->operand[0], *mask = &insn->operand[2];

    if (dst->kind != OPERAND_REGISTER)
        return true;
    if (dst->number == insn->index)
        return undefined(d);
    return d->evex || (dst->number != mask->number && mask->number != insn->index) || undefined(d);
}

static void copy_out(const struct decoder *d, struct insn *insn, uint8_t opcode, uint8_t modrm, bool has_modrm)
{
    insn->mode_bits = (uint8_t)d->mode_bits;
    insn->address_bits = (uint8_t)d->address_bits;
    insn->operand_bits = width_of_row(d, insn->row);
    insn->vector_bytes = (uint8_t)(16u << vector_length(d));
    insn->lock = d->lock;
    insn->rep = insn->row->accepts.prefixes & 1 ? d->rep : 0;
    insn->rex = d->rex_byte ? d->rex : 0;
    insn->opcode = opcode;
    insn->modrm = modrm;
    insn->has_modrm = has_modrm;
    insn->vvvv = (uint8_t)d->vvvv;
    insn->mask = d->mask;
    insn->evex = d->evex;
    insn->segment = DS;
    insn->base = insn->index = INSN_NO_REGISTER;
    insn->operand_count = insn->row->operand_count;
}

static bool decode_insn(struct decoder *d, const uint64_t *features, struct insn *insn)
{
    uint8_t opcode, modrm = 0;
    bool second_immediate = false;

    if (!read_opcode(d, &opcode))
        return false;
    find_sizes(d);
    const struct isa_slot *slot = &isa_slots[d->map][opcode];
    if (!slot->count)
        return undefined(d);
    if (slot->has_modrm) {
        if (!fetch_byte(d, &modrm))
            return false;
        d->mod = modrm >> 6;
        d->reg = (modrm >> 3) & 7;
        d->rm = modrm & 7;
    }
    insn->row = find_row(d, slot, features);
    if (insn->row && d->map >= ISA_MAP_VEX_0F && d->mode_bits != 64 && has_wide_register(insn->row)) {
        /* VEX.W and EVEX.W are ignored there: VMOVQ is VMOVD (SDM vol. 2, footnotes of VMOVQ, VPINSRQ, VCVTSI2SD) */
        d->rex &= (uint8_t)~REX_W;
        insn->row = find_row(d, slot, features);
    }
    if (!insn->row)
        return undefined(d);
    apply_defaults(d, insn->row);
    if (d->map >= ISA_MAP_VEX_0F && !check_vector_fields(d, insn->row, features))
        return false;
    copy_out(d, insn, opcode, modrm, slot->has_modrm);
    if (slot->has_modrm && d->mod != 3 && !(insn->row->attributes & ISA_MOD_IGNORED) && !read_memory(d, insn))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (!set_operand(d, insn, i, &second_immediate))
            return false;
    if (d->segment != NO_SEGMENT)
        insn->segment = d->segment;
    if (insn->row->attributes & ISA_VSIB && !check_gather(d, insn))
        return false;
    if (d->lock && !((insn->row->attributes & ISA_LOCK) && insn->operand[0].kind == OPERAND_MEMORY))
        return undefined(d);
    return true;
}

enum decode_status decode(const uint8_t *bytes, unsigned available, unsigned mode_bits, const uint64_t *features,
                          struct insn *insn)
{
    struct decoder d = { .bytes = bytes, .mode_bits = mode_bits, .segment = NO_SEGMENT };

    d.limit = available < INSN_BYTES_MAX ? available : INSN_BYTES_MAX;
    memset(insn, 0, sizeof(*insn));
    bool decoded = decode_insn(&d, features, insn);
    insn->length = (uint8_t)d.at;
    return decoded ? DECODE_OK : d.status;
}
