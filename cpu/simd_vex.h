/*
 * The templates of VEX and EVEX handlers (SDM vol. 2A, 2.3 and 2.7): the bodies of cpu/simd_op.h and cpu/simd_fp.h at
 * 16, 32 and 64 bytes, with three operands.
 *
 * A row has one handler for each length, which serves VEX and the EVEX forms without opmask, broadcast and rounding,
 * and one `masked` handler of any length for the rest. What is written clears the register up to bit 511.
 *
 *   VEX(name, body)         128 and 256 bits, no EVEX form
 *   EVEX(name, body, lane)  all lengths; `lane` is what a bit of the opmask stands for. Lanes of the memory operand
 * that are masked off cannot fault EVEX_WHOLE(...)         the same for operations that move lanes about: memory is
 * read whole (exception class E4NF) EVEX_MASK(name, ...)    comparisons: the result's signs go to an opmask register
 *
 * The FP_ forms are the same for bodies that raise floating-point exceptions. Lanes that are masked off raise none:
 * they are computed on fours, on which every operation is exact.
 */
#ifndef CPU_SIMD_VEX_H
#define CPU_SIMD_VEX_H

#include "cpu/insn.h"
#include "cpu/simd_op.h"

#define ELEMENT(lane) ((unsigned)sizeof(((union vector_register *)0)->lane[0]))
#define ALL_LANES     UINT64_MAX

/* --- opmask, broadcast, rounding (cpu/simd_vex.c) --- */

/* The lanes of an op that take part. */
static inline uint64_t simd_active(const struct cpu *cpu, const struct op *op, unsigned lanes)
{
    uint64_t all = UINT64_MAX >> (64 - lanes);
    return OPERAND(mask) ? cpu->opmask[OPERAND(mask)] & all : all;
}

/*
 * Reads the operand src2 or in memory: `bytes` of it, or one element repeated if the op says broadcast. Elements that
 * are not active are not accessed. The return value replaces the caller's `op`; NULL as with mem_load_slow().
 */
const struct op *simd_fetch(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes, uint64_t active,
                            union vector_register *out);
/* Writes the active elements of src2, or of `from`, to the memory operand. */
const struct op *simd_store(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes, uint64_t active,
                            const union vector_register *from);
/* The same for operands that are never checked for alignment (exception classes 11 and E11: VCVTPH2PS, VCVTPS2PH). */
const struct op *simd_fetch_unaligned(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes,
                                      uint64_t active, union vector_register *out);
const struct op *simd_store_unaligned(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes,
                                      uint64_t active, const union vector_register *from);
/* Lanes selected by a vector (VMASKMOVPS and its kin); never checked for alignment. */
const struct op *simd_store_selected(struct cpu *cpu, const struct op *op, unsigned element, unsigned bytes,
                                     uint64_t active, const union vector_register *from);
/* The active elements to the first operand; the others stay or become zero, as the op says. */
void simd_write_masked(struct cpu *cpu, const struct op *op, const union vector_register *r, unsigned element,
                       unsigned bytes, uint64_t active);
/* 4.0 into the elements (2, 4, 8 bytes) that are not active. */
void simd_put_fours(union vector_register *v, unsigned element, unsigned bytes, uint64_t active);
/* The top bits of the elements. */
uint64_t simd_signs(const union vector_register *v, unsigned element, unsigned bytes);

/*
 * EVEX.b with registers: rounding by L'L (or by MXCSR, for rows that only suppress exceptions), and neither flags nor
 * traps. It lasts until simd_rounding_end().
 */
struct simd_rounding {
    uint32_t mxcsr;
    uint8_t soft_now;
    bool changed;
};
struct simd_rounding simd_rounding_begin(struct cpu *cpu, const struct op *op, bool sae_only);
static inline void simd_rounding_end(struct cpu *cpu, struct simd_rounding rounding)
{
    if (rounding.changed) {
        cpu->mxcsr = rounding.mxcsr;
        cpu->fp_soft_now = rounding.soft_now;
    }
}

static inline void vector_write(struct cpu *cpu, unsigned number, const union vector_register *r, unsigned bytes)
{
    memcpy(&cpu->zmm[number], r, bytes);
    memset(cpu->zmm[number].u8 + bytes, 0, 64 - bytes);
}

