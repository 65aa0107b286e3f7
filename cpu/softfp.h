/*
 * IEEE 754 arithmetic in integers, as x86 defines it: the results, the exception flags and the NaN rules of SSE and of
 * x87 (SDM vol. 1, chapters 4.8-4.9, 8.5, 11.5).
 *
 * One core serves every format: unpack -> operate on a 128-bit significand with a sticky last bit -> round -> pack. Raw
 * bits become a `struct fp_number`, operations take and return numbers, and `struct fp_format` says to what the result
 * is rounded. The f32_ and f64_ functions at the end do the whole way for raw bits.
 */
#ifndef CPU_SOFTFP_H
#define CPU_SOFTFP_H

#include <stdbool.h>
#include <stdint.h>

/* Exception flags in the order of MXCSR and of the FPU's status and control words. */
enum fp_flag { FP_IE = 1, FP_DE = 2, FP_ZE = 4, FP_OE = 8, FP_UE = 16, FP_PE = 32 };
/* Found before the computation: unmasked, they keep it from happening and later ones from being reported (SDM vol.
 * 1, 4.9.2). */
#define FP_FLAGS_BEFORE (FP_IE | FP_DE | FP_ZE)

/* The RC field of MXCSR and FCW, and ROUNDSS's imm8[1:0]. */
enum fp_rounding { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_TRUNCATE };

/*
 * What an operation depends on beside its operands, and what it reports beside its result. flags and rounded_up must be
 * clear when an instruction starts; flags accumulate over its elements. A packed instruction that ends with an unmasked
 * flag of FP_FLAGS_BEFORE reports only those (flags & FP_FLAGS_BEFORE).
 */
struct fp_context {
    uint8_t rounding;   /* enum fp_rounding */
    uint8_t unmasked;   /* FP_ bits that trap: an underflow that traps needs no inexactness, an x87 result is wrapped */
    bool flush_to_zero; /* MXCSR.FTZ; without effect while underflow is unmasked */
    bool denormals_are_zero; /* MXCSR.DAZ: f32_unpack and f64_unpack give a signed zero */
    uint8_t flags;           /* out: FP_ bits */
    bool rounded_up;         /* out: the last rounding increased the magnitude (x87 C1) */
};

/* True if an unmasked exception keeps the instruction from writing its result (SSE: any; x87: those found before). */
static inline bool fp_trapped(const struct fp_context *context, unsigned which)
{
    return context->flags & context->unmasked & which;
}

enum fp_kind {
    NUMBER_ZERO,
    NUMBER_FINITE,
    NUMBER_INFINITE,
    NUMBER_QNAN,
    NUMBER_SNAN,
    NUMBER_UNSUPPORTED, /* f80 only: pseudo-NaN, pseudo-infinity, unnormal; an invalid operand */
};

/*
 * An unpacked number. Finite: significand * 2^(exponent - 63) with bit 63 of the significand set. NaN: the significand
 * is the f80 form, bit 62 the quiet bit, the payload of a narrower format left-aligned under it.
 */
struct fp_number {
    uint64_t significand;
    int32_t exponent;
    uint8_t kind; /* enum fp_kind */
    bool sign;
    bool denormal; /* it was one in its source format: operations raise DE */
};

/* What a result is rounded to. */
struct fp_format {
    int16_t exponent_min, exponent_max; /* of normal numbers, unbiased */
    uint8_t precision;                  /* bits of the significand */
    bool x87;                           /* x87's choice between two NaNs, wrapped results of unmasked OE and UE */
};
extern const struct fp_format fp_f16, fp_bf16, fp_f32, fp_f64, fp_f80;
/* f80 by the PC field of FCW: the exponent range is that of f80. Obeyed by FADD, FSUB, FMUL, FDIV, FSQRT only. */
extern const struct fp_format fp_f80_precision[4];

/* The 80-bit format: sign and biased exponent, significand with explicit integer bit. */
struct f80 {
    uint64_t mantissa;
    uint16_t sign_exponent;
};

/* --- between raw bits and numbers: exact, no flags --- */

