/*
 * CMOVcc, SETcc and SALC: data that depends on flags (SDM vol. 2). Jcc is in op_branch.c.
 */
#include "cpu/alu.h"

/* CMOVcc reads its source in any case, and with 32 bits clears the upper half of the destination in any case. */
#define CMOV_FORMS(w, cc)                                                                                              \
    static OP(cmov##cc##_any##w)                                                                                       \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        READ_SOURCE(w, value);                                                                                         \
        SET_REG(w, OPERAND(dst), condition_##cc(cpu) ? value : REG(w, OPERAND(dst)));                                  \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(cmov##cc##_rr##w)                                                                                        \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), condition_##cc(cpu) ? REG(w, OPERAND(src)) : REG(w, OPERAND(dst)));                   \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(cmov##cc##_rm##w)                                                                                        \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        LOAD_HIT(w, value, LINEAR_FLAT, op_cmov##cc##_any##w);                                                         \
        SET_REG(w, OPERAND(dst), condition_##cc(cpu) ? value : REG(w, OPERAND(dst)));                                  \
        NEXT;                                                                                                          \
    }
#define CMOV_HANDLERS(cc)                                                                                              \
    EACH_WIDE(CMOV_FORMS, cc)                                                                                          \
    static op_fn *const cmov##cc##_shaped[SHAPES][4] = {                                                               \
        [SHAPE_RR] = ROW_WIDE(cmov##cc, rr, ),                                                                         \
        [SHAPE_RM] = ROW_WIDE(cmov##cc, rm, ),                                                                         \
    };                                                                                                                 \
    HANDLERS(cmov##cc) = { .by_width = BY_WIDE(cmov##cc), .shaped = cmov##cc##_shaped };
EACH_CONDITION(CMOV_HANDLERS)

#define SET_HANDLERS(cc)                                                                                               \
    static OP(set##cc##_any)                                                                                           \
    {                                                                                                                  \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(at, 1, ACCESS_WRITE);                                                                               \
            STORE(8, at, condition_##cc(cpu));                                                                         \
        } else {                                                                                                       \
            SET_REG(8, OPERAND(dst), condition_##cc(cpu));                                                             \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(set##cc##_rr)                                                                                            \
    {                                                                                                                  \
        SET_REG(8, OPERAND(dst), condition_##cc(cpu));                                                                 \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(set##cc##_mr)                                                                                            \
    {                                                                                                                  \
        STORE_HIT(8, LINEAR_FLAT, condition_##cc(cpu), op_set##cc##_any);                                              \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static op_fn *const set##cc##_shaped[SHAPES][4] = {                                                                \
        [SHAPE_RR] = { op_set##cc##_rr },                                                                              \
        [SHAPE_MR] = { op_set##cc##_mr },                                                                              \
    };                                                                                                                 \
    HANDLERS(set##cc) = { .any = op_set##cc##_any, .shaped = set##cc##_shaped };
EACH_CONDITION(SET_HANDLERS)

/* SALC (D6H, not in the manual's listing): AL = CF ? FFH : 0. */
HANDLER(salc)
{
    SET_REG(8, RAX * 8, flag_cf(cpu) ? 0xFF : 0);
    NEXT;
}
