/*
 * Vector integer arithmetic, logic, comparisons and shifts: MMX, SSE2, SSSE3, SSE4.1, SSE4.2 (SDM vol. 2).
 *
 * Each operation is a body over lanes; the lists under a family say in which forms it exists.
 */
#include "cpu/simd_op.h"
#include "cpu/simd_vex.h"

/* --- addition and subtraction --- */

LANES(paddb, u8, x + y)
LANES(paddw, u16, x + y)
LANES(paddd, u32, x + y)
LANES(paddq, u64, x + y)
LANES(psubb, u8, x - y)
LANES(psubw, u16, x - y)
LANES(psubd, u32, x - y)
LANES(psubq, u64, x - y)
LANES(paddsb, i8, saturate(x + y, INT8_MIN, INT8_MAX))
LANES(paddsw, i16, saturate(x + y, INT16_MIN, INT16_MAX))
LANES(paddusb, u8, saturate(x + y, 0, UINT8_MAX))
LANES(paddusw, u16, saturate(x + y, 0, UINT16_MAX))
LANES(psubsb, i8, saturate(x - y, INT8_MIN, INT8_MAX))
LANES(psubsw, i16, saturate(x - y, INT16_MIN, INT16_MAX))
LANES(psubusb, u8, saturate(x - y, 0, UINT8_MAX))
LANES(psubusw, u16, saturate(x - y, 0, UINT16_MAX))
LANES(pavgb, u8, (x + y + 1) >> 1)
LANES(pavgw, u16, (x + y + 1) >> 1)

SSE_HOT_AND_MMX(paddb)
SSE_HOT_AND_MMX(paddw)
SSE_HOT_AND_MMX(paddd)
SSE_HOT_AND_MMX(paddq)
SSE_HOT_AND_MMX(psubb)
SSE_HOT_AND_MMX(psubw)
SSE_HOT_AND_MMX(psubd)
SSE_HOT_AND_MMX(psubq)
SSE_AND_MMX(paddsb)
SSE_AND_MMX(paddsw)
SSE_AND_MMX(paddusb)
SSE_AND_MMX(paddusw)
SSE_AND_MMX(psubsb)
SSE_AND_MMX(psubsw)
SSE_AND_MMX(psubusb)
SSE_AND_MMX(psubusw)
SSE_AND_MMX(pavgb)
SSE_AND_MMX(pavgw)

/* --- logic --- */

LANES(pand, u64, (x & y))
LANES(pandn, u64, (~x & y))
LANES(por, u64, x | y)
LANES(pxor, u64, x ^ y)

SSE_HOT_AND_MMX(pand)
SSE_HOT_AND_MMX(pandn)
SSE_HOT_AND_MMX(por)
SSE_HOT_AND_MMX(pxor)

/* PTEST: ZF says that a & b has no bit, CF that b has none outside of a. */
BODY uint32_t simd_ptest(const union vector_register *a, const union vector_register *b, unsigned bytes)
{
    uint64_t both = 0, rest = 0;
    for (unsigned i = 0; i < bytes / 8; i++) {
        both |= a->u64[i] & b->u64[i];
        rest |= ~a->u64[i] & b->u64[i];
    }
    return (both ? 0 : FLAG_ZF) | (rest ? 0 : FLAG_CF);
}
HANDLER(ptest)
{
    SOURCE_ANY(16)
    flags_set_status(cpu, simd_ptest(&cpu->zmm[OPERAND(dst)], b, 16));
    NEXT;
}

/* --- comparisons, minimum, maximum --- */

LANES(pcmpeqb, u8, x == y ? UINT8_MAX : 0)
LANES(pcmpeqw, u16, x == y ? UINT16_MAX : 0)
LANES(pcmpeqd, u32, x == y ? UINT32_MAX : 0)
LANES(pcmpeqq, u64, x == y ? UINT64_MAX : 0)
LANES(pcmpgtb, i8, x > y ? -1 : 0)
LANES(pcmpgtw, i16, x > y ? -1 : 0)
LANES(pcmpgtd, i32, x > y ? -1 : 0)
LANES(pcmpgtq, i64, x > y ? -1 : 0)