struct fp_number f16_unpack(uint16_t bits); /* whatever DAZ says */
struct fp_number f32_unpack(const struct fp_context *context, uint32_t bits);
struct fp_number f64_unpack(const struct fp_context *context, uint64_t bits);
struct fp_number f80_unpack(struct f80 bits);
struct fp_number fp_unpack_int(int64_t value);
struct fp_number fp_unpack_uint(uint64_t value);
/* The number must have been rounded to the format. NaNs lose the low bits of their payload. */
uint16_t f16_pack(struct fp_number number);
uint16_t bf16_pack(struct fp_number number);
uint32_t f32_pack(struct fp_number number);
uint64_t f64_pack(struct fp_number number);
struct f80 f80_pack(struct fp_number number);

/* The real indefinite, the default answer to an invalid operation: a negative quiet NaN. */
struct fp_number fp_indefinite(void);
static inline bool fp_is_nan(struct fp_number number)
{
    return number.kind == NUMBER_QNAN || number.kind == NUMBER_SNAN;
}

/* --- arithmetic --- */

/*
 * Results are rounded to *format and ready to be packed. If an unmasked exception was found before the computation the
 * result means nothing. Of NaN operands SSE keeps the first, x87 the one with the larger significand; it comes back
 * quiet.
 */
struct fp_number fp_add(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b);
struct fp_number fp_sub(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b);
struct fp_number fp_mul(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b);
struct fp_number fp_div(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b);
struct fp_number fp_sqrt(struct fp_context *context, const struct fp_format *format, struct fp_number a);
/*
 * a * b + c with one rounding; f32 and f64 only. The kept NaN is the first of a, b, c, in the order of the manual's
 * formulas (132: dst, src3, src2; 213: src2, dst, src3; 231: src2, src3, dst).
 */
struct fp_number fp_fma(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                        struct fp_number b, struct fp_number c);

/* Into another format (CVTSS2SD, FLD m32, FST m64, ...), or of an integer from fp_unpack_int (CVTSI2SD). */
struct fp_number fp_convert(struct fp_context *context, const struct fp_format *format, struct fp_number a);

/*
 * To an integral value of the same format. Raises IE for a signaling NaN and PE if the value changes; ROUNDSS with
 * imm8[3] drops the latter, FRNDINT adds DE itself.
 */
struct fp_number fp_round_integral(struct fp_context *context, const struct fp_format *format, struct fp_number a,
                                   enum fp_rounding rounding);

/*
 * To a signed or unsigned integer of 16, 32 or 64 bits. NaN, infinity and what does not fit after rounding: IE and the
 * integer indefinite (signed: the most negative number, unsigned: all ones). No DE.
 */
int64_t fp_to_int(struct fp_context *context, struct fp_number a, unsigned bits, enum fp_rounding rounding);
uint64_t fp_to_uint(struct fp_context *context, struct fp_number a, unsigned bits, enum fp_rounding rounding);

enum fp_relation { FP_LESS, FP_EQUAL, FP_GREATER, FP_UNORDERED };
/* signaling: a quiet NaN is invalid too (COMISS, FCOM, the CMPSS predicates that say so). */
enum fp_relation fp_compare(struct fp_context *context, struct fp_number a, struct fp_number b, bool signaling);

/* --- f80 only --- */

/* What FPREM and FPREM1 leave beside the remainder. */
struct fp_remainder {
    struct fp_number value;
    uint8_t quotient; /* its low three bits; meaningless while partial */
    bool partial;     /* the exponents were 64 or more apart: reduced by some of it, C2 */
};
/* a - b * q, q rounded toward zero, or to the nearest (FPREM1). Always exact. */
struct fp_remainder fp_rem(struct fp_context *context, struct fp_number a, struct fp_number b, bool nearest);
/* a * 2^(b rounded toward zero): FSCALE. */
struct fp_number fp_scale(struct fp_context *context, struct fp_number a, struct fp_number b);

/* Packed BCD: 18 digits, least significant byte first, sign in bit 79. Reading accepts any digits as 4-bit numbers. */
struct fp_number fp_from_bcd(const uint8_t bcd[10]);
/* Rounds to an integer. What does not fit: IE and the packed BCD indefinite. */
void fp_to_bcd(struct fp_context *context, struct fp_number a, uint8_t bcd[10]);