/* A lane in memory. */
#define LOAD_LANE(bytes, buffer, linear)                                                                               \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->read == tlb_tag(at_, (bytes)))) {                                                           \
            memcpy((buffer), (const void *)(entry_->host + at_), (bytes));                                             \
        } else {                                                                                                       \
            op = mem_load_bytes_slow(cpu, op, at_, (bytes), operand_access(op, ACCESS_READ | ACCESS_LANE), (buffer));  \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        }                                                                                                              \
    } while (0)
#define STORE_LANE(bytes, linear, buffer)                                                                              \
    do {                                                                                                               \
        uint64_t at_ = (linear);                                                                                       \
        const struct tlb_entry *entry_ = tlb_slot(cpu, at_);                                                           \
        if (likely(entry_->write == tlb_tag(at_, (bytes)))) {                                                          \
            memcpy((void *)(entry_->host + at_), (buffer), (bytes));                                                   \
        } else {                                                                                                       \
            op =                                                                                                       \
                mem_store_bytes_slow(cpu, op, at_, (bytes), operand_access(op, ACCESS_WRITE | ACCESS_LANE), (buffer)); \
            if (unlikely(!op))                                                                                         \
                return NULL;                                                                                           \
        }                                                                                                              \
    } while (0)

/* `b`: src2 or `size` bytes of memory. */
#define SOURCE_VECTOR(size)                                                                                            \
    union vector_register memory_;                                                                                     \
    const union vector_register *b = &cpu->zmm[OPERAND(src2)];                                                         \
    if (OPERAND(flags) & OP_MEM) {                                                                                     \
        LINEAR(linear_, (size), ACCESS_READ);                                                                          \
        CHECK_ALIGNED(linear_, (size));                                                                                \
        LOAD_BYTES((size), &memory_, linear_);                                                                         \
        b = &memory_;                                                                                                  \
    }

/* `var`: the general register src2 or memory, w bits. */
#define SOURCE_GENERAL(w, var)                                                                                         \
    do {                                                                                                               \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear_, (w) / 8, ACCESS_READ);                                                                     \
            LOAD((w), (var), linear_);                                                                                 \
        } else {                                                                                                       \
            (var) = REG((w), OPERAND(src2));                                                                           \
        }                                                                                                              \
    } while (0)

/* --- integer bodies --- */

/*
 * `in` bytes of the second source, `out` bytes of result. `start`: FRESH, or FROM_DESTINATION where the first operand
 * is a source too, which the body then finds in r.
 */
#define FRESH
#define FROM_DESTINATION = cpu->zmm[OPERAND(dst)]
#define VECTOR_FORM(handler, body, in, out, start)                                                                     \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r start;                                                                                 \
        SOURCE_VECTOR(in)                                                                                              \
        simd_##body(&r, &cpu->zmm[OPERAND(src)], b, (out), OPERAND(imm8));                                             \
        vector_write(cpu, OPERAND(dst), &r, (out));                                                                    \
        NEXT;                                                                                                          \
    }
/* `from` are the lanes of the source, `in` its bytes; of `whole`, see above. */
#define MASKED_FORM(handler, body, lane, from, in, whole, start)                                                       \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r start, b;                                                                              \
        unsigned bytes = OP_VECTOR(op), lanes = bytes / ELEMENT(lane);                                                 \
        uint64_t active = simd_active(cpu, op, lanes);                                                                 \
        op = simd_fetch(cpu, op, ELEMENT(from), (in), (whole) ? ALL_LANES : active, &b);                               \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        simd_##body(&r, &cpu->zmm[OPERAND(src)], &b, bytes, OPERAND(imm8));                                            \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, active);                                                  \
        NEXT;                                                                                                          \
    }

