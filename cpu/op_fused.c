/*
 * Fused pairs: CMP or TEST of registers and immediates with the conditional jump behind it, in 64-bit mode.
 *
 * One op for two instructions saves a dispatch, and the condition comes from the operands instead of from the flags.
 * The flags are left as the pair leaves them. The op is the last of its block: imm is the target of the jump from the
 * block's start, and an immediate operand stands in disp.
 */
#include "cpu/fused.h"
#include "cpu/alu.h"

/* The conditions after CMP, from a and b as w-bit numbers without and with sign; after TEST, from r = a & b. */
#define CMP_b(a, b, w)   ((a) < (b))
#define CMP_nb(a, b, w)  ((a) >= (b))
#define CMP_z(a, b, w)   ((a) == (b))
#define CMP_nz(a, b, w)  ((a) != (b))
#define CMP_be(a, b, w)  ((a) <= (b))
#define CMP_nbe(a, b, w) ((a) > (b))
#define CMP_s(a, b, w)   ((int64_t)sign_extend((a) - (b), (w)) < 0)
#define CMP_ns(a, b, w)  ((int64_t)sign_extend((a) - (b), (w)) >= 0)
#define CMP_l(a, b, w)   ((int64_t)sign_extend((a), (w)) < (int64_t)sign_extend((b), (w)))
#define CMP_nl(a, b, w)  ((int64_t)sign_extend((a), (w)) >= (int64_t)sign_extend((b), (w)))
#define CMP_le(a, b, w)  ((int64_t)sign_extend((a), (w)) <= (int64_t)sign_extend((b), (w)))
#define CMP_nle(a, b, w) ((int64_t)sign_extend((a), (w)) > (int64_t)sign_extend((b), (w)))

#define TEST_z(a, b, w)   (((a) & (b)) == 0)
#define TEST_nz(a, b, w)  (((a) & (b)) != 0)
#define TEST_s(a, b, w)   ((int64_t)sign_extend((a) & (b), (w)) < 0)
#define TEST_ns(a, b, w)  ((int64_t)sign_extend((a) & (b), (w)) >= 0)
#define TEST_le(a, b, w)  ((int64_t)sign_extend((a) & (b), (w)) <= 0)
#define TEST_nle(a, b, w) ((int64_t)sign_extend((a) & (b), (w)) > 0)

#define CMP_FLAGS(a, b, w)  flags_sub(cpu, (a), (b), (a) - (b), (w))
#define TEST_FLAGS(a, b, w) flags_logic(cpu, (a) & (b), (w))

#define RR_SOURCE(w) REG((w), op->src)
#define RI_SOURCE(w) ((uint64_t)(int64_t)op->disp & width_mask(w))

#define FUSED(kind, w, shape, cc)                                                                                      \
    static OP(kind##_##shape##w##_##cc)                                                                                \
    {                                                                                                                  \
        uint64_t a = REG(w, op->dst), b = shape##_SOURCE(w);                                                           \
        kind##_FLAGS(a, b, w);                                                                                         \
        if (kind##_##cc(a, b, w)) {                                                                                    \
            cpu->gpr[GPR_RIP] += op->imm;                                                                              \
            BRANCH(1);                                                                                                 \
        }                                                                                                              \
        cpu->gpr[GPR_RIP] += op_end(op);                                                                               \
        BRANCH(0);                                                                                                     \
    }

/* clang-format off */
#define CMP_CONDITIONS(M, w, shape)                                                                                    \
    M(CMP, w, shape, b) M(CMP, w, shape, nb) M(CMP, w, shape, z) M(CMP, w, shape, nz) M(CMP, w, shape, be)             \
    M(CMP, w, shape, nbe) M(CMP, w, shape, s) M(CMP, w, shape, ns) M(CMP, w, shape, l) M(CMP, w, shape, nl)            \
    M(CMP, w, shape, le) M(CMP, w, shape, nle)
#define TEST_CONDITIONS(M, w, shape)                                                                                   \
    M(TEST, w, shape, z) M(TEST, w, shape, nz) M(TEST, w, shape, s) M(TEST, w, shape, ns) M(TEST, w, shape, le)        \
    M(TEST, w, shape, nle)
#define EACH_FORM(M, CONDITIONS)                                                                                       \
    CONDITIONS(M, 8, RR) CONDITIONS(M, 32, RR) CONDITIONS(M, 64, RR)                                                   \
    CONDITIONS(M, 8, RI) CONDITIONS(M, 32, RI) CONDITIONS(M, 64, RI)

EACH_FORM(FUSED, CMP_CONDITIONS)
EACH_FORM(FUSED, TEST_CONDITIONS)

/* Condition codes in the order of the low opcode bits (SDM vol. 1, appendix B). */
enum { cc_o, cc_no, cc_b, cc_nb, cc_z, cc_nz, cc_be, cc_nbe, cc_s, cc_ns, cc_p, cc_np, cc_l, cc_nl, cc_le, cc_nle };
enum { kind_CMP, kind_TEST };
enum { shape_RR = SHAPE_RR, shape_RI = SHAPE_RI };
enum { width_8 = 0, width_32 = 2, width_64 = 3 };

#define ENTRY(kind, w, shape, cc) [kind_##kind][shape_##shape][width_##w][cc_##cc] = op_##kind##_##shape##w##_##cc,
static op_fn *const handlers[2][2][4][16] = {
    EACH_FORM(ENTRY, CMP_CONDITIONS)
    EACH_FORM(ENTRY, TEST_CONDITIONS)
};
/* clang-format on */

op_fn *fused_handler(bool test, enum shape shape, unsigned width, unsigned condition)
{
    return shape > SHAPE_RI ? NULL : handlers[test][shape][width][condition];
}
