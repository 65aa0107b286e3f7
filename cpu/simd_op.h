/*
 * The templates of vector handlers.
 *
 * An operation is written once, as a body: simd_NAME(r, a, b, bytes, imm) computes `bytes` bytes of result from the
 * first source (which legacy forms also write) and the second. Bodies do not know where operands live, how long vectors
 * are, or whether a destination is masked; the templates below fetch, call and write back. r never overlaps a or b. The
 * length is a constant wherever a body is instantiated, so that compilers turn its loops into host vector code.
 *
 *   SSE(name)   legacy form: xmm1 = f(xmm1, xmm2/m128); bytes above the result stay as they are
 *   MMX(name)   the same body on 8 bytes of MMX registers
 *
 * Floating-point bodies also take the vCPU and return false if an unmasked exception came up (cpu->fault is filled).
 */
#ifndef CPU_SIMD_OP_H
#define CPU_SIMD_OP_H

#include "cpu/handler.h"
#include "cpu/simd.h"
#include "cpu/x87.h"

#define BODY static inline __attribute__((always_inline))
#define BODY_ARGUMENTS                                                                                                 \
    union vector_register *restrict r, const union vector_register *a, const union vector_register *b, unsigned bytes, \
        unsigned imm

/* A body that works lane by lane: x and y are the lanes of the two sources, i is the number of the lane. */
#define LANES(name, lane, expression)                                                                                  \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++) {                                                    \
            __typeof__(r->lane[0]) x = a->lane[i], y = b->lane[i];                                                     \
            (void)x, (void)y;                                                                                          \
            r->lane[i] = (__typeof__(r->lane[0]))(expression);                                                         \
        }                                                                                                              \
    }

/* Shuffles, packs and horizontal operations keep to units of 128 bits; an MMX register is half of one. */
static inline unsigned simd_unit(unsigned bytes)
{
    return bytes < 16 ? bytes : 16;
}

/*
 * A count that differs from lane to lane. Compilers make vector shifts to the left by such counts out of floating-point
 * conversions, which leave flags in the host's MXCSR; they must not see through this one.
 */
static inline uint64_t lane_count(uint64_t count)
{
    __asm__("" : "+r"(count));
    return count;
}

static inline int saturate(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* --- fetching the second operand: `b`, a register or `size` bytes of memory --- */

#define SOURCE_ANY(size)                                                                                               \
    union vector_register memory_;                                                                                     \
    const union vector_register *b = &cpu->zmm[OPERAND(src)];                                                          \
    if (OPERAND(flags) & OP_MEM) {                                                                                     \
        LINEAR(linear_, (size), ACCESS_READ);                                                                          \
        CHECK_ALIGNED(linear_, (size));                                                                                \
        LOAD_BYTES((size), &memory_, linear_);                                                                         \
        b = &memory_;                                                                                                  \
    }
#define SOURCE_REGISTER(size) const union vector_register *b = &cpu->zmm[OPERAND(src)];
#define SOURCE_FLAT(size)                                                                                              \
    union vector_register memory_;                                                                                     \
    const union vector_register *b = &memory_;                                                                         \
    uint64_t linear_ = LINEAR_FLAT;                                                                                    \
    CHECK_ALIGNED(linear_, (size));                                                                                    \
    LOAD_BYTES((size), &memory_, linear_);

/* --- legacy SSE --- */

#define SSE_FORM(handler, body, in, out, SOURCE)                                                                       \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        SOURCE(in)                                                                                                     \
        simd_##body(&r, &cpu->zmm[OPERAND(dst)], b, (out), (uint8_t)OPERAND(imm));                                     \
        memcpy(&cpu->zmm[OPERAND(dst)], &r, (out));                                                                    \
        NEXT;                                                                                                          \
    }

