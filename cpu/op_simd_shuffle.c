/*
 * Vector operations that move lanes about: unpack, pack, shuffle, align, blend, extend, insert, extract (SDM vol. 2).
 *
 * Those that the manual defines for 128 bits and repeats for each half of a YMM register loop over such units; an MMX
 * register is a unit of 8 bytes.
 */
#include "cpu/simd_op.h"
#include "cpu/simd_vex.h"

#define LANE_BYTES(lane) ((unsigned)sizeof(((union vector_register *)0)->lane[0]))

/* --- interleaving --- */

/* Lanes of the low (half 0) or high (half 1) part of each unit of a, alternating with those of b. */
#define UNPACK(name, lane, half)                                                                                       \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        const unsigned lanes = simd_unit(bytes) / LANE_BYTES(lane);                                                    \
        for (unsigned unit = 0; unit < bytes / LANE_BYTES(lane); unit += lanes) {                                      \
            for (unsigned i = 0; i < lanes / 2; i++) {                                                                 \
                r->lane[unit + 2 * i] = a->lane[unit + (half) * lanes / 2 + i];                                        \
                r->lane[unit + 2 * i + 1] = b->lane[unit + (half) * lanes / 2 + i];                                    \
            }                                                                                                          \
        }                                                                                                              \
    }
UNPACK(punpcklbw, u8, 0)
UNPACK(punpcklwd, u16, 0)
UNPACK(punpckldq, u32, 0)
UNPACK(punpcklqdq, u64, 0)
UNPACK(punpckhbw, u8, 1)
UNPACK(punpckhwd, u16, 1)
UNPACK(punpckhdq, u32, 1)
UNPACK(punpckhqdq, u64, 1)

/* The MMX forms of the low ones read 32 bits of memory. UNPCKLPS and its kin are the same as PUNPCKLDQ and its kin. */
SSE_HOT(punpcklbw)
SSE_HOT(punpcklwd)
SSE_HOT(punpckldq)
SSE_HOT(punpcklqdq)
SSE(punpckhbw)
SSE(punpckhwd)
SSE(punpckhdq)
SSE(punpckhqdq)
MMX_SIZED(punpcklbw, punpcklbw, 4)
MMX_SIZED(punpcklwd, punpcklwd, 4)
MMX_SIZED(punpckldq, punpckldq, 4)
MMX(punpckhbw)
MMX(punpckhwd)
MMX(punpckhdq)

/* --- packing with saturation --- */

#define PACK(name, wide, narrow, low, high)                                                                            \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        (void)imm;                                                                                                     \
        const unsigned lanes = simd_unit(bytes) / LANE_BYTES(wide);                                                    \
        for (unsigned unit = 0; unit < bytes / LANE_BYTES(wide); unit += lanes) {                                      \
            for (unsigned i = 0; i < lanes; i++) {                                                                     \
                r->narrow[2 * unit + i] = (__typeof__(r->narrow[0]))saturate(a->wide[unit + i], (low), (high));        \
                r->narrow[2 * unit + lanes + i] =                                                                      \
                    (__typeof__(r->narrow[0]))saturate(b->wide[unit + i], (low), (high));                              \
            }                                                                                                          \
        }                                                                                                              \
    }
PACK(packsswb, i16, i8, INT8_MIN, INT8_MAX)
PACK(packuswb, i16, u8, 0, UINT8_MAX)
PACK(packssdw, i32, i16, INT16_MIN, INT16_MAX)
PACK(packusdw, i32, u16, 0, UINT16_MAX)

SSE_AND_MMX(packsswb)
SSE_AND_MMX(packuswb)
SSE_AND_MMX(packssdw)
SSE(packusdw)

/* --- shuffles --- */

/* Byte by byte, within each unit; a control byte with its top bit set gives zero. */
BODY void simd_pshufb(BODY_ARGUMENTS)
{
    (void)imm;
    const unsigned size = simd_unit(bytes);
    for (unsigned i = 0; i < bytes; i++)
        r->u8[i] = b->u8[i] >> 7 ? 0 : a->u8[i / size * size + (b->u8[i] & (size - 1))];
}
SSE_HOT_AND_MMX(pshufb)