#define VECTOR_FORMS(name, body, start)                                                                                \
    VECTOR_FORM(name##_128, body, 16, 16, start)                                                                       \
    VECTOR_FORM(name##_256, body, 32, 32, start)
#define VECTOR_FORMS_512(name, body, start)                                                                            \
    VECTOR_FORMS(name, body, start)                                                                                    \
    VECTOR_FORM(name##_512, body, 64, 64, start)
#define PLAIN(name)             { op_##name##_128, op_##name##_256 }
#define PLAIN_512(name)         { op_##name##_128, op_##name##_256, op_##name##_512 }
#define EVEX_HANDLERS(name, as) HANDLERS(name) = { .plain = PLAIN_512(as), .masked = op_##name##_masked };

#define VEX(name, body)                                                                                                \
    VECTOR_FORMS(name, body, FRESH)                                                                                    \
    HANDLERS(name) = { .plain = PLAIN(name) };
/* A second handler for opmasks of other lanes: VPANDQ beside VPANDD. */
#define EVEX_ALSO(name, as, body, lane)                                                                                \
    MASKED_FORM(name##_masked, body, lane, lane, bytes, false, FRESH)                                                  \
    EVEX_HANDLERS(name, as)
#define EVEX_WHOLE_ALSO(name, as, body, lane)                                                                          \
    MASKED_FORM(name##_masked, body, lane, lane, bytes, true, FRESH)                                                   \
    EVEX_HANDLERS(name, as)
#define EVEX(name, body, lane)                                                                                         \
    VECTOR_FORMS_512(name, body, FRESH)                                                                                \
    EVEX_ALSO(name, name, body, lane)
#define EVEX_WHOLE(name, body, lane)                                                                                   \
    VECTOR_FORMS_512(name, body, FRESH)                                                                                \
    EVEX_WHOLE_ALSO(name, name, body, lane)
/* Two lanes make one, so that a broadcast element is twice an opmask bit's lane: packs. */
#define EVEX_PACK(name, body, lane, from)                                                                              \
    VECTOR_FORMS_512(name, body, FRESH)                                                                                \
    MASKED_FORM(name##_masked, body, lane, from, bytes, true, FRESH)                                                   \
    EVEX_HANDLERS(name, name)
/* Each lane of the result comes from a smaller one. */
#define EVEX_WIDEN(name, body, lane, from)                                                                             \
    VECTOR_FORM(name##_128, body, 16 / (ELEMENT(lane) / ELEMENT(from)), 16, FRESH)                                     \
    VECTOR_FORM(name##_256, body, 32 / (ELEMENT(lane) / ELEMENT(from)), 32, FRESH)                                     \
    VECTOR_FORM(name##_512, body, 64 / (ELEMENT(lane) / ELEMENT(from)), 64, FRESH)                                     \
    MASKED_FORM(name##_masked, body, lane, from, lanes *ELEMENT(from), false, FRESH)                                   \
    EVEX_HANDLERS(name, name)
/* The destination is a source. */
#define EVEX_TERNARY_ALSO(name, as, body, lane)                                                                        \
    MASKED_FORM(name##_masked, body, lane, lane, bytes, false, FROM_DESTINATION)                                       \
    EVEX_HANDLERS(name, as)
#define EVEX_TERNARY(name, body, lane)                                                                                 \
    VECTOR_FORMS_512(name, body, FROM_DESTINATION)                                                                     \
    EVEX_TERNARY_ALSO(name, name, body, lane)
#define EVEX_TERNARY_WHOLE(name, body, lane)                                                                           \
    VECTOR_FORMS_512(name, body, FROM_DESTINATION)                                                                     \
    MASKED_FORM(name##_masked, body, lane, lane, bytes, true, FROM_DESTINATION)                                        \
    EVEX_HANDLERS(name, name)

/* A body that works lane by lane like LANES(), with the lane of the destination in z. */
#define LANES_TERNARY(name, lane, expression)                                                                          \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++) {                                                    \
            __typeof__(r->lane[0]) x = a->lane[i], y = b->lane[i], z = r->lane[i];                                     \
            (void)x, (void)y, (void)z;                                                                                 \
            r->lane[i] = (__typeof__(r->lane[0]))(expression);                                                         \
        }                                                                                                              \
    }

/* Comparisons into an opmask register. */
#define EVEX_MASK(name, body, lane)                                                                                    \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r, b;                                                                                    \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        uint64_t active = simd_active(cpu, op, bytes / ELEMENT(lane));                                                 \
        op = simd_fetch(cpu, op, ELEMENT(lane), bytes, active, &b);                                                    \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        simd_##body(&r, &cpu->zmm[OPERAND(src)], &b, bytes, OPERAND(imm8));                                            \
        cpu->opmask[OPERAND(dst)] = simd_signs(&r, ELEMENT(lane), bytes) & active;                                     \
        NEXT;                                                                                                          \
    }

/* Shifts: by 128 bits of count in the second source (EVEX: memory is read whole), or by imm8. */
#define SHIFT_COUNT_FORM(handler, body, out)                                                                           \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        SOURCE_VECTOR(16)                                                                                              \
        simd_##body(&r, &cpu->zmm[OPERAND(src)], b, (out), 0);                                                         \
        vector_write(cpu, OPERAND(dst), &r, (out));                                                                    \
        NEXT;                                                                                                          \
    }
#define SHIFT_IMMEDIATE_FORM(handler, body, out)                                                                       \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r, count = { .u64 = { OPERAND(imm8) } };                                                 \
        SOURCE_VECTOR(out)                                                                                             \
        simd_##body(&r, b, &count, (out), 0);                                                                          \
        vector_write(cpu, OPERAND(dst), &r, (out));                                                                    \
        NEXT;                                                                                                          \
    }
#define SHIFT_MASKED(name, body, lane)                                                                                 \
    static OP(name##_masked)                                                                                           \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        SOURCE_VECTOR(16)                                                                                              \
        simd_##body(&r, &cpu->zmm[OPERAND(src)], b, bytes, 0);                                                         \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, simd_active(cpu, op, bytes / ELEMENT(lane)));             \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_imm_masked)                                                                                       \
    {                                                                                                                  \
        union vector_register r, b, count = { .u64 = { OPERAND(imm8) } };                                              \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        uint64_t active = simd_active(cpu, op, bytes / ELEMENT(lane));                                                 \
        op = simd_fetch(cpu, op, ELEMENT(lane), bytes, active, &b);                                                    \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        simd_##body(&r, &b, &count, bytes, 0);                                                                         \
        simd_write_masked(cpu, op, &r, ELEMENT(lane), bytes, active);                                                  \
        NEXT;                                                                                                          \
    }
#define SHIFT_IMMEDIATE_FORMS(name, body)                                                                              \
    SHIFT_IMMEDIATE_FORM(name##_128, body, 16)                                                                         \
    SHIFT_IMMEDIATE_FORM(name##_256, body, 32)                                                                         \
    SHIFT_IMMEDIATE_FORM(name##_512, body, 64)
/* handlers_NAME and handlers_NAME_imm */
#define EVEX_SHIFT(name, body, lane)                                                                                   \
    SHIFT_COUNT_FORM(name##_128, body, 16)                                                                             \
    SHIFT_COUNT_FORM(name##_256, body, 32)                                                                             \
    SHIFT_COUNT_FORM(name##_512, body, 64)                                                                             \
    SHIFT_IMMEDIATE_FORMS(name##_imm, body)                                                                            \
    SHIFT_MASKED(name, body, lane)                                                                                     \
    HANDLERS(name) = { .plain = PLAIN_512(name), .masked = op_##name##_masked };                                       \
    HANDLERS(name##_imm) = { .plain = PLAIN_512(name##_imm), .masked = op_##name##_imm_masked };

/* --- floating-point bodies --- */

/* `in` bytes are read, the body computes on `bytes`, `out` are written (conversions differ in them). */
#define FP_VECTOR_FORM(handler, body, in, bytes, out, start)                                                           \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r start;                                                                                 \
        SOURCE_VECTOR(in)                                                                                              \
        if (unlikely(!simd_##body(cpu, &r, &cpu->zmm[OPERAND(src)], b, (bytes), OPERAND(imm8))))                       \
            FAULT_PENDING;                                                                                             \
        vector_write(cpu, OPERAND(dst), &r, (out));                                                                    \
        NEXT;                                                                                                          \
    }
/* `to` and `from`: lanes of result and sources; the vector length is that of the wider ones. */
#define FP_MASKED_COMPUTE(body, to, from, sae_only, start)                                                             \
    union vector_register r start, a, b;                                                                               \
    const unsigned wide = ELEMENT(to) > ELEMENT(from) ? ELEMENT(to) : ELEMENT(from);                                   \
    unsigned bytes = OP_VECTOR(op), lanes = bytes / wide, in = lanes * ELEMENT(from), out = lanes * ELEMENT(to);       \
    uint64_t active = simd_active(cpu, op, lanes);                                                                     \
    op = simd_fetch(cpu, op, ELEMENT(from), in, active, &b);                                                           \
    if (unlikely(!op))                                                                                                 \
        return NULL;                                                                                                   \
    a = cpu->zmm[OPERAND(src)];                                                                                        \
    simd_put_fours(&a, ELEMENT(from), in, active);                                                                     \
    simd_put_fours(&b, ELEMENT(from), in, active);                                                                     \
    if (sizeof(#start) > 1)                                                                                            \
        simd_put_fours(&r, ELEMENT(to), out, active);                                                                  \
    struct simd_rounding rounding_ = simd_rounding_begin(cpu, op, (sae_only));                                         \
    bool done_ = simd_##body(cpu, &r, &a, &b, bytes, OPERAND(imm8));                                                   \
    simd_rounding_end(cpu, rounding_);                                                                                 \
    if (unlikely(!done_))                                                                                              \
        FAULT_PENDING;
#define FP_MASKED_FORM(handler, body, to, from, sae_only, start)                                                       \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        FP_MASKED_COMPUTE(body, to, from, sae_only, start)                                                             \
        simd_write_masked(cpu, op, &r, ELEMENT(to), out, active);                                                      \
        NEXT;                                                                                                          \
    }
#define FP_MASK_FORM(handler, body, lane)                                                                              \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        FP_MASKED_COMPUTE(body, lane, lane, true, FRESH)                                                               \
        cpu->opmask[OPERAND(dst)] = simd_signs(&r, ELEMENT(lane), out) & active;                                       \
        NEXT;                                                                                                          \
    }
/* Bytes in and out for a vector length and lanes of two sizes. */
#define FP_IN(length, to, from)  ((length) * ELEMENT(from) / (ELEMENT(to) > ELEMENT(from) ? ELEMENT(to) : ELEMENT(from)))
#define FP_OUT(length, to, from) FP_IN(length, from, to)

#define FP_VECTOR_FORMS(name, body, to, from, start)                                                                   \
    FP_VECTOR_FORM(name##_128, body, FP_IN(16, to, from), 16, FP_OUT(16, to, from), start)                             \
    FP_VECTOR_FORM(name##_256, body, FP_IN(32, to, from), 32, FP_OUT(32, to, from), start)
#define FP_VECTOR_FORMS_512(name, body, to, from, start)                                                               \
    FP_VECTOR_FORMS(name, body, to, from, start)                                                                       \
    FP_VECTOR_FORM(name##_512, body, FP_IN(64, to, from), 64, FP_OUT(64, to, from), start)
#define FP_VEX(name, body, lane)                                                                                       \
    FP_VECTOR_FORMS(name, body, lane, lane, FRESH)                                                                     \
    HANDLERS(name) = { .plain = PLAIN(name) };
#define FP_EVEX_FROM(name, body, to, from, sae_only)                                                                   \
    FP_VECTOR_FORMS_512(name, body, to, from, FRESH)                                                                   \
    FP_MASKED_FORM(name##_masked, body, to, from, sae_only, FRESH)                                                     \
    EVEX_HANDLERS(name, name)
#define FP_EVEX(name, body, lane) FP_EVEX_FROM(name, body, lane, lane, false)
#define FP_EVEX_TERNARY(name, body, lane, sae_only)                                                                    \
    FP_VECTOR_FORMS_512(name, body, lane, lane, FROM_DESTINATION)                                                      \
    FP_MASKED_FORM(name##_masked, body, lane, lane, sae_only, FROM_DESTINATION)                                        \
    EVEX_HANDLERS(name, name)
#define FP_EVEX_MASK(name, body, lane)                                                                                 \
    FP_MASK_FORM(name, body, lane)                                                                                     \
    HANDLERS(name) = { .any = op_##name };

/* Scalars: the bits behind the result come from the first source, up to 127. */
#define FP_SCALAR_RESULT(lane, above)                                                                                  \
    union vector_register result = cpu->zmm[above];                                                                    \
    memcpy(&result, &r, ELEMENT(lane));                                                                                \
    vector_write(cpu, OPERAND(dst), &result, 16);
#define FP_SCALAR_FORM(handler, body, to, from, bytes, above)                                                          \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r = cpu->zmm[OPERAND(dst)];                                                              \
        SOURCE_VECTOR(ELEMENT(from))                                                                                   \
        if (unlikely(!simd_##body(cpu, &r, &cpu->zmm[OPERAND(src)], b, (bytes), OPERAND(imm8))))                       \
            FAULT_PENDING;                                                                                             \
        FP_SCALAR_RESULT(to, above)                                                                                    \
        NEXT;                                                                                                          \
    }
#define FP_SCALAR_MASKED_FORM(handler, body, to, from, bytes, sae_only, above)                                         \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r, b;                                                                                    \
        uint64_t active = simd_active(cpu, op, 1);                                                                     \
        op = simd_fetch(cpu, op, ELEMENT(from), ELEMENT(from), active, &b);                                            \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        bool done_ = true;                                                                                             \
        r = cpu->zmm[OPERAND(dst)];                                                                                    \
        if (active) {                                                                                                  \
            union vector_register a = cpu->zmm[OPERAND(src)];                                                          \
            struct simd_rounding rounding_ = simd_rounding_begin(cpu, op, (sae_only));                                 \
            done_ = simd_##body(cpu, &r, &a, &b, (bytes), OPERAND(imm8));                                              \
            simd_rounding_end(cpu, rounding_);                                                                         \
        } else if (OPERAND(evex) & INSN_EVEX_Z) {                                                                      \
            r.u64[0] = 0;                                                                                              \
        }                                                                                                              \
        if (unlikely(!done_))                                                                                          \
            FAULT_PENDING;                                                                                             \
        FP_SCALAR_RESULT(to, above)                                                                                    \
        NEXT;                                                                                                          \
    }
#define FP_SCALAR_FORMS(name, body, to, from, bytes, sae_only, above)                                                  \
    FP_SCALAR_FORM(name, body, to, from, bytes, above)                                                                 \
    FP_SCALAR_MASKED_FORM(name##_masked, body, to, from, bytes, sae_only, above)                                       \
    HANDLERS(name) = { .any = op_##name, .masked = op_##name##_masked };
#define FP_SCALAR_FROM(name, body, to, from, bytes, sae_only)                                                          \
    FP_SCALAR_FORMS(name, body, to, from, bytes, sae_only, OPERAND(src))
#define FP_SCALAR(name, body, lane) FP_SCALAR_FROM(name, body, lane, lane, ELEMENT(lane), false)
/* Three sources: the other bits are the destination's. */
#define FP_SCALAR_TERNARY(name, body, lane) FP_SCALAR_FORMS(name, body, lane, lane, ELEMENT(lane), false, OPERAND(dst))
/* One bit of an opmask register from a comparison of scalars. */
#define FP_SCALAR_MASK(name, body, lane)                                                                               \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r, b;                                                                                    \
        uint64_t active = simd_active(cpu, op, 1);                                                                     \
        op = simd_fetch(cpu, op, ELEMENT(lane), ELEMENT(lane), active, &b);                                            \
        if (unlikely(!op))                                                                                             \
            return NULL;                                                                                               \
        bool done_ = true;                                                                                             \
        if (active) {                                                                                                  \
            union vector_register a = cpu->zmm[OPERAND(src)];                                                          \
            struct simd_rounding rounding_ = simd_rounding_begin(cpu, op, true);                                       \
            done_ = simd_##body(cpu, &r, &a, &b, ELEMENT(lane), OPERAND(imm8));                                        \
            simd_rounding_end(cpu, rounding_);                                                                         \
        }                                                                                                              \
        if (unlikely(!done_))                                                                                          \
            FAULT_PENDING;                                                                                             \
        cpu->opmask[OPERAND(dst)] = active ? r.lane[0] & 1 : 0;                                                        \
        NEXT;                                                                                                          \
    }

#endif
