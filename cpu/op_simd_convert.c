/*
 * Conversions between integers and floating point, and between formats: SSE, SSE2 (SDM vol. 2, CVT...).
 */
#include "cpu/simd_fp.h"
#include "cpu/simd_vex.h"

/* --- vectors --- */

/* Lanes of the same size. */
#define CONVERT(name, lane, expression)                                                                                \
    FP_SOFT(name, lane, lane, bytes / sizeof(r->lane[0]), expression)                                                  \
    FP_HOST(name, HOST_BINARY(#name, #name))
CONVERT(cvtdq2ps, u32, f32_from_int(&context, (int32_t)y))
CONVERT(cvtps2dq, u32, f32_to_int(&context, y, 32, context.rounding))
CONVERT(cvttps2dq, u32, f32_to_int(&context, y, 32, ROUND_TRUNCATE))

/* To lanes of twice the size; bytes are those of the result. */
#define CONVERT_WIDEN(name, to, from, expression)                                                                      \
    FP_SOFT(name, to, from, bytes / sizeof(r->to[0]), expression)                                                      \
    FP_HOST(name, HOST_WIDEN(#name))
CONVERT_WIDEN(cvtps2pd, u64, u32, f32_to_f64(&context, y))
CONVERT_WIDEN(cvtdq2pd, u64, u32, f64_from_int(&context, (int32_t)y))

/* To lanes of half the size; bytes are those of the source. */
#define CONVERT_NARROW(name, to, from, expression)                                                                     \
    FP_SOFT(name, to, from, bytes / sizeof(r->from[0]), expression)                                                    \
    FP_HOST(name, HOST_NARROW(#name))
CONVERT_NARROW(cvtpd2ps, u32, u64, f64_to_f32(&context, y))
CONVERT_NARROW(cvtpd2dq, u32, u64, f64_to_int(&context, y, 32, context.rounding))
CONVERT_NARROW(cvttpd2dq, u32, u64, f64_to_int(&context, y, 32, ROUND_TRUNCATE))

FP(cvtdq2ps, cvtdq2ps, 16)
FP(cvtps2dq, cvtps2dq, 16)
FP(cvttps2dq, cvttps2dq, 16)
FP_SIZED(cvtps2pd, cvtps2pd, 8, 16, 16)
FP_SIZED(cvtdq2pd, cvtdq2pd, 8, 16, 16)
FP_SIZED(cvtss2sd, cvtps2pd, 4, 8, 8)
FP_SIZED(cvtsd2ss, cvtpd2ps, 8, 8, 4)

/* The upper half of the result is zero. */
#define FP_NARROWED(name)                                                                                              \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r = { .u64 = { 0 } };                                                                    \
        SOURCE_ANY(16)                                                                                                 \
        if (unlikely(!simd_##name(cpu, &r, b, b, 16, 0)))                                                              \
            FAULT_PENDING;                                                                                             \
        memcpy(&cpu->zmm[OPERAND(dst)], &r, 16);                                                                       \
        NEXT;                                                                                                          \
    }
FP_NARROWED(cvtpd2ps)
FP_NARROWED(cvtpd2dq)
FP_NARROWED(cvttpd2dq)

FP_EVEX_FROM(vcvtdq2ps, cvtdq2ps, u32, u32, false)
FP_EVEX_FROM(vcvtps2dq, cvtps2dq, u32, u32, false)
FP_EVEX_FROM(vcvttps2dq, cvttps2dq, u32, u32, true)
FP_EVEX_FROM(vcvtps2pd, cvtps2pd, u64, u32, true)
FP_EVEX_FROM(vcvtdq2pd, cvtdq2pd, u64, u32, false)
FP_EVEX_FROM(vcvtpd2ps, cvtpd2ps, u32, u64, false)
FP_EVEX_FROM(vcvtpd2dq, cvtpd2dq, u32, u64, false)
FP_EVEX_FROM(vcvttpd2dq, cvttpd2dq, u32, u64, true)
FP_SCALAR_FROM(vcvtss2sd, cvtps2pd, u64, u32, 8, true)
FP_SCALAR_FROM(vcvtsd2ss, cvtpd2ps, u32, u64, 8, false)

/* --- MMX registers --- */

/*
 * From MMX registers or memory: `bytes` of result. With a memory operand no MMX register is touched, and processors
 * neither look for a waiting x87 exception nor empty the stack.
 */
#define CONVERT_FROM_MMX(name, body, bytes)                                                                            \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r, b;                                                                                    \
        if (!(OPERAND(flags) & OP_MEM))                                                                                \
            MMX_CHECK;                                                                                                 \
        MMX_SOURCE(8, b.u64[0]);                                                                                       \
        if (!(OPERAND(flags) & OP_MEM))                                                                                \
            mmx_enter(cpu); /* even if the conversion raises #XM */                                                    \
        if (unlikely(!simd_##body(cpu, &r, &b, &b, (bytes), 0)))                                                       \
            FAULT_PENDING;                                                                                             \
        memcpy(&cpu->zmm[OPERAND(dst)], &r, (bytes));                                                                  \
        NEXT;                                                                                                          \
    }
CONVERT_FROM_MMX(cvtpi2ps, cvtdq2ps, 8)
CONVERT_FROM_MMX(cvtpi2pd, cvtdq2pd, 16)

/* To MMX registers: `bytes` of source. */
#define CONVERT_TO_MMX(name, body, bytes)                                                                              \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        MMX_CHECK;                                                                                                     \
        SOURCE_ANY(bytes)                                                                                              \
        mmx_enter(cpu);                                                                                                \
        if (unlikely(!simd_##body(cpu, &r, b, b, (bytes), 0)))                                                         \
            FAULT_PENDING;                                                                                             \
        mmx_write(cpu, OPERAND(dst), r.u64[0]);                                                                        \
        NEXT;                                                                                                          \
    }
CONVERT_TO_MMX(cvtps2pi, cvtps2dq, 8)
CONVERT_TO_MMX(cvttps2pi, cvttps2dq, 8)
CONVERT_TO_MMX(cvtpd2pi, cvtpd2dq, 16)
CONVERT_TO_MMX(cvttpd2pi, cvttpd2dq, 16)

/* --- general registers --- */

#ifdef __x86_64__
/* The register's width picks the instruction's. */
#define HOST_FROM_GENERAL(insn, type, value, result)                                                                   \
    do {                                                                                                               \
        host_vector x = { 0 };                                                                                         \
        __asm__ volatile(insn " %1, %0" : "+x"(x) : "r"((type)(value)));                                               \
        memcpy(&(result), &x, sizeof(result));                                                                         \
    } while (0)
#define HOST_TO_GENERAL(insn, type, source, size, result)                                                              \
    do {                                                                                                               \
        host_vector x = { 0 };                                                                                         \
        type converted;                                                                                                \
        memcpy(&x, (source), (size));                                                                                  \
        __asm__ volatile(insn " %1, %0" : "=r"(converted) : "x"(x));                                                   \
        (result) = converted;                                                                                          \
    } while (0)
#else
#define HOST_FROM_GENERAL(insn, type, value, result)      (result) = 0
#define HOST_TO_GENERAL(insn, type, source, size, result) (result) = 0
#endif

/* CVTSI2SS, CVTSI2SD: w bits of a general register or memory to a scalar; the rest of the destination stays. */
#define FROM_GENERAL(name, format, lane, w, insn)                                                                      \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_READ);                                                                      \
            LOAD((w), value, linear);                                                                                  \
        } else {                                                                                                       \
            value = REG((w), OPERAND(src));                                                                            \
        }                                                                                                              \
        __typeof__(cpu->zmm[0].lane[0]) result;                                                                        \
        if (likely(!cpu->fp_soft_now)) {                                                                               \
            HOST_FROM_GENERAL(insn, uint##w##_t, value, result);                                                       \
        } else {                                                                                                       \
            struct fp_context context = simd_fp_begin(cpu);                                                            \
            result = format##_from_int(&context, (int##w##_t)value);                                                   \
            if (!simd_fp_end(cpu, &context))                                                                           \
                FAULT_PENDING;                                                                                         \
        }                                                                                                              \
        cpu->zmm[OPERAND(dst)].lane[0] = result;                                                                       \
        NEXT;                                                                                                          \
    }
FROM_GENERAL(cvtsi2ss_32, f32, u32, 32, "cvtsi2ssl")
FROM_GENERAL(cvtsi2ss_64, f32, u32, 64, "cvtsi2ssq")
FROM_GENERAL(cvtsi2sd_32, f64, u64, 32, "cvtsi2sdl")
FROM_GENERAL(cvtsi2sd_64, f64, u64, 64, "cvtsi2sdq")

/* VEX and EVEX: the first source's bits stand above. `signed_type` is int or uint. */
#define VFROM_GENERAL(name, format, lane, w, convert, type, host)                                                      \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        SOURCE_GENERAL((w), value);                                                                                    \
        union vector_register r;                                                                                       \
        struct simd_rounding rounding = simd_rounding_begin(cpu, op, false);                                           \
        bool done = true;                                                                                              \
        if (likely((host) && !cpu->fp_soft_now)) {                                                                     \
            HOST_FROM_GENERAL_##host(name, value, r.lane[0]);                                                          \
        } else {                                                                                                       \
            struct fp_context context = simd_fp_begin(cpu);                                                            \
            r.lane[0] = format##_from_##convert(&context, (type)value);                                                \
            done = simd_fp_end(cpu, &context);                                                                         \
        }                                                                                                              \
        simd_rounding_end(cpu, rounding);                                                                              \
        if (!done)                                                                                                     \
            FAULT_PENDING;                                                                                             \
        FP_SCALAR_RESULT(lane, OPERAND(src))                                                                           \
        NEXT;                                                                                                          \
    }
#define HOST_FROM_GENERAL_0(name, value, result) (result) = 0
#define HOST_FROM_GENERAL_1(name, value, result) HOST_##name(value, result)
#define HOST_vcvtsi2ss_32(value, result)         HOST_FROM_GENERAL("cvtsi2ssl", uint32_t, value, result)
#define HOST_vcvtsi2ss_64(value, result)         HOST_FROM_GENERAL("cvtsi2ssq", uint64_t, value, result)
#define HOST_vcvtsi2sd_32(value, result)         HOST_FROM_GENERAL("cvtsi2sdl", uint32_t, value, result)
#define HOST_vcvtsi2sd_64(value, result)         HOST_FROM_GENERAL("cvtsi2sdq", uint64_t, value, result)
VFROM_GENERAL(vcvtsi2ss_32, f32, u32, 32, int, int32_t, 1)
VFROM_GENERAL(vcvtsi2ss_64, f32, u32, 64, int, int64_t, 1)
VFROM_GENERAL(vcvtsi2sd_32, f64, u64, 32, int, int32_t, 1)
VFROM_GENERAL(vcvtsi2sd_64, f64, u64, 64, int, int64_t, 1)
VFROM_GENERAL(vcvtusi2ss_32, f32, u32, 32, uint, uint32_t, 0)
VFROM_GENERAL(vcvtusi2ss_64, f32, u32, 64, uint, uint64_t, 0)
VFROM_GENERAL(vcvtusi2sd_32, f64, u64, 32, uint, uint32_t, 0)
VFROM_GENERAL(vcvtusi2sd_64, f64, u64, 64, uint, uint64_t, 0)

/* CVTSS2SI and its kin: a scalar to a general register of w bits. */
#define TO_GENERAL(name, format, lane, w, insn, rounding)                                                              \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t result;                                                                                               \
        SOURCE_ANY(sizeof(cpu->zmm[0].lane[0]))                                                                        \
        if (likely(!cpu->fp_soft_now)) {                                                                               \
            HOST_TO_GENERAL(insn, uint##w##_t, b, sizeof(b->lane[0]), result);                                         \
        } else {                                                                                                       \
            struct fp_context context = simd_fp_begin(cpu);                                                            \
            result = (uint##w##_t)format##_to_int(&context, b->lane[0], (w), (rounding));                              \
            if (!simd_fp_end(cpu, &context))                                                                           \
                FAULT_PENDING;                                                                                         \
        }                                                                                                              \
        SET_REG((w), OPERAND(dst), result);                                                                            \
        NEXT;                                                                                                          \
    }
TO_GENERAL(cvtss2si_32, f32, u32, 32, "cvtss2si", context.rounding)
TO_GENERAL(cvtss2si_64, f32, u32, 64, "cvtss2si", context.rounding)
TO_GENERAL(cvttss2si_32, f32, u32, 32, "cvttss2si", ROUND_TRUNCATE)
TO_GENERAL(cvttss2si_64, f32, u32, 64, "cvttss2si", ROUND_TRUNCATE)
TO_GENERAL(cvtsd2si_32, f64, u64, 32, "cvtsd2si", context.rounding)
TO_GENERAL(cvtsd2si_64, f64, u64, 64, "cvtsd2si", context.rounding)
TO_GENERAL(cvttsd2si_32, f64, u64, 32, "cvttsd2si", ROUND_TRUNCATE)
TO_GENERAL(cvttsd2si_64, f64, u64, 64, "cvttsd2si", ROUND_TRUNCATE)

/* EVEX: unsigned, and with embedded rounding. */
#define VTO_GENERAL(name, format, lane, w, convert, rounding_mode)                                                     \
    static OP(name##_soft)                                                                                             \
    {                                                                                                                  \
        SOURCE_VECTOR(ELEMENT(lane))                                                                                   \
        struct simd_rounding rounding = simd_rounding_begin(cpu, op, false);                                           \
        struct fp_context context = simd_fp_begin(cpu);                                                                \
        uint64_t result = (uint##w##_t)format##_to_##convert(&context, b->lane[0], (w), (rounding_mode));              \
        bool done = simd_fp_end(cpu, &context);                                                                        \
        simd_rounding_end(cpu, rounding);                                                                              \
        if (!done)                                                                                                     \
            FAULT_PENDING;                                                                                             \
        SET_REG((w), OPERAND(dst), result);                                                                            \
        NEXT;                                                                                                          \
    }
#define VTO_SIGNED(name, format, lane, w, rounding)                                                                    \
    VTO_GENERAL(v##name, format, lane, w, int, rounding)                                                               \
    HANDLERS(v##name) = { .any = op_##name, .masked = op_v##name##_soft };
#define VTO_UNSIGNED(name, format, lane, w, rounding)                                                                  \
    VTO_GENERAL(name, format, lane, w, uint, rounding)                                                                 \
    HANDLERS(name) = { .any = op_##name##_soft };
VTO_SIGNED(cvtss2si_32, f32, u32, 32, context.rounding)
VTO_SIGNED(cvttss2si_32, f32, u32, 32, ROUND_TRUNCATE)
VTO_UNSIGNED(vcvtss2usi_32, f32, u32, 32, context.rounding)
VTO_UNSIGNED(vcvttss2usi_32, f32, u32, 32, ROUND_TRUNCATE)
VTO_SIGNED(cvtss2si_64, f32, u32, 64, context.rounding)
VTO_SIGNED(cvttss2si_64, f32, u32, 64, ROUND_TRUNCATE)
VTO_UNSIGNED(vcvtss2usi_64, f32, u32, 64, context.rounding)
VTO_UNSIGNED(vcvttss2usi_64, f32, u32, 64, ROUND_TRUNCATE)
VTO_SIGNED(cvtsd2si_32, f64, u64, 32, context.rounding)
VTO_SIGNED(cvttsd2si_32, f64, u64, 32, ROUND_TRUNCATE)
VTO_UNSIGNED(vcvtsd2usi_32, f64, u64, 32, context.rounding)
VTO_UNSIGNED(vcvttsd2usi_32, f64, u64, 32, ROUND_TRUNCATE)
VTO_SIGNED(cvtsd2si_64, f64, u64, 64, context.rounding)
VTO_SIGNED(cvttsd2si_64, f64, u64, 64, ROUND_TRUNCATE)
VTO_UNSIGNED(vcvtsd2usi_64, f64, u64, 64, context.rounding)
VTO_UNSIGNED(vcvttsd2usi_64, f64, u64, 64, ROUND_TRUNCATE)
