/*
 * Fused multiply-add, and conversions to and from half precision: FMA, F16C and their EVEX forms (SDM vol. 2,
 * VFMADD132PS and the following, VCVTPH2PS, VCVTPS2PH).
 *
 * The host's own instruction does it in the same form, so that it chooses among NaNs as the guest's would; without
 * FMA on the host the software path gives the same results.
 */
#include "cpu/simd_fp.h"
#include "cpu/simd_vex.h"

static inline uint32_t f32_negated(uint32_t x, bool negate)
{
    return negate && (x & 0x7FFFFFFF) <= 0x7F800000 ? x ^ 0x80000000 : x;
}
static inline uint64_t f64_negated(uint64_t x, bool negate)
{
    return negate && (x & INT64_MAX) <= 0x7FF0000000000000 ? x ^ 1ull << 63 : x;
}

#ifdef __x86_64__
#define HOST_HAS_FMA __builtin_cpu_supports("fma")
/* r holds the first operand. Lanes that are not there are zeros, which raise no flag. */
#define HOST_TERNARY(insn)                                                                                             \
    for (unsigned at = 0; at < bytes; at += 16) {                                                                      \
        host_vector x = { 0 }, y = { 0 }, z = { 0 };                                                                   \
        memcpy(&z, r->u8 + at, simd_unit(bytes));                                                                      \
        memcpy(&x, a->u8 + at, simd_unit(bytes));                                                                      \
        memcpy(&y, b->u8 + at, simd_unit(bytes));                                                                      \
        __asm__ volatile(insn " %2, %1, %0" : "+x"(z) : "x"(x), "x"(y));                                               \
        memcpy(r->u8 + at, &z, simd_unit(bytes));                                                                      \
    }
#else
#define HOST_HAS_FMA false
#define HOST_TERNARY(insn)
#endif

