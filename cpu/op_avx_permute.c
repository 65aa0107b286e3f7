/*
 * VEX and EVEX operations that move lanes across 128-bit units or shift each by its own count: VPERMD, VPERMILPS,
 * VPERM2F128, VPERMI2D, VSHUFF32X4, VALIGND, VPSLLVD and their kin (SDM vol. 2C).
 */
#include "cpu/simd_vex.h"

/* --- within units --- */

LANES(vpermilps, u32, a->u32[(i & ~3u) + (y & 3)])
LANES(vpermilpd, u64, a->u64[(i & ~1u) + (y >> 1 & 1)])
LANES(vpermilpd_imm, u64, b->u64[(i & ~1u) + (imm >> i & 1)])
EVEX_WHOLE(vpermilps, vpermilps, u32)
EVEX_WHOLE(vpermilpd, vpermilpd, u64)
EVEX_WHOLE(vpermilpd_imm, vpermilpd_imm, u64)

/* --- across units --- */

/* The first source has the lane numbers, cut to what the vector has. */
#define PERMUTE(name, lane)                                                                                            \
    LANES(name, lane, b->lane[x & (bytes / ELEMENT(lane) - 1)])                                                        \
    EVEX_WHOLE(name, name, lane)
PERMUTE(vpermb, u8)
PERMUTE(vpermw, u16)
PERMUTE(vpermd, u32)
PERMUTE(vpermq, u64)

LANES(vpermq_imm, u64, b->u64[(i & ~3u) + (imm >> 2 * (i & 3) & 3)])
EVEX_WHOLE(vpermq_imm, vpermq_imm, u64)

/* Two tables of lanes; the destination is the lane numbers (VPERMI2) or the first table (VPERMT2). */
#define PERMUTE_2(letter, lane)                                                                                        \
    BODY void simd_vpermi2##letter(BODY_ARGUMENTS)                                                                     \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        const unsigned lanes = bytes / ELEMENT(lane);                                                                  \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            unsigned at = (unsigned)r->lane[i];                                                                        \
            r->lane[i] = (at & lanes ? b : a)->lane[at & (lanes - 1)];                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    BODY void simd_vpermt2##letter(BODY_ARGUMENTS)                                                                     \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        const unsigned lanes = bytes / ELEMENT(lane);                                                                  \
        union vector_register table = *r;                                                                              \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            unsigned at = (unsigned)a->lane[i];                                                                        \
            r->lane[i] = (at & lanes ? b : &table)->lane[at & (lanes - 1)];                                            \
        }                                                                                                              \
    }                                                                                                                  \
    EVEX_TERNARY_WHOLE(vpermi2##letter, vpermi2##letter, lane)                                                         \
    EVEX_TERNARY_WHOLE(vpermt2##letter, vpermt2##letter, lane)
PERMUTE_2(b, u8)
PERMUTE_2(w, u16)
PERMUTE_2(d, u32)
PERMUTE_2(q, u64)

/* VPERM2F128: two bits of imm8 pick a half of either source, bit 3 of four a zero. */
BODY void simd_vperm2x128(BODY_ARGUMENTS)
{
    (void)bytes;
    for (unsigned i = 0; i < 2; i++) {
        unsigned control = imm >> 4 * i;
        const union vector_register *s = control & 2 ? b : a;
        for (unsigned j = 0; j < 2; j++)
            r->u64[2 * i + j] = control & 8 ? 0 : s->u64[2 * (control & 1) + j];
    }
}
VECTOR_FORM(vperm2x128, vperm2x128, 32, 32, FRESH)
HANDLERS(vperm2x128) = { .any = op_vperm2x128 };

/* VSHUFF32X4: units of 128 bits; the lower half of them from the first source, the upper from the second. */
BODY void simd_vshuf128(BODY_ARGUMENTS)
{
    const unsigned units = bytes / 16, bits = units == 4 ? 2 : 1;
    for (unsigned i = 0; i < units && i < 4; i++) { /* four at most, which gcc does not see at -O3 */
        unsigned from = imm >> bits * i & (units - 1);
        memcpy(r->u8 + 16 * i, (i < units / 2 ? a : b)->u8 + 16 * from, 16);
    }
}
EVEX_WHOLE(vshuf32x4, vshuf128, u32)
EVEX_WHOLE_ALSO(vshuf64x2, vshuf32x4, vshuf128, u64)

/* VALIGND: the pair a:b moved down by imm8 lanes. */
#define ALIGN(name, lane)                                                                                              \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        const unsigned lanes = bytes / ELEMENT(lane);                                                                  \
        for (unsigned i = 0; i < lanes; i++) {                                                                         \
            unsigned from = i + (imm & (lanes - 1));                                                                   \
            r->lane[i] = from < lanes ? b->lane[from] : a->lane[from - lanes];                                         \
        }                                                                                                              \
    }                                                                                                                  \
    EVEX_WHOLE(name, name, lane)
ALIGN(valignd, u32)
ALIGN(valignq, u64)

/* --- shifts by a count in each lane --- */

LANES(vpsllvw, u16, y < 16 ? (unsigned)x << lane_count(y) : 0)
LANES(vpsllvd, u32, y < 32 ? x << lane_count(y) : 0)
LANES(vpsllvq, u64, y < 64 ? x << lane_count(y) : 0)
LANES(vpsrlvw, u16, y < 16 ? x >> y : 0)
LANES(vpsrlvd, u32, y < 32 ? x >> y : 0)
LANES(vpsrlvq, u64, y < 64 ? x >> y : 0)
LANES(vpsravw, i16, x >> ((uint16_t)y < 16 ? y : 15))
LANES(vpsravd, i32, x >> ((uint32_t)y < 32 ? y : 31))
LANES(vpsravq, i64, x >> ((uint64_t)y < 64 ? y : 63))
EVEX(vpsllvw, vpsllvw, u16)
EVEX(vpsllvd, vpsllvd, u32)
EVEX(vpsllvq, vpsllvq, u64)
EVEX(vpsrlvw, vpsrlvw, u16)
EVEX(vpsrlvd, vpsrlvd, u32)
EVEX(vpsrlvq, vpsrlvq, u64)
EVEX(vpsravw, vpsravw, u16)
EVEX(vpsravd, vpsravd, u32)
EVEX(vpsravq, vpsravq, u64)