#define MINIMUM(name, lane) LANES(name, lane, x < y ? x : y)
#define MAXIMUM(name, lane) LANES(name, lane, x > y ? x : y)
MINIMUM(pminub, u8)
MINIMUM(pminuw, u16)
MINIMUM(pminud, u32)
MINIMUM(pminsb, i8)
MINIMUM(pminsw, i16)
MINIMUM(pminsd, i32)
MAXIMUM(pmaxub, u8)
MAXIMUM(pmaxuw, u16)
MAXIMUM(pmaxud, u32)
MAXIMUM(pmaxsb, i8)
MAXIMUM(pmaxsw, i16)
MAXIMUM(pmaxsd, i32)

SSE_HOT_AND_MMX(pcmpeqb)
SSE_HOT_AND_MMX(pcmpeqw)
SSE_HOT_AND_MMX(pcmpeqd)
SSE_HOT_AND_MMX(pcmpgtb)
SSE_AND_MMX(pcmpgtw)
SSE_AND_MMX(pcmpgtd)
SSE(pcmpeqq)
SSE(pcmpgtq)
SSE_HOT_AND_MMX(pminub)
SSE_HOT_AND_MMX(pmaxub)
SSE_AND_MMX(pminsw)
SSE_AND_MMX(pmaxsw)
SSE(pminuw)
SSE(pminud)
SSE(pminsb)
SSE(pminsd)
SSE(pmaxuw)
SSE(pmaxud)
SSE(pmaxsb)
SSE(pmaxsd)

/* PHMINPOSUW: the smallest word of eight and, in the second word, where it stands first. */
BODY void simd_phminposuw(BODY_ARGUMENTS)
{
    (void)a, (void)bytes, (void)imm;
    unsigned where = 0;
    for (unsigned i = 1; i < 8; i++)
        where = b->u16[i] < b->u16[where] ? i : where;
    r->u64[0] = b->u16[where] | (uint64_t)where << 16;
    r->u64[1] = 0;
}
SSE(phminposuw)

/* --- multiplication --- */

LANES(pmullw, u16, ((uint32_t)x * y))
LANES(pmulhw, i16, (x * y) >> 16)
LANES(pmulhuw, u16, ((uint32_t)x * y) >> 16)
LANES(pmulhrsw, i16, (((x * y) >> 14) + 1) >> 1)
LANES(pmulld, u32, (x * y))
LANES(pmuludq, u64, ((uint64_t)(uint32_t)x * (uint32_t)y))
LANES(pmuldq, i64, ((int64_t)(int32_t)x * (int32_t)y))

BODY void simd_pmaddwd(BODY_ARGUMENTS)
{
    (void)imm;
    for (unsigned i = 0; i < bytes / 4; i++) /* the sum of twice 2^30 wraps */
        r->u32[i] = (uint32_t)(a->i16[2 * i] * b->i16[2 * i]) + (uint32_t)(a->i16[2 * i + 1] * b->i16[2 * i + 1]);
}
BODY void simd_pmaddubsw(BODY_ARGUMENTS)
{
    (void)imm;
    for (unsigned i = 0; i < bytes / 2; i++)
        r->i16[i] =
            (int16_t)saturate(a->u8[2 * i] * b->i8[2 * i] + a->u8[2 * i + 1] * b->i8[2 * i + 1], INT16_MIN, INT16_MAX);
}

SSE_AND_MMX(pmullw)
SSE_AND_MMX(pmulhw)
SSE_AND_MMX(pmulhuw)
SSE_AND_MMX(pmulhrsw)
SSE_AND_MMX(pmuludq)
SSE_AND_MMX(pmaddwd)
SSE_AND_MMX(pmaddubsw)
SSE(pmulld)
SSE(pmuldq)

/* --- sums of absolute differences --- */

