/*
 * What EVEX handlers share: operands under an opmask, broadcast, embedded rounding (SDM vol. 2A, 2.7).
 */
#include "cpu/simd_vex.h"

/* The bytes of the active elements lie in [first, last): these and no others can fault. */
static inline unsigned first_active(uint64_t active, unsigned element)
{
    return (unsigned)__builtin_ctzll(active) * element;
}
static inline unsigned behind_active(uint64_t active, unsigned element)
{
    return (64 - (unsigned)__builtin_clzll(active)) * element;
}
static inline uint64_t lanes_of(unsigned bytes, unsigned element)
{
    return UINT64_MAX >> (64 - bytes / element);
}

/*
 * What comes before any lane is looked at: no active one may lie beyond the canonical addresses, and an operand of 8
 * bytes or less wants its alignment as a whole (SDM vol. 2A, 2.8; larger ones never do). bytes: 0 for one that is never
 * checked for alignment.
 */
static bool check_span(struct cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes, unsigned element,
                       uint64_t active, unsigned access)
{
    return mem_check(cpu, linear + first_active(active, element), linear + behind_active(active, element) - 1, 0,
                     operand_access(op, access)) &&
           (bytes > 8 || !bytes || mem_check(cpu, linear, linear, bytes, operand_access(op, access)));
}

static const struct op *fetch_broadcast(struct cpu *cpu, const struct op *op, unsigned element,
                                        union vector_register *out)
{
    LINEAR(linear, element, ACCESS_READ);
    if (OPERAND(mask) && tlb_slot(cpu, linear)->read != tlb_tag(linear, element) &&
        !check_span(cpu, op, linear, element, element, 1, ACCESS_READ))
        FAULT_PENDING;
    LOAD_BYTES(element, out, linear);
    for (unsigned at = element; at < 64; at += element)
        memcpy(out->u8 + at, out, element);
    return op;
}

static const struct op *fetch_some(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes,
                                   uint64_t active, bool unaligned, union vector_register *out)
{
    LINEAR(linear, behind_active(active, element), ACCESS_READ);
    CHECK_ALIGNED(linear, bytes);
    if (tlb_slot(cpu, linear)->read == tlb_tag(linear, bytes)) {
        LOAD_BYTES(bytes, out, linear);
        return op;
    }
    if (!check_span(cpu, op, linear, unaligned ? 0 : bytes, element, active, ACCESS_READ))
        FAULT_PENDING;
    for (uint64_t left = active; left; left &= left - 1)
        PROBE(linear + first_active(left, element), element, operand_access(op, ACCESS_READ | ACCESS_LANE));
    for (uint64_t left = active; left; left &= left - 1) {
        unsigned at = first_active(left, element);
        LOAD_LANE(element, out->u8 + at, linear + at);
    }
    return op;
}

const struct op *simd_fetch(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes, uint64_t active,
                            union vector_register *out)
{
    if (!(OPERAND(flags) & OP_MEM)) {
        *out = cpu->zmm[OPERAND(src2)];
        return op;
    }
    memset(out, 0, sizeof *out);
    active &= lanes_of(bytes, element);
    if (!active)
        return op;
    if (OPERAND(evex) & INSN_EVEX_B)
        return fetch_broadcast(cpu, op, element, out);
    if (active != lanes_of(bytes, element) || OPERAND(mask))
        return fetch_some(cpu, op, element, bytes, active, false, out);
    LINEAR(linear, bytes, ACCESS_READ);
    CHECK_ALIGNED(linear, bytes);
    LOAD_BYTES(bytes, out, linear);
    return op;
}

const struct op *simd_fetch_unaligned(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes,
                                      uint64_t active, union vector_register *out)
{
    if (!(OPERAND(flags) & OP_MEM)) {
        *out = cpu->zmm[OPERAND(src2)];
        return op;
    }
    memset(out, 0, sizeof *out);
    active &= lanes_of(bytes, element);
    return active ? fetch_some(cpu, op, element, bytes, active, true, out) : op;
}

enum store_kind {
    STORE_CHECKED,   /* alignment counts */
    STORE_UNALIGNED, /* it never does */
    STORE_SELECTED,  /* it never does, and lanes are selected without an opmask */
};
/*
 * Where lanes are selected on both sides of a page's end and the second page faults, CR2 names the last byte of the
 * last of them, as Intel's processors do it; the manual asks for any address of the access (SDM vol. 3A, 4.7).
 */
