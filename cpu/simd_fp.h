/*
 * Floating-point bodies of vector handlers, each with its two paths (see cpu/simd.h).
 *
 * A body is bool simd_NAME(cpu, r, a, b, bytes, imm): false if an unmasked exception came up, with cpu->fault filled.
 * Host instructions stand in inline assembly because a compiler may swap operands, which shows in the choice between
 * two NaNs, and may drop an operation whose only effect is a flag.
 */
#ifndef CPU_SIMD_FP_H
#define CPU_SIMD_FP_H

#include "cpu/simd_op.h"

#define FP_ARGUMENTS                                                                                                   \
    struct cpu *cpu, union vector_register *restrict r, const union vector_register *a,                                \
        const union vector_register *b, unsigned bytes, unsigned imm

#ifdef __x86_64__
typedef float host_vector __attribute__((vector_size(16)));

/*
 * `scalar` on a result of less than 16 bytes, else `packed` on each 16; the first source is also the destination. Where
 * both are the same instruction, lanes that are not there are zeros, which raise no flag.
 */
#define HOST_BINARY(packed, scalar)                                                                                    \
    for (unsigned at = 0; at < bytes; at += 16) {                                                                      \
        host_vector x = { 0 }, y = { 0 };                                                                              \
        memcpy(&x, a->u8 + at, simd_unit(bytes));                                                                      \
        memcpy(&y, b->u8 + at, simd_unit(bytes));                                                                      \
        if (bytes < 16)                                                                                                \
            __asm__ volatile(scalar " %1, %0" : "+x"(x) : "x"(y));                                                     \
        else                                                                                                           \
            __asm__ volatile(packed " %1, %0" : "+x"(x) : "x"(y));                                                     \
        memcpy(r->u8 + at, &x, simd_unit(bytes));                                                                      \
    }
/* To lanes of twice the size (bytes: of the result) and of half the size (bytes: of the source). */
#define HOST_WIDEN(insn)                                                                                               \
    for (unsigned at = 0; at < bytes; at += 16) {                                                                      \
        host_vector x, y = { 0 };                                                                                      \
        memcpy(&y, b->u8 + at / 2, simd_unit(bytes) / 2);                                                              \
        __asm__ volatile(insn " %1, %0" : "=x"(x) : "x"(y));                                                           \
        memcpy(r->u8 + at, &x, simd_unit(bytes));                                                                      \
    }
#define HOST_NARROW(insn)                                                                                              \
    for (unsigned at = 0; at < bytes; at += 16) {                                                                      \
        host_vector x, y = { 0 };                                                                                      \
        memcpy(&y, b->u8 + at, simd_unit(bytes));                                                                      \
        __asm__ volatile(insn " %1, %0" : "=x"(x) : "x"(y));                                                           \
        memcpy(r->u8 + at / 2, &x, simd_unit(bytes) / 2);                                                              \
    }
#else
/* fp_soft_now is always set there. */
#define HOST_BINARY(packed, scalar)
#define HOST_WIDEN(insn)
#define HOST_NARROW(insn)
#endif

/*
 * soft_NAME: `count` lanes by an expression in x and y, the lanes of the sources, and `context`. `to` and `from` are
 * the lanes of result and sources; they differ in conversions only.
 */
#define FP_SOFT(name, to, from, count, expression)                                                                     \
    static __attribute__((noinline, cold)) bool soft_##name(FP_ARGUMENTS)                                              \
    {                                                                                                                  \
        (void)imm, (void)a;                                                                                            \
        struct fp_context context = simd_fp_begin(cpu);                                                                \
        for (unsigned i = 0; i < (count); i++) {                                                                       \
            __typeof__(r->from[0]) x = a->from[i], y = b->from[i];                                                     \
            (void)x, (void)y;                                                                                          \
            r->to[i] = (__typeof__(r->to[0]))(expression);                                                             \
        }                                                                                                              \
        return simd_fp_end(cpu, &context);                                                                             \
    }
#define FP_HOST(name, host)                                                                                            \
    BODY bool simd_##name(FP_ARGUMENTS)                                                                                \
    {                                                                                                                  \
        if (unlikely(cpu->fp_soft_now))                                                                                \
            return soft_##name(cpu, r, a, b, bytes, imm);                                                              \
        host return true;                                                                                              \
    }

/* handlers_NAME from simd_BODY: reads `in` bytes, computes on `bytes`, writes `out` of them. */
#define FP_SIZED(name, body, in, bytes, out)                                                                           \
    FP_GENERIC(name, body, in, bytes, out)                                                                             \
    HANDLERS(name) = { .any = op_##name };
#define FP_GENERIC(name, body, in, bytes, out)                                                                         \
    static OP(name)                                                                                                    \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        SOURCE_ANY(in)                                                                                                 \
        if (unlikely(!simd_##body(cpu, &r, &cpu->zmm[OPERAND(dst)], b, (bytes), (uint8_t)OPERAND(imm))))               \
            FAULT_PENDING;                                                                                             \
        memcpy(&cpu->zmm[OPERAND(dst)], &r, (out));                                                                    \
        NEXT;                                                                                                          \
    }
#define FP(name, body, bytes) FP_SIZED(name, body, bytes, bytes, bytes)

/*
 * Specialised forms of an FP() of a body with a host path: a register, and memory without a segment. They only have
 * the host's way; what it cannot do is left to the generic handler.
 */
#define FP_FAST(handler, name, body, bytes, SOURCE)                                                                    \
    static OP(handler)                                                                                                 \
    {                                                                                                                  \
        union vector_register r, y;                                                                                    \
        if (unlikely(cpu->fp_soft_now))                                                                                \
            HAND_OVER(op_##name);                                                                                      \
        SOURCE(bytes, op_##name)                                                                                       \
        (void)simd_##body(cpu, &r, &cpu->zmm[OPERAND(dst)], &y, (bytes), 0);                                           \
        memcpy(&cpu->zmm[OPERAND(dst)], &r, (bytes));                                                                  \
        NEXT;                                                                                                          \
    }
#define FP_FROM_REGISTER(bytes, generic) memcpy(&y, &cpu->zmm[OPERAND(src)], (bytes));
#define FP_FROM_MEMORY(bytes, generic)                                                                                 \
    uint64_t linear_ = LINEAR_FLAT;                                                                                    \
    if (unlikely(OPERAND(flags) & OP_ALIGNED && linear_ & ((bytes) - 1)))                                              \
        HAND_OVER(generic);                                                                                            \
    HIT(read, (bytes), from_, linear_, generic);                                                                       \
    memcpy(&y, (const void *)from_, (bytes));
/* Without an immediate. */
#define FP_HOT(name, body, bytes)                                                                                      \
    FP_GENERIC(name, body, bytes, bytes, bytes)                                                                        \
    FP_FAST(name##_rr, name, body, bytes, FP_FROM_REGISTER)                                                            \
    FP_FAST(name##_rm, name, body, bytes, FP_FROM_MEMORY)                                                              \
    SHAPED_RR_RM(name);

#endif