BODY unsigned absolute_difference(unsigned x, unsigned y)
{
    return x > y ? x - y : y - x;
}
BODY void simd_psadbw(BODY_ARGUMENTS)
{
    (void)imm;
    for (unsigned i = 0; i < bytes; i += 8) {
        unsigned sum = 0;
        for (unsigned j = 0; j < 8; j++)
            sum += absolute_difference(a->u8[i + j], b->u8[i + j]);
        r->u64[i / 8] = sum;
    }
}
/* MPSADBW: imm8[1:0] picks four bytes of b, imm8[2] where the eleven of a begin; a second unit has bits 5:3. */
BODY void simd_mpsadbw(BODY_ARGUMENTS)
{
    for (unsigned unit = 0; unit < bytes; unit += 16, imm >>= 3) {
        unsigned fixed = unit + (imm & 3) * 4, moving = unit + (imm >> 2 & 1) * 4;
        for (unsigned i = 0; i < 8; i++) {
            unsigned sum = 0;
            for (unsigned j = 0; j < 4; j++)
                sum += absolute_difference(a->u8[moving + i + j], b->u8[fixed + j]);
            r->u16[unit / 2 + i] = (uint16_t)sum;
        }
    }
}

SSE_AND_MMX(psadbw)
SSE(mpsadbw)

/* --- absolute values, signs, horizontal sums --- */

/* In unsigned lanes: the most negative number has no positive counterpart and stays. */
#define ABSOLUTE(name, lane, top)     LANES(name, lane, y >> (top) ? 0u - y : y)
#define SIGN(name, lane, signed_type) LANES(name, lane, (signed_type)y < 0 ? 0u - x : y == 0 ? 0 : x)
ABSOLUTE(pabsb, u8, 7)
ABSOLUTE(pabsw, u16, 15)
ABSOLUTE(pabsd, u32, 31)
SIGN(psignb, u8, int8_t)
SIGN(psignw, u16, int16_t)
SIGN(psignd, u32, int32_t)

/* Pairs of the first source fill the lower half of each unit, pairs of the second the upper one. */
#define HORIZONTAL(name, lane, expression)                                                                             \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        const unsigned lanes = simd_unit(bytes) / sizeof(r->lane[0]);                                                  \
        for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++) {                                                    \
            unsigned unit = i / lanes * lanes, in = i % lanes;                                                         \
            const union vector_register *s = in < lanes / 2 ? a : b;                                                   \
            unsigned pair = unit + 2 * (in % (lanes / 2));                                                             \
            __typeof__(r->lane[0]) x = s->lane[pair], y = s->lane[pair + 1];                                           \
            r->lane[i] = (__typeof__(r->lane[0]))(expression);                                                         \
        }                                                                                                              \
    }
HORIZONTAL(phaddw, u16, x + y)
HORIZONTAL(phaddd, u32, x + y)
HORIZONTAL(phaddsw, i16, saturate(x + y, INT16_MIN, INT16_MAX))
HORIZONTAL(phsubw, u16, x - y)
HORIZONTAL(phsubd, u32, x - y)
HORIZONTAL(phsubsw, i16, saturate(x - y, INT16_MIN, INT16_MAX))

SSE_AND_MMX(pabsb)
SSE_AND_MMX(pabsw)
SSE_AND_MMX(pabsd)
SSE_AND_MMX(psignb)
SSE_AND_MMX(psignw)
SSE_AND_MMX(psignd)
SSE_AND_MMX(phaddw)
SSE_AND_MMX(phaddd)
SSE_AND_MMX(phaddsw)
SSE_AND_MMX(phsubw)
SSE_AND_MMX(phsubd)
SSE_AND_MMX(phsubsw)

/* --- shifts --- */

