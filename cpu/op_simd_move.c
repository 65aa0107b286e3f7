/*
 * Moves of MMX and XMM registers, sign masks, masked stores, EMMS, and MXCSR (SDM vol. 2).
 *
 * Alignment is a matter of the row (class sse-aligned), so MOVAPS, MOVUPS, MOVDQA, MOVDQU, LDDQU and the non-temporal
 * moves are one handler.
 */
#include "cpu/simd_op.h"

/* --- 16 bytes --- */

static OP(movdq)
{
    union vector_register value;
    if (OPERAND(flags) & OP_MEM_DST) {
        LINEAR(linear, 16, ACCESS_WRITE);
        CHECK_ALIGNED(linear, 16);
        STORE_BYTES(16, linear, &cpu->zmm[OPERAND(src)]);
    } else {
        SOURCE_ANY(16)
        memcpy(&value, b, 16);
        memcpy(&cpu->zmm[OPERAND(dst)], &value, 16);
    }
    NEXT;
}
static OP(movdq_rr)
{
    union vector_register value = cpu->zmm[OPERAND(src)];
    memcpy(&cpu->zmm[OPERAND(dst)], &value, 16);
    NEXT;
}
static OP(movdq_rm)
{
    uint64_t linear = LINEAR_FLAT;
    if (unlikely(OPERAND(flags) & OP_ALIGNED && linear & 15))
        HAND_OVER(op_movdq);
    HIT(read, 16, host, linear, op_movdq);
    memcpy(&cpu->zmm[OPERAND(dst)], (const void *)host, 16);
    NEXT;
}
static OP(movdq_mr)
{
    uint64_t linear = LINEAR_FLAT;
    if (unlikely(OPERAND(flags) & OP_ALIGNED && linear & 15))
        HAND_OVER(op_movdq);
    HIT(write, 16, host, linear, op_movdq);
    memcpy((void *)host, &cpu->zmm[OPERAND(src)], 16);
    NEXT;
}
static op_fn *const shapes_movdq[SHAPES][4] = {
    [SHAPE_RR] = EVERY_WIDTH(movdq_rr),
    [SHAPE_RM] = EVERY_WIDTH(movdq_rm),
    [SHAPE_MR] = EVERY_WIDTH(movdq_mr),
};
HANDLERS(movdq) = { .any = op_movdq, .shaped = shapes_movdq };

/* --- 4 and 8 bytes --- */

/* One element `at` of the destination register from memory; `clear` zeroes the rest of its 128 bits. */
#define PUT_ELEMENT(w, at, clear, value)                                                                               \
    union vector_register *r = &cpu->zmm[OPERAND(dst)];                                                                \
    if (clear)                                                                                                         \
        memset(r, 0, 16);                                                                                              \
    r->u##w[at] = (uint##w##_t)(value)