static const struct op *store_some(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes,
                                   uint64_t active, enum store_kind kind, const union vector_register *from)
{
    bool selected = bytes > element && (OPERAND(mask) || kind == STORE_SELECTED);
    active &= lanes_of(bytes, element);
    if (!active)
        return op;
    LINEAR(linear, behind_active(active, element), ACCESS_WRITE);
    CHECK_ALIGNED(linear, bytes);
    bool in_reach = tlb_slot(cpu, linear)->write == tlb_tag(linear, bytes);
    if (active == lanes_of(bytes, element) && (in_reach || (kind == STORE_CHECKED && !selected))) {
        STORE_BYTES(bytes, linear, from);
        return op;
    }
    uint64_t first = linear + first_active(active, element), last = linear + behind_active(active, element) - 1;
    if (!in_reach && !check_span(cpu, op, linear, kind == STORE_CHECKED ? bytes : 0, element, active, ACCESS_WRITE))
        FAULT_PENDING;
    for (uint64_t left = in_reach ? 0 : active; left; left &= left - 1) {
        if (mem_probe(cpu, linear + first_active(left, element), element,
                      operand_access(op, ACCESS_WRITE | ACCESS_LANE)))
            continue;
        if (selected && cpu->fault.vector == VEC_PF && (cpu->fault.cr2 ^ first) >> 12)
            cpu->fault.cr2 = last;
        FAULT_PENDING;
    }
    for (uint64_t left = active; left; left &= left - 1) {
        unsigned at = first_active(left, element);
        STORE_LANE(element, linear + at, from->u8 + at);
    }
    return op;
}

const struct op *simd_store(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes, uint64_t active,
                            const union vector_register *from)
{
    return store_some(cpu, op, element, bytes, active, STORE_CHECKED, from);
}
const struct op *simd_store_unaligned(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes,
                                      uint64_t active, const union vector_register *from)
{
    return store_some(cpu, op, element, bytes, active, STORE_UNALIGNED, from);
}
const struct op *simd_store_selected(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes,
                                     uint64_t active, const union vector_register *from)
{
    return store_some(cpu, op, element, bytes, active, STORE_SELECTED, from);
}

#define MERGE(lane)                                                                                                    \
    for (unsigned i = 0; i < bytes / ELEMENT(lane); i++)                                                               \
        to->lane[i] = active >> i & 1 ? r->lane[i] : zero ? 0 : to->lane[i];                                           \
    break

void simd_write_masked(struct cpu *cpu, const struct op *op, const union vector_register *r, unsigned element,
                       unsigned bytes, uint64_t active)
{
    union vector_register *to = &cpu->zmm[OPERAND(dst)];
    bool zero = OPERAND(evex) & INSN_EVEX_Z;
    switch (OPERAND(mask) ? element : 0) {
    case 1:
        MERGE(u8);
    case 2:
        MERGE(u16);
    case 4:
        MERGE(u32);
    case 8:
        MERGE(u64);
    default:
        memcpy(to, r, bytes);
        break;
    }
    memset(to->u8 + bytes, 0, 64 - bytes);
}

void simd_put_fours(union vector_register *v, unsigned element, unsigned bytes, uint64_t active)
{
    if ((active & lanes_of(bytes, element)) == lanes_of(bytes, element))
        return;
    for (unsigned i = 0; i < bytes / element; i++) {
        if (active >> i & 1)
            continue;
        if (element == 8)
            v->u64[i] = 0x4010000000000000;
        else if (element == 4)
            v->u32[i] = 0x40800000;
        else
            v->u16[i] = 0x4400;
    }
}

#define SIGNS(lane)                                                                                                    \
    for (unsigned i = 0; i < bytes / ELEMENT(lane); i++)                                                               \
        signs |= (uint64_t)(v->lane[i] < 0) << i;                                                                      \
    break

uint64_t simd_signs(const union vector_register *v, unsigned element, unsigned bytes)
{
    uint64_t signs = 0;
    switch (element) {
    case 1:
        SIGNS(i8);
    case 2:
        SIGNS(i16);
    case 4:
        SIGNS(i32);
    default:
        SIGNS(i64);
    }
    return signs;
}

struct simd_rounding simd_rounding_begin(struct cpu *cpu, const struct op *op, bool sae_only)
{
    struct simd_rounding before = { .mxcsr = cpu->mxcsr, .soft_now = cpu->fp_soft_now };
    if (!(OPERAND(evex) & INSN_EVEX_B) || OPERAND(flags) & OP_MEM)
        return before;
    uint32_t rounding = sae_only ? cpu->mxcsr & MXCSR_RC : INSN_EVEX_RC(OPERAND(evex)) << 13;
    cpu->mxcsr = (cpu->mxcsr & (MXCSR_DAZ | MXCSR_FTZ)) | MXCSR_MASKS | rounding;
    cpu->fp_soft_now = true;
    before.changed = true;
    return before;
}