/* The count is the low quadword of the second operand, whole; beyond the lane's width zeros or signs are left. */
#define SHIFT(name, lane, expression, beyond)                                                                          \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        const unsigned width = 8 * sizeof(r->lane[0]);                                                                 \
        unsigned count = b->u64[0] < width ? (unsigned)b->u64[0] : width;                                              \
        if (count == width) {                                                                                          \
            for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++) {                                                \
                __typeof__(r->lane[0]) x = a->lane[i];                                                                 \
                (void)x;                                                                                               \
                r->lane[i] = (__typeof__(r->lane[0]))(beyond);                                                         \
            }                                                                                                          \
        } else {                                                                                                       \
            for (unsigned i = 0; i < bytes / sizeof(r->lane[0]); i++) {                                                \
                __typeof__(r->lane[0]) x = a->lane[i];                                                                 \
                r->lane[i] = (__typeof__(r->lane[0]))(expression);                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }
SHIFT(psllw, u16, (unsigned)x << count, 0)
SHIFT(pslld, u32, x << count, 0)
SHIFT(psllq, u64, x << count, 0)
SHIFT(psrlw, u16, x >> count, 0)
SHIFT(psrld, u32, x >> count, 0)
SHIFT(psrlq, u64, x >> count, 0)
SHIFT(psraw, i16, x >> count, x >> 15)
SHIFT(psrad, i32, x >> count, x >> 31)

#define SHIFT_FORMS(name) SSE_AND_MMX(name) SSE_IMMEDIATE(name) MMX_IMMEDIATE(name)
SHIFT_FORMS(psllw)
SHIFT_FORMS(pslld)
SHIFT_FORMS(psllq)
SHIFT_FORMS(psrlw)
SHIFT_FORMS(psrld)
SHIFT_FORMS(psrlq)
SHIFT_FORMS(psraw)
SHIFT_FORMS(psrad)

/* PSLLDQ, PSRLDQ: whole units by bytes. A window of 16 bytes moves over the unit and the zeros beside it. */
BODY void simd_pslldq(BODY_ARGUMENTS)
{
    (void)imm;
    uint64_t count = b->u64[0] < 16 ? b->u64[0] : 16;
    for (unsigned unit = 0; unit < bytes; unit += 16) {
        uint8_t window[32] = { 0 };
        memcpy(window + 16, a->u8 + unit, 16);
        memcpy(r->u8 + unit, window + 16 - count, 16);
    }
}
BODY void simd_psrldq(BODY_ARGUMENTS)
{
    (void)imm;
    uint64_t count = b->u64[0] < 16 ? b->u64[0] : 16;
    for (unsigned unit = 0; unit < bytes; unit += 16) {
        uint8_t window[32] = { 0 };
        memcpy(window, a->u8 + unit, 16);
        memcpy(r->u8 + unit, window + count, 16);
    }
}
SSE_IMMEDIATE(pslldq)
SSE_IMMEDIATE(psrldq)

/* --- VEX and EVEX --- */

#define AVX(name, lane) EVEX(v##name, name, lane)
#define AVX_ONLY(name)  VEX(v##name, name)

AVX(paddb, u8)
AVX(psubb, u8)
AVX(paddsb, u8)
AVX(paddusb, u8)
AVX(psubsb, u8)
AVX(psubusb, u8)
AVX(pavgb, u8)
AVX(pminub, u8)
AVX(pminsb, u8)
AVX(pmaxub, u8)
AVX(pmaxsb, u8)
AVX(pabsb, u8)
AVX(paddw, u16)
AVX(psubw, u16)
AVX(paddsw, u16)
AVX(paddusw, u16)
AVX(psubsw, u16)
AVX(psubusw, u16)
AVX(pavgw, u16)
AVX(pminuw, u16)
AVX(pminsw, u16)
AVX(pmaxuw, u16)
AVX(pmaxsw, u16)
AVX(pabsw, u16)
AVX(pmullw, u16)
AVX(pmulhw, u16)
AVX(pmulhuw, u16)
AVX(pmulhrsw, u16)
EVEX_WHOLE(vpmaddubsw, pmaddubsw, u16) /* class E4NF */
AVX(paddd, u32)
AVX(psubd, u32)
AVX(pminud, u32)
AVX(pminsd, u32)
AVX(pmaxud, u32)
AVX(pmaxsd, u32)
AVX(pabsd, u32)
AVX(pmulld, u32)
EVEX_WHOLE(vpmaddwd, pmaddwd, u32)
AVX(paddq, u64)
AVX(psubq, u64)
AVX(pmuludq, u64)
AVX(pmuldq, u64)
AVX(psadbw, u64)
EVEX(vpandd, pand, u32)
EVEX_ALSO(vpandq, vpandd, pand, u64)
EVEX(vpandnd, pandn, u32)
EVEX_ALSO(vpandnq, vpandnd, pandn, u64)
EVEX(vpord, por, u32)
EVEX_ALSO(vporq, vpord, por, u64)
EVEX(vpxord, pxor, u32)
EVEX_ALSO(vpxorq, vpxord, pxor, u64)
AVX_ONLY(pcmpeqb)
AVX_ONLY(pcmpeqw)
AVX_ONLY(pcmpeqd)
AVX_ONLY(pcmpeqq)
AVX_ONLY(pcmpgtb)
AVX_ONLY(pcmpgtw)
AVX_ONLY(pcmpgtd)
AVX_ONLY(pcmpgtq)
AVX_ONLY(phminposuw)
AVX_ONLY(mpsadbw)
AVX_ONLY(psignb)
AVX_ONLY(psignw)
AVX_ONLY(psignd)
AVX_ONLY(phaddw)
AVX_ONLY(phaddd)
AVX_ONLY(phaddsw)
AVX_ONLY(phsubw)
AVX_ONLY(phsubd)
AVX_ONLY(phsubsw)

/* Results in opmask registers. */
EVEX_MASK(vpcmpeqb_k, pcmpeqb, u8)
EVEX_MASK(vpcmpeqw_k, pcmpeqw, u16)
EVEX_MASK(vpcmpeqd_k, pcmpeqd, u32)
EVEX_MASK(vpcmpeqq_k, pcmpeqq, u64)
EVEX_MASK(vpcmpgtb_k, pcmpgtb, u8)
EVEX_MASK(vpcmpgtw_k, pcmpgtw, u16)
EVEX_MASK(vpcmpgtd_k, pcmpgtd, u32)
EVEX_MASK(vpcmpgtq_k, pcmpgtq, u64)

SHIFT(psraq, i64, x >> count, x >> 63)
EVEX_SHIFT(vpsllw, psllw, u16)
EVEX_SHIFT(vpslld, pslld, u32)
EVEX_SHIFT(vpsllq, psllq, u64)
EVEX_SHIFT(vpsrlw, psrlw, u16)
EVEX_SHIFT(vpsrld, psrld, u32)
EVEX_SHIFT(vpsrlq, psrlq, u64)
EVEX_SHIFT(vpsraw, psraw, u16)
EVEX_SHIFT(vpsrad, psrad, u32)
EVEX_SHIFT(vpsraq, psraq, u64)
SHIFT_IMMEDIATE_FORMS(vpslldq_imm, pslldq)
SHIFT_IMMEDIATE_FORMS(vpsrldq_imm, psrldq)
HANDLERS(vpslldq_imm) = { .plain = PLAIN_512(vpslldq_imm) };
HANDLERS(vpsrldq_imm) = { .plain = PLAIN_512(vpsrldq_imm) };

HANDLER(vptest)
{
    unsigned bytes = OP_VECTOR(op);
    SOURCE_VECTOR(bytes)
    flags_set_status(cpu, simd_ptest(&cpu->zmm[OPERAND(dst)], b, bytes));
    NEXT;
}
/* VTESTPS, VTESTPD: PTEST on the lanes' signs. */
#define TEST_SIGNS(name, lane)                                                                                         \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        SOURCE_VECTOR(bytes)                                                                                           \
        uint64_t x = simd_signs(&cpu->zmm[OPERAND(dst)], ELEMENT(lane), bytes),                                        \
                 y = simd_signs(b, ELEMENT(lane), bytes);                                                              \
        flags_set_status(cpu, (x & y ? 0 : FLAG_ZF) | (~x & y ? 0 : FLAG_CF));                                         \
        NEXT;                                                                                                          \
    }
TEST_SIGNS(vtestps, u32)
TEST_SIGNS(vtestpd, u64)