/* Four lanes from `first` of each unit, as imm8 says in two bits each; the others are copied. */
BODY void shuffle_words(union vector_register *restrict r, const union vector_register *b, unsigned bytes, unsigned imm,
                        unsigned first)
{
    memcpy(r, b, bytes);
    for (unsigned unit = first; unit < bytes / 2; unit += 8) {
        for (unsigned i = 0; i < 4; i++)
            r->u16[unit + i] = b->u16[unit + (imm >> 2 * i & 3)];
    }
}
BODY void simd_pshuflw(BODY_ARGUMENTS)
{
    (void)a;
    shuffle_words(r, b, bytes, imm, 0); /* also PSHUFW */
}
BODY void simd_pshufhw(BODY_ARGUMENTS)
{
    (void)a;
    shuffle_words(r, b, bytes, imm, 4);
}
BODY void simd_pshufd(BODY_ARGUMENTS)
{
    (void)a;
    for (unsigned unit = 0; unit < bytes / 4; unit += 4) {
        for (unsigned i = 0; i < 4; i++)
            r->u32[unit + i] = b->u32[unit + (imm >> 2 * i & 3)];
    }
}
/* Two lanes of a, then two of b. */
BODY void simd_shufps(BODY_ARGUMENTS)
{
    for (unsigned unit = 0; unit < bytes / 4; unit += 4) {
        for (unsigned i = 0; i < 4; i++)
            r->u32[unit + i] = (i < 2 ? a : b)->u32[unit + (imm >> 2 * i & 3)];
    }
}
/* One lane of a, then one of b; one bit of imm8 for each. */
BODY void simd_shufpd(BODY_ARGUMENTS)
{
    for (unsigned i = 0; i < bytes / 8; i++)
        r->u64[i] = (i & 1 ? b : a)->u64[(i & ~1u) + (imm >> i & 1)];
}
SSE(pshuflw)
SSE(pshufhw)
SSE(pshufd)
SSE(shufps)
SSE(shufpd)
MMX_SIZED(pshufw, pshuflw, 8)

LANES(movsldup, u32, b->u32[i & ~1u])
LANES(movshdup, u32, b->u32[i | 1u])
LANES(movddup, u64, b->u64[i & ~1u])
SSE(movsldup)
SSE(movshdup)
SSE_SIZED(movddup, movddup, 8, 16)

/* PALIGNR: a unit's worth of bytes from a:b, imm8 bytes up; zeros stand above a. */
BODY void simd_palignr(BODY_ARGUMENTS)
{
    const unsigned size = simd_unit(bytes), count = imm < 2 * size ? imm : 2 * size;
    for (unsigned unit = 0; unit < bytes; unit += size) {
        uint8_t window[48] = { 0 };
        memcpy(window, b->u8 + unit, size);
        memcpy(window + size, a->u8 + unit, size);
        memcpy(r->u8 + unit, window + count, size);
    }
}
SSE_AND_MMX(palignr)

/* --- blends --- */

LANES(blendps, u32, imm >> i & 1 ? y : x)
LANES(blendpd, u64, imm >> i & 1 ? y : x)
LANES(pblendw, u16, imm >> (i & 7) & 1 ? y : x)
SSE(blendps)
SSE(blendpd)
SSE(pblendw)

/* Chosen by the top bits of a third register, which is XMM0 in the legacy forms. */
#define BLEND_VARIABLE(name, lane)                                                                                     \
    BODY void simd_##name(union vector_register *restrict r, const union vector_register *a,                           \
                          const union vector_register *b, const union vector_register *mask, unsigned bytes)           \
    {                                                                                                                  \
        for (unsigned i = 0; i < bytes / LANE_BYTES(lane); i++)                                                        \
            r->lane[i] = mask->lane[i] >> (8 * LANE_BYTES(lane) - 1) ? b->lane[i] : a->lane[i];                        \
    }                                                                                                                  \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        SOURCE_ANY(16)                                                                                                 \
        simd_##name(&r, &cpu->zmm[OPERAND(dst)], b, &cpu->zmm[0], 16);                                                 \
        memcpy(&cpu->zmm[OPERAND(dst)], &r, 16);                                                                       \
        NEXT;                                                                                                          \
    }
