/*
 * SSE floating-point arithmetic and comparisons: SSE, SSE2, SSE3, SSE4.1 (SDM vol. 2; vol. 1, chapter 11.5).
 *
 * A body works on lanes of one format and any number of bytes: 4 or 8 are the scalar forms.
 */
#include "cpu/simd_fp.h"
#include "cpu/simd_vex.h"

/* --- one instruction a lane --- */

#define ARITHMETIC_FORMAT(name, format, lane, letter, expression)                                                      \
    FP_SOFT(name##_##format, lane, lane, bytes / sizeof(r->lane[0]), expression)                                       \
    FP_HOST(name##_##format, HOST_BINARY(#name "p" letter, #name "s" letter))
/* add: simd_add_f32, simd_add_f64, and the handlers of ADDPS, ADDSS, ADDPD, ADDSD */
#define ARITHMETIC(name, expression32, expression64)                                                                   \
    ARITHMETIC_FORMAT(name, f32, u32, "s", expression32)                                                               \
    ARITHMETIC_FORMAT(name, f64, u64, "d", expression64)                                                               \
    FP_HOT(name##ps, name##_f32, 16)                                                                                   \
    FP_HOT(name##ss, name##_f32, 4)                                                                                    \
    FP_HOT(name##pd, name##_f64, 16)                                                                                   \
    FP_HOT(name##sd, name##_f64, 8)                                                                                    \
    FP_EVEX(v##name##ps, name##_f32, u32)                                                                              \
    FP_EVEX(v##name##pd, name##_f64, u64)                                                                              \
    FP_SCALAR(v##name##ss, name##_f32, u32)                                                                            \
    FP_SCALAR(v##name##sd, name##_f64, u64)

/*
 * MIN and MAX: the first source only if it is strictly less or greater. With a NaN, or of two zeros, it is the second
 * one as it stands; any NaN is invalid.
 */
#define MIN_MAX(format, type, exponent, sign)                                                                          \
    static type format##_pick(struct fp_context *context, type x, type y, enum fp_relation wanted)                     \
    {                                                                                                                  \
        type picked = format##_compare(context, x, y, true) == wanted ? x : y;                                         \
        bool flushed = context->denormals_are_zero && !(picked & (exponent));                                          \
        return flushed ? picked & (sign) : picked;                                                                     \
    }
MIN_MAX(f32, uint32_t, 0x7F800000u, 0x80000000u)
MIN_MAX(f64, uint64_t, 0x7FF0000000000000u, 0x8000000000000000u)

ARITHMETIC(add, f32_add(&context, x, y), f64_add(&context, x, y))
ARITHMETIC(sub, f32_sub(&context, x, y), f64_sub(&context, x, y))
ARITHMETIC(mul, f32_mul(&context, x, y), f64_mul(&context, x, y))
ARITHMETIC(div, f32_div(&context, x, y), f64_div(&context, x, y))
ARITHMETIC(sqrt, f32_sqrt(&context, y), f64_sqrt(&context, y))
ARITHMETIC(min, f32_pick(&context, x, y, FP_LESS), f64_pick(&context, x, y, FP_LESS))
ARITHMETIC(max, f32_pick(&context, x, y, FP_GREATER), f64_pick(&context, x, y, FP_GREATER))

/* --- approximations: one path only --- */

LANES(rcpps, u32, simd_rcp(y))
LANES(rsqrtps, u32, simd_rsqrt(y))
SSE(rcpps)
SSE(rsqrtps)
SSE_SIZED(rcpss, rcpps, 4, 4)
SSE_SIZED(rsqrtss, rsqrtps, 4, 4)
VEX(vrcpps, rcpps)
VEX(vrsqrtps, rsqrtps)
#define APPROXIMATE_SCALAR(name, body)                                                                                 \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        SOURCE_VECTOR(4)                                                                                               \
        simd_##body(&r, b, b, 4, 0);                                                                                   \
        FP_SCALAR_RESULT(u32, OPERAND(src))                                                                            \
        NEXT;                                                                                                          \
    }
APPROXIMATE_SCALAR(vrcpss, rcpps)
APPROXIMATE_SCALAR(vrsqrtss, rsqrtps)

/* --- CMPPS: masks --- */

/*
 * Those with "less" in them are invalid for quiet NaNs too; VEX and EVEX forms have 32 predicates, of which bit 4 turns
 * that around and bit 3 the answer for NaNs (SDM vol. 2A, CMPPD, table 3-1).
 */
static inline bool predicate_signals(unsigned predicate)
{
    return ((predicate & 3) == 1 || (predicate & 3) == 2) != (predicate >> 4 & 1);
}
static inline bool predicate_holds(enum fp_relation relation, unsigned predicate)
{
    bool holds;
    switch (predicate & 3) {
    case 0:
        holds = relation == FP_EQUAL;
        break;
    case 1:
        holds = relation == FP_LESS;
        break;
    case 2:
        holds = relation == FP_LESS || relation == FP_EQUAL;
        break;
    default:
        holds = relation == FP_UNORDERED;
        break;
    }
    return (holds != (predicate >> 2 & 1)) != (relation == FP_UNORDERED && predicate >> 3 & 1);
}

#define HOST_PREDICATE(number, predicate, letter)                                                                      \
    case number:                                                                                                       \
        HOST_BINARY("cmp" predicate "p" letter, "cmp" predicate "s" letter)                                            \
        break;
#define HOST_COMPARE(letter)                                                                                           \
    switch (imm & 7) {                                                                                                 \
        HOST_PREDICATE(0, "eq", letter)                                                                                \
        HOST_PREDICATE(1, "lt", letter)                                                                                \
        HOST_PREDICATE(2, "le", letter)                                                                                \
        HOST_PREDICATE(3, "unord", letter)                                                                             \
        HOST_PREDICATE(4, "neq", letter)                                                                               \
        HOST_PREDICATE(5, "nlt", letter)                                                                               \
        HOST_PREDICATE(6, "nle", letter)                                                                               \
        HOST_PREDICATE(7, "ord", letter)                                                                               \
    }
/* SSE has the first eight; soft_vcmp_f32 does all 32. */
#define COMPARE(format, lane, letter)                                                                                  \
    FP_SOFT(vcmp_##format, lane, lane, bytes / sizeof(r->lane[0]),                                                     \
            predicate_holds(format##_compare(&context, x, y, predicate_signals(imm)), imm) ? UINT64_MAX : 0)           \
    static inline bool soft_cmp_##format(FP_ARGUMENTS)                                                                 \
    {                                                                                                                  \
        return soft_vcmp_##format(cpu, r, a, b, bytes, imm & 7);                                                       \
    }                                                                                                                  \
    FP_HOST(cmp_##format, HOST_COMPARE(letter))
COMPARE(f32, u32, "s")
COMPARE(f64, u64, "d")

/* Legacy forms look at the low three bits of the immediate alone. */
#define COMPARE_8(format)                                                                                              \
    BODY bool simd_cmp8_##format(FP_ARGUMENTS)                                                                         \
    {                                                                                                                  \
        return simd_cmp_##format(cpu, r, a, b, bytes, imm & 7);                                                        \
    }
COMPARE_8(f32)
COMPARE_8(f64)
FP(cmpps, cmp8_f32, 16)
FP(cmpss, cmp8_f32, 4)
FP(cmppd, cmp8_f64, 16)
FP(cmpsd, cmp8_f64, 8)

/* All 32: the host's SSE has the first eight. */
#define COMPARE_32(format)                                                                                             \
    BODY bool simd_vcmp_##format(FP_ARGUMENTS)                                                                         \
    {                                                                                                                  \
        imm &= 31;                                                                                                     \
        if (likely(imm < 8))                                                                                           \
            return simd_cmp_##format(cpu, r, a, b, bytes, imm);                                                        \
        return soft_vcmp_##format(cpu, r, a, b, bytes, imm);                                                           \
    }
COMPARE_32(f32)
COMPARE_32(f64)
FP_VEX(vcmpps, vcmp_f32, u32)
FP_VEX(vcmppd, vcmp_f64, u64)
FP_SCALAR(vcmpss, vcmp_f32, u32)
FP_SCALAR(vcmpsd, vcmp_f64, u64)
FP_EVEX_MASK(vcmpps_k, vcmp_f32, u32)
FP_EVEX_MASK(vcmppd_k, vcmp_f64, u64)
FP_SCALAR_MASK(vcmpss_k, vcmp_f32, u32)
FP_SCALAR_MASK(vcmpsd_k, vcmp_f64, u64)

/* --- COMISS, UCOMISS: flags --- */

#define COMPARE_SOFT(format, lane)                                                                                     \
    static __attribute__((noinline, cold)) bool soft_comi_##format(struct cpu *cpu, const union vector_register *a,    \
                                                                   const union vector_register *b, bool signaling,     \
                                                                   uint32_t *flags)                                    \
    {                                                                                                                  \
        static const uint8_t relation_flags[] = {                                                                      \
            [FP_LESS] = FLAG_CF, [FP_EQUAL] = FLAG_ZF, [FP_GREATER] = 0, [FP_UNORDERED] = FLAG_ZF | FLAG_PF | FLAG_CF  \
        };                                                                                                             \
        struct fp_context context = simd_fp_begin(cpu);                                                                \
        *flags = relation_flags[format##_compare(&context, a->lane[0], b->lane[0], signaling)];                        \
        return simd_fp_end(cpu, &context);                                                                             \
    }
COMPARE_SOFT(f32, u32)
COMPARE_SOFT(f64, u64)

#ifdef __x86_64__
#define HOST_FLAGS(insn, a, b, bytes, flags)                                                                           \
    do {                                                                                                               \
        host_vector x = { 0 }, y = { 0 };                                                                              \
        bool zf, pf, cf;                                                                                               \
        memcpy(&x, (a), (bytes));                                                                                      \
        memcpy(&y, (b), (bytes));                                                                                      \
        __asm__ volatile(insn " %4, %3" : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf) : "x"(x), "x"(y) : "cc");              \
        (flags) = (zf ? FLAG_ZF : 0) | (pf ? FLAG_PF : 0) | (cf ? FLAG_CF : 0);                                        \
    } while (0)
#else
#define HOST_FLAGS(insn, a, b, bytes, flags) (flags) = 0
#endif

#define COMPARE_FLAGS(name, format, bytes, signaling)                                                                  \
    static inline bool soft_flags_##name(struct cpu *cpu, const union vector_register *a,                              \
                                         const union vector_register *b, uint32_t *flags)                              \
    {                                                                                                                  \
        return soft_comi_##format(cpu, a, b, (signaling), flags);                                                      \
    }                                                                                                                  \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint32_t flags;                                                                                                \
        SOURCE_ANY(bytes)                                                                                              \
        const union vector_register *a = &cpu->zmm[OPERAND(dst)];                                                      \
        if (likely(!cpu->fp_soft_now))                                                                                 \
            HOST_FLAGS(#name, a, b, (bytes), flags);                                                                   \
        else if (!soft_comi_##format(cpu, a, b, (signaling), &flags))                                                  \
            FAULT_PENDING;                                                                                             \
        flags_set_status(cpu, flags);                                                                                  \
        NEXT;                                                                                                          \
    }
COMPARE_FLAGS(comiss, f32, 4, true)
COMPARE_FLAGS(ucomiss, f32, 4, false)
COMPARE_FLAGS(comisd, f64, 8, true)
COMPARE_FLAGS(ucomisd, f64, 8, false)

/* EVEX: {sae} makes it the software path without flags. */
#define COMPARE_FLAGS_SAE(name)                                                                                        \
    static OP(v##name##_sae)                                                                                           \
    {                                                                                                                  \
        struct simd_rounding rounding = simd_rounding_begin(cpu, op, true);                                            \
        uint32_t flags = 0;                                                                                            \
        soft_flags_##name(cpu, &cpu->zmm[OPERAND(dst)], &cpu->zmm[OPERAND(src)], &flags);                              \
        simd_rounding_end(cpu, rounding);                                                                              \
        flags_set_status(cpu, flags);                                                                                  \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    HANDLERS(v##name) = { .any = op_##name, .masked = op_v##name##_sae };
COMPARE_FLAGS_SAE(comiss)
COMPARE_FLAGS_SAE(ucomiss)
COMPARE_FLAGS_SAE(comisd)
COMPARE_FLAGS_SAE(ucomisd)

/* --- horizontal and alternating --- */

/* Pairs of lanes: those of a give the lower half of each 16 bytes, those of b the upper. */
#define HORIZONTAL(name, operation, format, lane)                                                                      \
    BODY bool simd_##name(FP_ARGUMENTS)                                                                                \
    {                                                                                                                  \
        union vector_register x, y;                                                                                    \
        const unsigned lanes = 16 / sizeof(r->lane[0]);                                                                \
        for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++) {                                                    \
            const union vector_register *s = i % lanes < lanes / 2 ? a : b;                                            \
            unsigned pair = i / lanes * lanes + 2 * (i % (lanes / 2));                                                 \
            x.lane[i] = s->lane[pair];                                                                                 \
            y.lane[i] = s->lane[pair + 1];                                                                             \
        }                                                                                                              \
        return simd_##operation##_##format(cpu, r, &x, &y, bytes, imm);                                                \
    }                                                                                                                  \
    FP(name, name, 16)                                                                                                 \
    FP_VEX(v##name, name, lane)
HORIZONTAL(haddps, add, f32, u32)
HORIZONTAL(haddpd, add, f64, u64)
HORIZONTAL(hsubps, sub, f32, u32)
HORIZONTAL(hsubpd, sub, f64, u64)

/* The lanes whose number has this lowest bit; zeros elsewhere, which raise no flag. */
#define EVERY_OTHER(lane)                                                                                              \
    static inline union vector_register every_other_##lane(const union vector_register *s, unsigned bytes,             \
                                                           unsigned odd)                                               \
    {                                                                                                                  \
        union vector_register r = { .u64 = { 0 } };                                                                    \
        for (unsigned i = odd; i < bytes / sizeof(r.lane[0]); i += 2)                                                  \
            r.lane[i] = s->lane[i];                                                                                    \
        return r;                                                                                                      \
    }
EVERY_OTHER(u32)
EVERY_OTHER(u64)

/* ADDSUBPS: odd lanes are added, even ones subtracted. The host's instruction would be SSE3. */
#define ALTERNATING(name, format, lane)                                                                                \
    FP_SOFT(name, lane, lane, bytes / sizeof(r->lane[0]),                                                              \
            i & 1 ? format##_add(&context, x, y) : format##_sub(&context, x, y))                                       \
    BODY bool simd_##name(FP_ARGUMENTS)                                                                                \
    {                                                                                                                  \
        if (unlikely(cpu->fp_soft_now))                                                                                \
            return soft_##name(cpu, r, a, b, bytes, imm);                                                              \
        union vector_register sum, difference, x = every_other_##lane(a, bytes, 1),                                    \
                                               y = every_other_##lane(b, bytes, 1);                                    \
        simd_add_##format(cpu, &sum, &x, &y, bytes, 0);                                                                \
        x = every_other_##lane(a, bytes, 0), y = every_other_##lane(b, bytes, 0);                                      \
        simd_sub_##format(cpu, &difference, &x, &y, bytes, 0);                                                         \
        for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++)                                                      \
            r->lane[i] = (i & 1 ? &sum : &difference)->lane[i];                                                        \
        return true;                                                                                                   \
    }                                                                                                                  \
    FP(name, name, 16)                                                                                                 \
    FP_VEX(v##name, name, lane)
ALTERNATING(addsubps, f32, u32)
ALTERNATING(addsubpd, f64, u64)

/* --- software only: dot products, rounding --- */

/*
 * DPPS, DPPD: imm8[7:4] picks the products, imm8[3:0] the lanes that receive the sum; the rest is zero. Each of the
 * steps (products, sums of pairs, their sum) ends with its own check for unmasked exceptions. The manual has one sum
 * for all lanes; processors compute it in each, and the lanes differ in which of two NaNs comes first.
 */
BODY bool simd_dpps(FP_ARGUMENTS)
{
    uint32_t product[8], pair[8];
    const unsigned lanes = bytes / 4;
    struct fp_context context = simd_fp_begin(cpu);
    for (unsigned i = 0; i < lanes; i++)
        product[i] = imm >> (4 + (i & 3)) & 1 ? f32_mul(&context, a->u32[i], b->u32[i]) : 0;
    if (!simd_fp_end(cpu, &context))
        return false;
    for (unsigned i = 0; i < lanes; i++)
        pair[i] = f32_add(&context, product[i ^ 1], product[i]);
    if (!simd_fp_end(cpu, &context))
        return false;
    for (unsigned i = 0; i < lanes; i++)
        r->u32[i] = f32_add(&context, pair[i], pair[i ^ 2]);
    if (!simd_fp_end(cpu, &context))
        return false;
    for (unsigned i = 0; i < lanes; i++)
        r->u32[i] = imm >> (i & 3) & 1 ? r->u32[i] : 0;
    return true;
}
BODY bool simd_dppd(FP_ARGUMENTS)
{
    (void)bytes;
    uint64_t product[2], sum[2];
    struct fp_context context = simd_fp_begin(cpu);
    for (unsigned i = 0; i < 2; i++)
        product[i] = imm >> (4 + i) & 1 ? f64_mul(&context, a->u64[i], b->u64[i]) : 0;
    if (!simd_fp_end(cpu, &context))
        return false;
    for (unsigned i = 0; i < 2; i++)
        sum[i] = f64_add(&context, product[i], product[i ^ 1]);
    if (!simd_fp_end(cpu, &context))
        return false;
    for (unsigned i = 0; i < 2; i++)
        r->u64[i] = imm >> i & 1 ? sum[i] : 0;
    return true;
}
FP(dpps, dpps, 16)
FP(dppd, dppd, 16)
FP_VEX(vdpps, dpps, u32)
FP_VECTOR_FORM(vdppd_128, dppd, 16, 16, 16, FRESH)
HANDLERS(vdppd) = { .any = op_vdppd_128 };

/* imm8[2]: the rounding mode of MXCSR, else imm8[1:0]; imm8[3]: no PE. The host's instruction would be SSE4.1. */
#define ROUND(format, lane)                                                                                            \
    BODY bool simd_round_##format(FP_ARGUMENTS)                                                                        \
    {                                                                                                                  \
        (void)a;                                                                                                       \
        struct fp_context context = simd_fp_begin(cpu);                                                                \
        enum fp_rounding rounding = imm & 4 ? context.rounding : imm & 3;                                              \
        for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++)                                                      \
            r->lane[i] = format##_round(&context, b->lane[i], rounding);                                               \
        if (imm & 8)                                                                                                   \
            context.flags &= (uint8_t)~FP_PE;                                                                          \
        return simd_fp_end(cpu, &context);                                                                             \
    }
ROUND(f32, u32)
ROUND(f64, u64)
FP(roundps, round_f32, 16)
FP(roundss, round_f32, 4)
FP(roundpd, round_f64, 16)
FP(roundsd, round_f64, 8)
FP_VEX(vroundps, round_f32, u32)
FP_VEX(vroundpd, round_f64, u64)
FP_SCALAR(vroundss, round_f32, u32)
FP_SCALAR(vroundsd, round_f64, u64)