/* p * q + s, where the form says which operands these are: x and y are the sources, z is the destination. */
#define FMA_BODY(name, form, format, lane, letter, p, q, s, negate_product, negate_sum)                                \
    static __attribute__((noinline, cold)) bool soft_##name##form##_##format(FP_ARGUMENTS)                             \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        struct fp_context context = simd_fp_begin(cpu);                                                                \
        for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++) {                                                    \
            __typeof__(r->lane[0]) x = a->lane[i], y = b->lane[i], z = r->lane[i];                                     \
            r->lane[i] =                                                                                               \
                format##_fma(&context, format##_negated(p, (negate_product)), q, format##_negated(s, (negate_sum)));   \
        }                                                                                                              \
        return simd_fp_end(cpu, &context);                                                                             \
    }                                                                                                                  \
    BODY bool simd_##name##form##_##format(FP_ARGUMENTS)                                                               \
    {                                                                                                                  \
        if (unlikely(cpu->fp_soft_now || !HOST_HAS_FMA))                                                               \
            return soft_##name##form##_##format(cpu, r, a, b, bytes, imm);                                             \
        HOST_TERNARY("v" #name #form "p" letter)                                                                       \
        return true;                                                                                                   \
    }                                                                                                                  \
    FP_EVEX_TERNARY(v##name##form##p_##format, name##form##_##format, lane, false)
#define FMA_SCALAR(name, form)                                                                                         \
    FP_SCALAR_TERNARY(v##name##form##s_f32, name##form##_f32, u32)                                                     \
    FP_SCALAR_TERNARY(v##name##form##s_f64, name##form##_f64, u64)
#define FMA_FORM(name, form, p, q, s, negate_product, negate_sum)                                                      \
    FMA_BODY(name, form, f32, u32, "s", p, q, s, negate_product, negate_sum)                                           \
    FMA_BODY(name, form, f64, u64, "d", p, q, s, negate_product, negate_sum)
#define FMA_PACKED(name, negate_product, negate_sum)                                                                   \
    FMA_FORM(name, 132, z, y, x, negate_product, negate_sum)                                                           \
    FMA_FORM(name, 213, x, z, y, negate_product, negate_sum)                                                           \
    FMA_FORM(name, 231, x, y, z, negate_product, negate_sum)
/* handlers_vfmadd132p_f32, handlers_vfmadd132s_f32, ... */
#define FMA(name, negate_product, negate_sum)                                                                          \
    FMA_PACKED(name, negate_product, negate_sum)                                                                       \
    FMA_SCALAR(name, 132)                                                                                              \
    FMA_SCALAR(name, 213)                                                                                              \
    FMA_SCALAR(name, 231)
FMA(fmadd, false, false)
FMA(fmsub, false, true)
FMA(fnmadd, true, false)
FMA(fnmsub, true, true)
FMA_PACKED(fmaddsub, false, !(i & 1))
FMA_PACKED(fmsubadd, false, (i & 1))

/* --- half precision --- */

/* DAZ and FTZ do not hold for the half-precision side, and its denormals raise no DE. */
BODY bool simd_cvtph2ps(FP_ARGUMENTS)
{
    (void)a, (void)imm;
    struct fp_context context = simd_fp_begin(cpu);
    for (unsigned i = 0; i < bytes / 4; i++) {
        struct fp_number number = f16_unpack(b->u16[i]);
        number.denormal = false;
        r->u32[i] = f32_pack(fp_convert(&context, &fp_f32, number));
    }
    return simd_fp_end(cpu, &context);
}
HANDLER(vcvtph2ps)
{
    union vector_register r, b;
    unsigned bytes = OP_VECTOR(op);
    uint64_t active = simd_active(cpu, op, bytes / 4);
    op = simd_fetch_unaligned(cpu, op, 2, bytes / 2, active, &b);
    if (unlikely(!op))
        return NULL;
    simd_put_fours(&b, 2, bytes / 2, active);
    struct simd_rounding rounding = simd_rounding_begin(cpu, op, true);
    bool done = simd_cvtph2ps(cpu, &r, &b, &b, bytes, OPERAND(imm8));
    simd_rounding_end(cpu, rounding);
    if (!done)
        FAULT_PENDING;
    simd_write_masked(cpu, op, &r, 4, bytes, active);
    NEXT;
}

/* imm8[2]: the rounding mode of MXCSR, else imm8[1:0]. */
BODY bool simd_cvtps2ph(FP_ARGUMENTS)
{
    (void)a;
    struct fp_context context = simd_fp_begin(cpu);
    if (!(imm & 4))
        context.rounding = imm & 3;
    context.flush_to_zero = false;
    for (unsigned i = 0; i < bytes / 4; i++) {
        struct fp_number number = f32_unpack(&context, b->u32[i]);
        r->u16[i] = f16_pack(fp_convert(&context, &fp_f16, number));
        /* All of a denormal single lies below the last place of a half: with underflow unmasked, too, processors report
         * that as PE, while a normal one is rounded as if the exponent had no bounds (SDM vol. 1, 4.9.1.5). */
        context.flags |= number.denormal ? FP_PE : 0;
    }
    return simd_fp_end(cpu, &context);
}
HANDLER(vcvtps2ph)
{
    union vector_register r = { .u64 = { 0 } }, b = cpu->zmm[OPERAND(src2)];
    unsigned bytes = OP_VECTOR(op);
    uint64_t active = simd_active(cpu, op, bytes / 4);
    simd_put_fours(&b, 4, bytes, active);
    struct simd_rounding rounding = simd_rounding_begin(cpu, op, true);
    bool done = simd_cvtps2ph(cpu, &r, &b, &b, bytes, OPERAND(imm8));
    simd_rounding_end(cpu, rounding);
    if (!done)
        FAULT_PENDING;
    if (OPERAND(flags) & OP_MEM) { /* processors keep the flags if the store faults */
        op = simd_store_unaligned(cpu, op, 2, bytes / 2, active, &r);
        if (unlikely(!op))
            return NULL;
    } else {
        simd_write_masked(cpu, op, &r, 2, bytes / 2, active);
    }
    NEXT;
}