/* The form of a row is the same at each operand size. */
#define EVERY_WIDTH(handler) { op_##handler, op_##handler, op_##handler, op_##handler }
#define SHAPED_RR_RM(name)                                                                                             \
    static op_fn *const shapes_##name[SHAPES][4] = {                                                                   \
        [SHAPE_RR] = EVERY_WIDTH(name##_rr), [SHAPE_RM] = EVERY_WIDTH(name##_rm)                                       \
    };                                                                                                                 \
    HANDLERS(name) = { .any = op_##name, .shaped = shapes_##name }

/* handlers_NAME from simd_BODY: reads `in` bytes, writes `out` bytes. HOT adds specialised forms. */
#define SSE_SIZED(name, body, in, out)                                                                                 \
    SSE_FORM(name, body, in, out, SOURCE_ANY)                                                                          \
    HANDLERS(name) = { .any = op_##name };
#define SSE_HOT_SIZED(name, body, in, out)                                                                             \
    SSE_FORM(name, body, in, out, SOURCE_ANY)                                                                          \
    SSE_FORM(name##_rr, body, in, out, SOURCE_REGISTER)                                                                \
    SSE_FORM(name##_rm, body, in, out, SOURCE_FLAT)                                                                    \
    SHAPED_RR_RM(name);
#define SSE(name)     SSE_SIZED(name, name, 16, 16)
#define SSE_HOT(name) SSE_HOT_SIZED(name, name, 16, 16)

/* handlers_NAME_imm: the immediate takes the place of the second operand (PSLLW xmm1, imm8). */
#define SSE_IMMEDIATE(name)                                                                                            \
    static OP(name##_imm)                                                                                              \
    {                                                                                                                  \
        union vector_register r, count = { .u64 = { (uint8_t)OPERAND(imm) } };                                         \
        simd_##name(&r, &cpu->zmm[OPERAND(dst)], &count, 16, 0);                                                       \
        memcpy(&cpu->zmm[OPERAND(dst)], &r, 16);                                                                       \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLERS(name##_imm) = { .any = op_##name##_imm };

/* --- MMX (SDM vol. 1, 9.6) --- */

/* An x87 exception that waits comes before the instruction; nothing of it happens then. */
#define MMX_CHECK                                                                                                      \
    do {                                                                                                               \
        if (unlikely(cpu->x87.fsw & FSW_ES))                                                                           \
            FAULT(VEC_MF);                                                                                             \
    } while (0)

/* Each MMX instruction but EMMS, once it can no longer fault: the stack's top is 0 and no register is empty. */
static inline void mmx_enter(struct cpu *cpu)
{
    x87_set_top(cpu, 0);
    cpu->x87.tags = 0xFF;
}
static inline uint64_t mmx_read(const struct cpu *cpu, unsigned number)
{
    return cpu->x87.r[number & 7].mantissa;
}
static inline void mmx_write(struct cpu *cpu, unsigned number, uint64_t value)
{
    cpu->x87.r[number & 7].mantissa = value;
    cpu->x87.r[number & 7].exponent = 0xFFFF;
}

#define MMX_SOURCE(size, var)                                                                                          \
    do {                                                                                                               \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear_, (size), ACCESS_READ);                                                                      \
            LOAD((size) * 8, (var), linear_);                                                                          \
        } else {                                                                                                       \
            (var) = mmx_read(cpu, OPERAND(src));                                                                       \
        }                                                                                                              \
    } while (0)

#define MMX_SIZED(name, body, in)                                                                                      \
    static OP(mmx_##name)                                                                                              \
    {                                                                                                                  \
        union vector_register r, a, b;                                                                                 \
        MMX_CHECK;                                                                                                     \
        MMX_SOURCE(in, b.u64[0]);                                                                                      \
        a.u64[0] = mmx_read(cpu, OPERAND(dst));                                                                        \
        simd_##body(&r, &a, &b, 8, (uint8_t)OPERAND(imm));                                                             \
        mmx_enter(cpu);                                                                                                \
        mmx_write(cpu, OPERAND(dst), r.u64[0]);                                                                        \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLERS(mmx_##name) = { .any = op_mmx_##name };
#define MMX(name) MMX_SIZED(name, name, 8)

#define MMX_IMMEDIATE(name)                                                                                            \
    static OP(mmx_##name##_imm)                                                                                        \
    {                                                                                                                  \
        union vector_register r, a, count = { .u64 = { (uint8_t)OPERAND(imm) } };                                      \
        MMX_CHECK;                                                                                                     \
        a.u64[0] = mmx_read(cpu, OPERAND(dst));                                                                        \
        simd_##name(&r, &a, &count, 8, 0);                                                                             \
        mmx_enter(cpu);                                                                                                \
        mmx_write(cpu, OPERAND(dst), r.u64[0]);                                                                        \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLERS(mmx_##name##_imm) = { .any = op_mmx_##name##_imm };

#define SSE_AND_MMX(name)     SSE(name) MMX(name)
#define SSE_HOT_AND_MMX(name) SSE_HOT(name) MMX(name)

/*
 * MASKMOVDQU, MASKMOVQ and VMASKMOVDQU: the bytes (8 or 16) of `values` to DS:rDI where the byte of `masks` has its top
 * bit set. NULL: a fault.
 */
const struct op *simd_maskmov(struct cpu *cpu, const struct op *op, const union vector_register *values,
                              const union vector_register *masks, unsigned bytes);

#endif