#define LOAD_ELEMENT(name, w, at, clear)                                                                               \
    static OP(name)                                                                                                    \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        LINEAR(linear, (w) / 8, ACCESS_READ);                                                                          \
        LOAD((w), value, linear);                                                                                      \
        PUT_ELEMENT(w, at, clear, value);                                                                              \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_rm)                                                                                               \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        LOAD_HIT((w), value, LINEAR_FLAT, op_##name);                                                                  \
        PUT_ELEMENT(w, at, clear, value);                                                                              \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static op_fn *const shapes_##name[SHAPES][4] = { [SHAPE_RM] = EVERY_WIDTH(name##_rm) };                            \
    HANDLERS(name) = { .any = op_##name, .shaped = shapes_##name };
#define STORE_ELEMENT(name, w, at)                                                                                     \
    static OP(name)                                                                                                    \
    {                                                                                                                  \
        LINEAR(linear, (w) / 8, ACCESS_WRITE);                                                                         \
        STORE((w), linear, cpu->zmm[OPERAND(src)].u##w[at]);                                                           \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_mr)                                                                                               \
    {                                                                                                                  \
        STORE_HIT((w), LINEAR_FLAT, cpu->zmm[OPERAND(src)].u##w[at], op_##name);                                       \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static op_fn *const shapes_##name[SHAPES][4] = { [SHAPE_MR] = EVERY_WIDTH(name##_mr) };                            \
    HANDLERS(name) = { .any = op_##name, .shaped = shapes_##name };
/* Element `from` of a register to element `to` of another; `clear` zeroes the upper half of the destination. */
#define MOVE_ELEMENT(name, w, to, from, clear)                                                                         \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint##w##_t value = cpu->zmm[OPERAND(src)].u##w[from];                                                         \
        union vector_register *r = &cpu->zmm[OPERAND(dst)];                                                            \
        if (clear)                                                                                                     \
            r->u64[1] = 0;                                                                                             \
        r->u##w[to] = value;                                                                                           \
        NEXT;                                                                                                          \
    }

LOAD_ELEMENT(movss_load, 32, 0, true)
LOAD_ELEMENT(movsd_load, 64, 0, true) /* also MOVQ */
LOAD_ELEMENT(movlps_load, 64, 0, false)
LOAD_ELEMENT(movhps_load, 64, 1, false)
STORE_ELEMENT(movss_store, 32, 0)
STORE_ELEMENT(movlps_store, 64, 0) /* also MOVQ and MOVSD */
STORE_ELEMENT(movhps_store, 64, 1)
MOVE_ELEMENT(movss_move, 32, 0, 0, false)
MOVE_ELEMENT(movsd_move, 64, 0, 0, false)
MOVE_ELEMENT(movq_move, 64, 0, 0, true)
MOVE_ELEMENT(movhlps, 64, 0, 1, false)
MOVE_ELEMENT(movlhps, 64, 1, 0, false)

/* MOVD and MOVQ between general registers or memory and XMM. */
#define GENERAL_TO_XMM(name, w)                                                                                        \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_READ);                                                                      \
            LOAD((w), value, linear);                                                                                  \
        } else {                                                                                                       \
            value = REG((w), OPERAND(src));                                                                            \
        }                                                                                                              \
        cpu->zmm[OPERAND(dst)].u64[0] = value;                                                                         \
        cpu->zmm[OPERAND(dst)].u64[1] = 0;                                                                             \
        NEXT;                                                                                                          \
    }
#define XMM_TO_GENERAL(name, w)                                                                                        \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value = cpu->zmm[OPERAND(src)].u##w[0];                                                               \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_WRITE);                                                                     \
            STORE((w), linear, value);                                                                                 \
        } else {                                                                                                       \
            SET_REG((w), OPERAND(dst), value);                                                                         \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
GENERAL_TO_XMM(movd_to_xmm, 32)
GENERAL_TO_XMM(movq_to_xmm, 64)
XMM_TO_GENERAL(movd_from_xmm, 32)
XMM_TO_GENERAL(movq_from_xmm, 64)

/* --- MMX --- */

#define GENERAL_TO_MMX(name, w)                                                                                        \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        MMX_CHECK;                                                                                                     \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_READ);                                                                      \
            LOAD((w), value, linear);                                                                                  \
        } else {                                                                                                       \
            value = REG((w), OPERAND(src));                                                                            \
        }                                                                                                              \
        mmx_enter(cpu);                                                                                                \
        mmx_write(cpu, OPERAND(dst), value);                                                                           \
        NEXT;                                                                                                          \
    }
#define MMX_TO_GENERAL(name, w)                                                                                        \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        MMX_CHECK;                                                                                                     \
        uint64_t value = mmx_read(cpu, OPERAND(src));                                                                  \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear, (w) / 8, ACCESS_WRITE);                                                                     \
            STORE((w), linear, value);                                                                                 \
        } else {                                                                                                       \
            SET_REG((w), OPERAND(dst), value);                                                                         \
        }                                                                                                              \
        mmx_enter(cpu);                                                                                                \
        NEXT;                                                                                                          \
    }
GENERAL_TO_MMX(mmx_movd_load, 32)
GENERAL_TO_MMX(mmx_movq_general_load, 64)
MMX_TO_GENERAL(mmx_movd_store, 32)
MMX_TO_GENERAL(mmx_movq_general_store, 64)

HANDLER(mmx_movq_load)
{
    uint64_t value;
    MMX_CHECK;
    MMX_SOURCE(8, value);
    mmx_enter(cpu);
    mmx_write(cpu, OPERAND(dst), value);
    NEXT;
}
/* MOVQ and MOVNTQ */
HANDLER(mmx_movq_store)
{
    MMX_CHECK;
    uint64_t value = mmx_read(cpu, OPERAND(src));
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(linear, 8, ACCESS_WRITE);
        STORE(64, linear, value);
        mmx_enter(cpu);
    } else {
        mmx_enter(cpu);
        mmx_write(cpu, OPERAND(dst), value);
    }
    NEXT;
}
HANDLER(movq2dq)
{
    MMX_CHECK;
    cpu->zmm[OPERAND(dst)].u64[0] = mmx_read(cpu, OPERAND(src));
    cpu->zmm[OPERAND(dst)].u64[1] = 0;
    mmx_enter(cpu);
    NEXT;
}
HANDLER(movdq2q)
{
    MMX_CHECK;
    mmx_enter(cpu);
    mmx_write(cpu, OPERAND(dst), cpu->zmm[OPERAND(src)].u64[0]);
    NEXT;
}
/* All registers empty. Processors also clear TOP, as other MMX instructions do. */
HANDLER(emms)
{
    MMX_CHECK;
    mmx_enter(cpu);
    cpu->x87.tags = 0;
    NEXT;
}