/* --- raw bits
 * --------------------------------------------------------------------------------------------------------- */

#define FP_RAW_FUNCTIONS(name, type)                                                                                   \
    static inline type name##_add(struct fp_context *context, type a, type b)                                          \
    {                                                                                                                  \
        return name##_pack(fp_add(context, &fp_##name, name##_unpack(context, a), name##_unpack(context, b)));         \
    }                                                                                                                  \
    static inline type name##_sub(struct fp_context *context, type a, type b)                                          \
    {                                                                                                                  \
        return name##_pack(fp_sub(context, &fp_##name, name##_unpack(context, a), name##_unpack(context, b)));         \
    }                                                                                                                  \
    static inline type name##_mul(struct fp_context *context, type a, type b)                                          \
    {                                                                                                                  \
        return name##_pack(fp_mul(context, &fp_##name, name##_unpack(context, a), name##_unpack(context, b)));         \
    }                                                                                                                  \
    static inline type name##_div(struct fp_context *context, type a, type b)                                          \
    {                                                                                                                  \
        return name##_pack(fp_div(context, &fp_##name, name##_unpack(context, a), name##_unpack(context, b)));         \
    }                                                                                                                  \
    static inline type name##_sqrt(struct fp_context *context, type a)                                                 \
    {                                                                                                                  \
        return name##_pack(fp_sqrt(context, &fp_##name, name##_unpack(context, a)));                                   \
    }                                                                                                                  \
    static inline type name##_fma(struct fp_context *context, type a, type b, type c)                                  \
    {                                                                                                                  \
        return name##_pack(fp_fma(context, &fp_##name, name##_unpack(context, a), name##_unpack(context, b),           \
                                  name##_unpack(context, c)));                                                         \
    }                                                                                                                  \
    static inline type name##_round(struct fp_context *context, type a, enum fp_rounding rounding)                     \
    {                                                                                                                  \
        return name##_pack(fp_round_integral(context, &fp_##name, name##_unpack(context, a), rounding));               \
    }                                                                                                                  \
    static inline enum fp_relation name##_compare(struct fp_context *context, type a, type b, bool signaling)          \
    {                                                                                                                  \
        return fp_compare(context, name##_unpack(context, a), name##_unpack(context, b), signaling);                   \
    }                                                                                                                  \
    static inline int64_t name##_to_int(struct fp_context *context, type a, unsigned bits, enum fp_rounding rounding)  \
    {                                                                                                                  \
        return fp_to_int(context, name##_unpack(context, a), bits, rounding);                                          \
    }                                                                                                                  \
    static inline uint64_t name##_to_uint(struct fp_context *context, type a, unsigned bits,                           \
                                          enum fp_rounding rounding)                                                   \
    {                                                                                                                  \
        return fp_to_uint(context, name##_unpack(context, a), bits, rounding);                                         \
    }                                                                                                                  \
    static inline type name##_from_int(struct fp_context *context, int64_t a)                                          \
    {                                                                                                                  \
        return name##_pack(fp_convert(context, &fp_##name, fp_unpack_int(a)));                                         \
    }                                                                                                                  \
    static inline type name##_from_uint(struct fp_context *context, uint64_t a)                                        \
    {                                                                                                                  \
        return name##_pack(fp_convert(context, &fp_##name, fp_unpack_uint(a)));                                        \
    }
/* f32_add(context, a, b), f64_sqrt(context, a), f32_to_int(context, a, 32, rounding), f64_from_int(context, i), ... */
FP_RAW_FUNCTIONS(f32, uint32_t)
FP_RAW_FUNCTIONS(f64, uint64_t)

static inline uint64_t f32_to_f64(struct fp_context *context, uint32_t a)
{
    return f64_pack(fp_convert(context, &fp_f64, f32_unpack(context, a)));
}
static inline uint32_t f64_to_f32(struct fp_context *context, uint64_t a)
{
    return f32_pack(fp_convert(context, &fp_f32, f64_unpack(context, a)));
}

#endif