BLEND_VARIABLE(pblendvb, u8)
BLEND_VARIABLE(blendvps, u32)
BLEND_VARIABLE(blendvpd, u64)

/* --- sign and zero extension --- */

#define EXTEND(name, wide, narrow, in)                                                                                 \
    BODY void simd_##name(BODY_ARGUMENTS)                                                                              \
    {                                                                                                                  \
        (void)a, (void)imm;                                                                                            \
        for (unsigned i = 0; i < bytes / LANE_BYTES(wide); i++)                                                        \
            r->wide[i] = b->narrow[i];                                                                                 \
    }                                                                                                                  \
    SSE_SIZED(name, name, in, 16)
EXTEND(pmovsxbw, i16, i8, 8)
EXTEND(pmovsxbd, i32, i8, 4)
EXTEND(pmovsxbq, i64, i8, 2)
EXTEND(pmovsxwd, i32, i16, 8)
EXTEND(pmovsxwq, i64, i16, 4)
EXTEND(pmovsxdq, i64, i32, 8)
EXTEND(pmovzxbw, u16, u8, 8)
EXTEND(pmovzxbd, u32, u8, 4)
EXTEND(pmovzxbq, u64, u8, 2)
EXTEND(pmovzxwd, u32, u16, 8)
EXTEND(pmovzxwq, u64, u16, 4)
EXTEND(pmovzxdq, u64, u32, 8)

/* --- insertion and extraction --- */

/* A general register's low bits, or memory, into the lane that imm8 names. */
#define INSERT(name, w)                                                                                                \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_READ);                                                                      \
            LOAD((w), value, linear);                                                                                  \
        } else {                                                                                                       \
            value = REG((w), OPERAND(src));                                                                            \
        }                                                                                                              \
        cpu->zmm[OPERAND(dst)].u##w[OPERAND(imm) & (128 / (w) - 1)] = (uint##w##_t)value;                              \
        NEXT;                                                                                                          \
    }
INSERT(pinsrb, 8)
INSERT(pinsrw, 16)
INSERT(pinsrd, 32)
INSERT(pinsrq, 64)

/* The lane that imm8 names into memory, or zero-extended into a general register. */
#define EXTRACT(name, w)                                                                                               \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value = cpu->zmm[OPERAND(src)].u##w[OPERAND(imm) & (128 / (w) - 1)];                                  \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_WRITE);                                                                     \
            STORE((w), linear, value);                                                                                 \
        } else {                                                                                                       \
            SET_REG(64, OPERAND(dst), value);                                                                          \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
EXTRACT(pextrb, 8)
EXTRACT(pextrw, 16)
EXTRACT(pextrd, 32) /* also EXTRACTPS */
EXTRACT(pextrq, 64)

HANDLER(mmx_pinsrw)
{
    uint64_t value;
    union vector_register r;
    MMX_CHECK;
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(linear, 2, ACCESS_READ);
        LOAD(16, value, linear);
    } else {
        value = REG(16, OPERAND(src));
    }
    r.u64[0] = mmx_read(cpu, OPERAND(dst));
    r.u16[OPERAND(imm) & 3] = (uint16_t)value;
    mmx_enter(cpu);
    mmx_write(cpu, OPERAND(dst), r.u64[0]);
    NEXT;
}
HANDLER(mmx_pextrw)
{
    MMX_CHECK;
    SET_REG(32, OPERAND(dst), mmx_read(cpu, OPERAND(src)) >> 16 * (OPERAND(imm) & 3) & 0xFFFF);
    mmx_enter(cpu);
    NEXT;
}