/* --- signs to a general register --- */

/* The top bits of eight bytes: the product moves the one of byte i to bit 56 + i, and no two partial products meet. */
static inline unsigned byte_signs(uint64_t value)
{
    return (unsigned)(((value >> 7 & 0x0101010101010101u) * 0x0102040810204080u) >> 56);
}
HANDLER(pmovmskb)
{
    const union vector_register *s = &cpu->zmm[OPERAND(src)];
    SET_REG(32, OPERAND(dst), byte_signs(s->u64[0]) | byte_signs(s->u64[1]) << 8);
    NEXT;
}
HANDLER(mmx_pmovmskb)
{
    MMX_CHECK;
    SET_REG(32, OPERAND(dst), byte_signs(mmx_read(cpu, OPERAND(src))));
    mmx_enter(cpu);
    NEXT;
}
HANDLER(movmskps)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < 4; i++)
        mask |= cpu->zmm[OPERAND(src)].u32[i] >> 31 << i;
    SET_REG(32, OPERAND(dst), mask);
    NEXT;
}
HANDLER(movmskpd)
{
    const union vector_register *s = &cpu->zmm[OPERAND(src)];
    SET_REG(32, OPERAND(dst), s->u64[0] >> 63 | s->u64[1] >> 63 << 1);
    NEXT;
}

/* --- masked stores to DS:rDI --- */

/*
 * Bytes whose mask byte has its top bit set. The manual leaves it to the processor whether bytes that are not selected
 * can fault (SDM vol. 2B, MASKMOVDQU); Intel's check all of the operand, for alignment too, in parts of 8 bytes from
 * above.
 */
const struct op *simd_maskmov(struct cpu *cpu, const struct op *op, const union vector_register *values,
                              const union vector_register *masks, unsigned bytes)
{
    uint64_t linear[2], offset = REG(OP_ADDRESS(op), RDI * 8);
    for (unsigned part = bytes / 8; part-- > 0;) {
        if (!segment_address(cpu, OPERAND(seg), (offset + 8 * part) & width_mask(OP_ADDRESS(op)), 8, ACCESS_WRITE,
                             &linear[part]))
            FAULT_PENDING;
        PROBE(linear[part], 8, ACCESS_WRITE);
    }
    for (unsigned i = 0; i < bytes; i++)
        if (masks->u8[i] >> 7)
            STORE_BYTES(1, linear[i / 8] + i % 8, &values->u8[i]);
    return op;
}

HANDLER(maskmovdqu)
{
    op = simd_maskmov(cpu, op, &cpu->zmm[OPERAND(dst)], &cpu->zmm[OPERAND(src)], 16);
    if (unlikely(!op))
        return NULL;
    NEXT;
}
HANDLER(maskmovq)
{
    union vector_register value, mask;
    MMX_CHECK;
    value.u64[0] = mmx_read(cpu, OPERAND(dst));
    mask.u64[0] = mmx_read(cpu, OPERAND(src));
    mmx_enter(cpu);
    op = simd_maskmov(cpu, op, &value, &mask, 8);
    if (unlikely(!op))
        return NULL;
    NEXT;
}

/* --- MXCSR --- */

HANDLER(ldmxcsr)
{
    uint64_t value;
    LINEAR(linear, 4, ACCESS_READ);
    LOAD(32, value, linear);
    if (value & ~(uint64_t)MXCSR_MASK)
        FAULT_CODE(VEC_GP, 0);
    simd_load_mxcsr(cpu, (uint32_t)value);
    NEXT;
}
HANDLER(stmxcsr)
{
    LINEAR(linear, 4, ACCESS_WRITE);
    simd_sync_mxcsr(cpu);
    STORE(32, linear, cpu->mxcsr);
    NEXT;
}
