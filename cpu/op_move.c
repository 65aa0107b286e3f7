/*
 * Data movement between general registers and memory: MOV, MOVZX, MOVSX, MOVSXD, LEA, BSWAP, XLAT and the
 * sign extensions of the accumulator (SDM vol. 2).
 */
#include "cpu/alu.h"

/* --- MOV --------------------------------------------------------------------------------------------------------- */

#define MOV_ANY(w, name)                                                                                               \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        if (OPERAND(flags) & OP_MEM_DST) {                                                                             \
            value = OPERAND(flags) & OP_IMM ? OPERAND(imm) : REG(w, OPERAND(src));                                     \
            LINEAR(at, (w) / 8, ACCESS_WRITE);                                                                         \
            STORE(w, at, value);                                                                                       \
        } else {                                                                                                       \
            READ_SOURCE(w, value);                                                                                     \
            SET_REG(w, OPERAND(dst), value);                                                                           \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
#define MOV_SHAPED(w, name)                                                                                            \
    static OP(name##_rr##w)                                                                                            \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), REG(w, OPERAND(src)));                                                                \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_ri##w)                                                                                            \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), OPERAND(imm));                                                                        \
        NEXT;                                                                                                          \
    }
#define MOV_MEMORY(w, name, form, address)                                                                             \
    static OP(name##_rm##form##w)                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        LOAD_HIT(w, value, address, op_##name##_any##w);                                                               \
        SET_REG(w, OPERAND(dst), value);                                                                               \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_mr##form##w)                                                                                      \
    {                                                                                                                  \
        STORE_HIT(w, address, REG(w, OPERAND(src)), op_##name##_any##w);                                               \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_mi##form##w)                                                                                      \
    {                                                                                                                  \
        STORE_HIT(w, address, OPERAND(imm), op_##name##_any##w);                                                       \
        NEXT;                                                                                                          \
    }
EACH_WIDTH(MOV_ANY, mov)
EACH_WIDTH(MOV_SHAPED, mov)
EACH_WIDTH(MOV_MEMORY, mov, , LINEAR_FLAT)
EACH_WIDTH(MOV_MEMORY, mov, b, LINEAR_BASED)
static op_fn *const mov_shaped[SHAPES][4] = {
    [SHAPE_RR] = ROW_WIDTH(mov, rr, ), [SHAPE_RI] = ROW_WIDTH(mov, ri, ), [SHAPE_RM] = ROW_WIDTH(mov, rm, ),
    [SHAPE_MR] = ROW_WIDTH(mov, mr, ), [SHAPE_MI] = ROW_WIDTH(mov, mi, ),
};
static op_fn *const mov_based[SHAPES][4] = {
    [SHAPE_RM] = ROW_WIDTH(mov, rmb, ),
    [SHAPE_MR] = ROW_WIDTH(mov, mrb, ),
    [SHAPE_MI] = ROW_WIDTH(mov, mib, ),
};
HANDLERS(mov) = { .by_width = BY_WIDTH(mov), .shaped = mov_shaped, .based = mov_based };

/* MOV between the accumulator and an offset, which is in imm because it may have 64 bits. */
#define MOFFS_ANY(w, name)                                                                                             \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        bool store = OPERAND(flags) & OP_MEM_DST;                                                                      \
        uint64_t at, value, offset = OPERAND(imm) & width_mask(OP_ADDRESS(op));                                        \
        if (!segment_address(cpu, OPERAND(seg), offset, (w) / 8, store ? ACCESS_WRITE : ACCESS_READ, &at))             \
            FAULT_PENDING;                                                                                             \
        if (store) {                                                                                                   \
            STORE(w, at, REG(w, RAX * 8));                                                                             \
        } else {                                                                                                       \
            LOAD(w, value, at);                                                                                        \
            SET_REG(w, RAX * 8, value);                                                                                \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
EACH_WIDTH(MOFFS_ANY, mov_moffs)
HANDLERS(mov_moffs) = { .by_width = BY_WIDTH(mov_moffs) };

/* --- MOVZX, MOVSX, MOVSXD: the width of the row is the destination's, sw the source's --------------------------- */

#define EXTEND_HANDLERS(name, sw, extend)                                                                              \
    EACH_WIDE(EXTEND_FORMS, name, sw, extend)                                                                          \
    EACH_WIDE(EXTEND_MEMORY, name, , LINEAR_FLAT, sw, extend)                                                          \
    EACH_WIDE(EXTEND_MEMORY, name, b, LINEAR_BASED, sw, extend)                                                        \
    static op_fn *const name##_shaped[SHAPES][4] = {                                                                   \
        [SHAPE_RR] = ROW_WIDE(name, rr, ),                                                                             \
        [SHAPE_RM] = ROW_WIDE(name, rm, ),                                                                             \
    };                                                                                                                 \
    static op_fn *const name##_based[SHAPES][4] = { [SHAPE_RM] = ROW_WIDE(name, rmb, ) };                              \
    HANDLERS(name) = { .by_width = BY_WIDE(name), .shaped = name##_shaped, .based = name##_based }
#define EXTEND_FORMS(w, name, sw, extend)                                                                              \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        READ_SOURCE(sw, value);                                                                                        \
        SET_REG(w, OPERAND(dst), extend(value, sw));                                                                   \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_rr##w)                                                                                            \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), extend(REG(sw, OPERAND(src)), sw));                                                   \
        NEXT;                                                                                                          \
    }
#define EXTEND_MEMORY(w, name, form, address, sw, extend)                                                              \
    static OP(name##_rm##form##w)                                                                                      \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        LOAD_HIT(sw, value, address, op_##name##_any##w);                                                              \
        SET_REG(w, OPERAND(dst), extend(value, sw));                                                                   \
        NEXT;                                                                                                          \
    }
#define ZERO_EXTEND(value, sw) (value)

EXTEND_HANDLERS(movzxb, 8, ZERO_EXTEND);
EXTEND_HANDLERS(movzxw, 16, ZERO_EXTEND);
EXTEND_HANDLERS(movsxb, 8, sign_extend);
EXTEND_HANDLERS(movsxw, 16, sign_extend);
EXTEND_HANDLERS(movsxd, 32, sign_extend);

/* --- LEA: the offset alone, no segment and no access ------------------------------------------------------------- */

#define LEA_FORMS(w, name)                                                                                             \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        uint64_t offset = LINEAR_FLAT;                                                                                 \
        if (OPERAND(flags) & OP_SEGMENTED && OPERAND(base) == GPR_RIP * 8)                                             \
            offset += INSN_END; /* such an operand keeps the displacement of the encoding */                           \
        SET_REG(w, OPERAND(dst), offset &width_mask(OP_ADDRESS(op)));                                                  \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_rm##w)                                                                                            \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), LINEAR_FLAT);                                                                         \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_rmb##w)                                                                                           \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), LINEAR_BASED);                                                                        \
        NEXT;                                                                                                          \
    }
EACH_WIDE(LEA_FORMS, lea)
static op_fn *const lea_shaped[SHAPES][4] = { [SHAPE_RM] = ROW_WIDE(lea, rm, ) };
static op_fn *const lea_based[SHAPES][4] = { [SHAPE_RM] = ROW_WIDE(lea, rmb, ) };
HANDLERS(lea) = { .by_width = BY_WIDE(lea), .shaped = lea_shaped, .based = lea_based };

/* --- single registers --------------------------------------------------------------------------------------------- */

/* BSWAP of 16 bits is undefined; processors leave zero in the low word. */
static OP(bswap16)
{
    SET_REG(16, OPERAND(dst), 0);
    NEXT;
}
UNDEFINED(bswap);
static OP(bswap_chosen)
{
    FLAGS_BEFORE;
    SET_REG(16, OPERAND(dst), SETTLED(bswap, 16, 1, false, 0));
    NEXT;
}
static OP(bswap32)
{
    SET_REG(32, OPERAND(dst), __builtin_bswap32((uint32_t)REG(32, OPERAND(dst))));
    NEXT;
}
static OP(bswap64)
{
    SET_REG(64, OPERAND(dst), __builtin_bswap64(REG(64, OPERAND(dst))));
    NEXT;
}
HANDLERS(bswap) = {
    .by_width = { NULL, op_bswap16, op_bswap32, op_bswap64 },
    .undefined = &undefined_bswap,
    .chosen = { NULL, op_bswap_chosen, op_bswap32, op_bswap64 },
};

/* CBW, CWDE, CDQE: the accumulator's lower half extended into all of it. */
#define CBW_ANY(w, name)                                                                                               \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        SET_REG(w, RAX * 8, sign_extend(REG((w) / 2, RAX * 8), (w) / 2));                                              \
        NEXT;                                                                                                          \
    }
EACH_WIDE(CBW_ANY, cbw)
HANDLERS(cbw) = { .by_width = BY_WIDE(cbw) };

/* CWD, CDQ, CQO: the accumulator's sign fills rDX. */
#define CWD_ANY(w, name)                                                                                               \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        SET_REG(w, RDX * 8, REG(w, RAX * 8) >> ((w) - 1) ? UINT64_MAX : 0);                                            \
        NEXT;                                                                                                          \
    }
EACH_WIDE(CWD_ANY, cwd)
HANDLERS(cwd) = { .by_width = BY_WIDE(cwd) };

/* XLAT: AL = [seg:rBX + AL]. */
HANDLER(xlat)
{
    uint64_t at, value, offset = (cpu->gpr[RBX] + REG(8, RAX * 8)) & width_mask(OP_ADDRESS(op));
    if (!segment_address(cpu, OPERAND(seg), offset, 1, ACCESS_READ, &at))
        FAULT_PENDING;
    LOAD(8, value, at);
    SET_REG(8, RAX * 8, value);
    NEXT;
}