/* INSERTPS: imm8[7:6] picks the lane of a register source, 5:4 the destination, 3:0 the lanes that become zero. */
HANDLER(insertps)
{
    uint64_t value;
    unsigned imm = (uint8_t)OPERAND(imm);
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(linear, 4, ACCESS_READ);
        LOAD(32, value, linear);
    } else {
        value = cpu->zmm[OPERAND(src)].u32[imm >> 6];
    }
    union vector_register *r = &cpu->zmm[OPERAND(dst)];
    r->u32[imm >> 4 & 3] = (uint32_t)value;
    for (unsigned i = 0; i < 4; i++)
        r->u32[i] = imm >> i & 1 ? 0 : r->u32[i];
    NEXT;
}

/* --- VEX and EVEX --- */

#define AVX_WHOLE(name, lane) EVEX_WHOLE(v##name, name, lane)

AVX_WHOLE(punpcklbw, u8)
AVX_WHOLE(punpcklwd, u16)
AVX_WHOLE(punpckldq, u32)
AVX_WHOLE(punpcklqdq, u64)
AVX_WHOLE(punpckhbw, u8)
AVX_WHOLE(punpckhwd, u16)
AVX_WHOLE(punpckhdq, u32)
AVX_WHOLE(punpckhqdq, u64)
EVEX_PACK(vpacksswb, packsswb, u8, u16)
EVEX_PACK(vpackuswb, packuswb, u8, u16)
EVEX_PACK(vpackssdw, packssdw, u16, u32)
EVEX_PACK(vpackusdw, packusdw, u16, u32)
AVX_WHOLE(pshufb, u8)
AVX_WHOLE(pshuflw, u16)
AVX_WHOLE(pshufhw, u16)
AVX_WHOLE(pshufd, u32)
AVX_WHOLE(shufps, u32)
AVX_WHOLE(shufpd, u64)
AVX_WHOLE(palignr, u8)
AVX_WHOLE(movsldup, u32)
AVX_WHOLE(movshdup, u32)
VEX(vblendps, blendps) /* also VPBLENDD */
VEX(vblendpd, blendpd)
VEX(vpblendw, pblendw)

/* VMOVDDUP: 128 bits come from 64 bits of memory. */
VECTOR_FORM(vmovddup_128, movddup, 8, 16, FRESH)
VECTOR_FORM(vmovddup_256, movddup, 32, 32, FRESH)
VECTOR_FORM(vmovddup_512, movddup, 64, 64, FRESH)
MASKED_FORM(vmovddup_masked, movddup, u64, u64, bytes == 16 ? 8 : bytes, true, FRESH)
EVEX_HANDLERS(vmovddup, vmovddup)

#define AVX_WIDEN(name, wide, narrow) EVEX_WIDEN(v##name, name, wide, narrow)
AVX_WIDEN(pmovsxbw, i16, i8)
AVX_WIDEN(pmovsxbd, i32, i8)
AVX_WIDEN(pmovsxbq, i64, i8)
AVX_WIDEN(pmovsxwd, i32, i16)
AVX_WIDEN(pmovsxwq, i64, i16)
AVX_WIDEN(pmovsxdq, i64, i32)
AVX_WIDEN(pmovzxbw, u16, u8)
AVX_WIDEN(pmovzxbd, u32, u8)
AVX_WIDEN(pmovzxbq, u64, u8)
AVX_WIDEN(pmovzxwd, u32, u16)
AVX_WIDEN(pmovzxwq, u64, u16)
AVX_WIDEN(pmovzxdq, u64, u32)

/* The mask is the register in imm8[7:4]. */
#define AVX_BLEND_VARIABLE(name)                                                                                       \
    HANDLER(v##name)                                                                                                   \
    {                                                                                                                  \
        union vector_register r;                                                                                       \
        unsigned bytes = OP_VECTOR(op);                                                                                \
        SOURCE_VECTOR(bytes)                                                                                           \
        simd_##name(&r, &cpu->zmm[OPERAND(src)], b, &cpu->zmm[OPERAND(imm8) >> 4], bytes);                             \
        vector_write(cpu, OPERAND(dst), &r, bytes);                                                                    \
        NEXT;                                                                                                          \
    }
AVX_BLEND_VARIABLE(pblendvb)
AVX_BLEND_VARIABLE(blendvps)
AVX_BLEND_VARIABLE(blendvpd)
