/*
 * Fused pairs of 64-bit mode: CMP or TEST with the conditional jump behind it, and neighbours on the stack and in
 * memory.
 *
 * One dispatch for two instructions, and the condition comes from the operands instead of from the flags. The flags are
 * left as the pair leaves them. With registers and immediates one op stands for both: it is the last of its block, imm
 * is the target of the jump from the block's start, and an immediate operand stands in disp. Pairs that access memory
 * stay in place (fused.h).
 */
#include "cpu/fused.h"
#include "cpu/alu.h"

extern const struct handlers handlers_cmp, handlers_test, handlers_push, handlers_pop, handlers_ret, handlers_movdq;
#define handlers_CMP  handlers_cmp
#define handlers_TEST handlers_test

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

/*
 * A taken jump without a chain; RIP is its target, which must be canonical. If it is not, the fault is the jump's: the
 * compare in front of it has happened.
 */
static const struct op *jump_unchained(struct cpu *cpu, const struct op *op)
{
    uint64_t target = cpu->gpr[GPR_RIP];
    if (sign_extend(target, cpu->cr4 & CR4_LA57 ? 57 : 48) == target)
        return NULL;
    struct op jump = *op;
    unsigned length = (OPERAND(at_length) & 15u) - OPERAND(scale);
    jump.at_length = (uint16_t)((INSN_AT + OPERAND(scale)) << 4 | length);
    jump.left--;
    jump.insns_left--;
    cpu->gpr[GPR_RIP] -= OPERAND(imm);
    return engine_fault(cpu, &jump, fault_make(VEC_GP, true, 0));
}

#define RR_SOURCE(w) REG((w), OPERAND(src))
#define RI_SOURCE(w) ((uint64_t)(int64_t)OPERAND(disp) & width_mask(w))

#define FUSED(kind, w, shape, cc)                                                                                      \
    static OP(kind##_##shape##w##_##cc)                                                                                \
    {                                                                                                                  \
        uint64_t a = REG(w, OPERAND(dst)), b = shape##_SOURCE(w);                                                      \
        kind##_FLAGS(a, b, w);                                                                                         \
        if (kind##_##cc(a, b, w))                                                                                      \
            BRANCH_BY(op, 1, OPERAND(imm), return jump_unchained(cpu, op));                                            \
        BRANCH_BY(op, 0, INSN_END, return NULL);                                                                       \
    }

#define FUSED_MEMORY(kind, w, shape, cc)                                                                               \
    static OP(kind##_##shape##w##_##cc)                                                                                \
    {                                                                                                                  \
        HIT(read, (w) / 8, host, LINEAR_FLAT, handlers_##kind.by_width[WIDTH_INDEX(w)]);                               \
        uint64_t memory = host_read(host, w), a = shape##_FIRST(w), b = shape##_SECOND(w);                             \
        kind##_FLAGS(a, b, w);                                                                                         \
        if (kind##_##cc(a, b, w))                                                                                      \
            BRANCH_BY(op + 1, 1, SECOND(imm), { /* the jump itself looks closer at where it goes */                    \
                                                cpu->gpr[GPR_RIP] -= SECOND(imm);                                      \
                                                GO(op + 1);                                                            \
            });                                                                                                        \
        BRANCH_BY(op + 1, 0, SECOND_END, return NULL);                                                                 \
    }
#define WIDTH_INDEX(w) ((w) == 8 ? 0 : (w) == 32 ? 2 : 3)
#define MR_FIRST(w)    memory
#define MR_SECOND(w)   REG((w), OPERAND(src))
#define MI_FIRST(w)    memory
#define MI_SECOND(w)   (OPERAND(imm) & width_mask(w))
#define RM_FIRST(w)    REG((w), OPERAND(dst))
#define RM_SECOND(w)   memory

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

#define EACH_MEMORY_FORM(M, CONDITIONS)                                                                                \
    CONDITIONS(M, 8, MR) CONDITIONS(M, 32, MR) CONDITIONS(M, 64, MR)                                                   \
    CONDITIONS(M, 8, MI) CONDITIONS(M, 32, MI) CONDITIONS(M, 64, MI)
#define EACH_LOAD_FORM(M, CONDITIONS)                                                                                  \
    CONDITIONS(M, 8, RM) CONDITIONS(M, 32, RM) CONDITIONS(M, 64, RM)

EACH_FORM(FUSED, CMP_CONDITIONS)
EACH_FORM(FUSED, TEST_CONDITIONS)
EACH_MEMORY_FORM(FUSED_MEMORY, CMP_CONDITIONS)
EACH_LOAD_FORM(FUSED_MEMORY, CMP_CONDITIONS)
EACH_MEMORY_FORM(FUSED_MEMORY, TEST_CONDITIONS)

/* Condition codes in the order of the low opcode bits (SDM vol. 1, appendix B). */
enum { cc_o, cc_no, cc_b, cc_nb, cc_z, cc_nz, cc_be, cc_nbe, cc_s, cc_ns, cc_p, cc_np, cc_l, cc_nl, cc_le, cc_nle };
enum { kind_CMP, kind_TEST };
enum { shape_RR = SHAPE_RR, shape_RI = SHAPE_RI, shape_RM = SHAPE_RM, shape_MR = SHAPE_MR, shape_MI = SHAPE_MI };
enum { width_8 = 0, width_32 = 2, width_64 = 3 };

#define ENTRY(kind, w, shape, cc) [kind_##kind][shape_##shape][width_##w][cc_##cc] = op_##kind##_##shape##w##_##cc,
static op_fn *const handlers[2][SHAPES][4][16] = {
    EACH_FORM(ENTRY, CMP_CONDITIONS)
    EACH_FORM(ENTRY, TEST_CONDITIONS)
    EACH_MEMORY_FORM(ENTRY, CMP_CONDITIONS)
    EACH_LOAD_FORM(ENTRY, CMP_CONDITIONS)
    EACH_MEMORY_FORM(ENTRY, TEST_CONDITIONS)
};
/* clang-format on */

op_fn *fused_handler(bool test, enum shape shape, unsigned width, unsigned condition)
{
    return shape > SHAPE_RI ? NULL : handlers[test][shape][width][condition];
}

op_fn *fused_memory_handler(bool test, enum shape shape, unsigned width, unsigned condition)
{
    return shape <= SHAPE_RI ? NULL : handlers[test][shape][width][condition];
}

/* --- the stack ---------------------------------------------------------------------------------------------------- */

static OP(push_push)
{
    uint64_t rsp = cpu->gpr[RSP] - 16;
    HIT(write, 16, host, rsp, handlers_push.any);
    host_write(host + 8, 64, REG(64, OPERAND(dst)));
    host_write(host, 64, REG(64, SECOND(dst)));
    cpu->gpr[RSP] = rsp;
    NEXT_PAIR;
}
static OP(pop_pop)
{
    HIT(read, 16, host, cpu->gpr[RSP], handlers_pop.any);
    uint64_t first = host_read(host, 64), second = host_read(host + 8, 64);
    cpu->gpr[RSP] += 16;
    SET_REG(64, OPERAND(dst), first);
    SET_REG(64, SECOND(dst), second);
    NEXT_PAIR;
}
static OP(pop_ret)
{
    HIT(read, 16, host, cpu->gpr[RSP], handlers_pop.any);
    uint64_t value = host_read(host, 64), target = host_read(host + 8, 64);
    if (unlikely(sign_extend(target, 48) != target))
        HAND_OVER(handlers_pop.any);
    cpu->gpr[RSP] += 16;
    SET_REG(64, OPERAND(dst), value);
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}

/* --- vectors ------------------------------------------------------------------------------------------------------ */

/*
 * Two moves of 16 bytes whose addresses differ in displacement only, one translation for both: what copies of memory
 * are made of. Across pages, or where one is misaligned and must not be, they go one by one.
 */
#define MOVDQ_PAIR(name, rights, COPY_FIRST, COPY_SECOND)                                                              \
    static OP(name)                                                                                                    \
    {                                                                                                                  \
        uint64_t at = LINEAR_FLAT;                                                                                     \
        uint64_t behind = at + ((uint64_t)(int64_t)SECOND(disp) - (uint64_t)(int64_t)OPERAND(disp));                   \
        if (unlikely((OPERAND(flags) | SECOND(flags)) & OP_ALIGNED && (at | behind) & 15))                             \
            HAND_OVER(handlers_movdq.any);                                                                             \
        const struct tlb_entry *entry = tlb_slot(cpu, at);                                                             \
        if (unlikely(entry->rights != tlb_tag(at, 16) || entry->rights != tlb_tag(behind, 16) ||                       \
                     (at ^ behind) >> 12)) /* the tag looks at the last byte */                                        \
            HAND_OVER(handlers_movdq.any);                                                                             \
        COPY_FIRST;                                                                                                    \
        COPY_SECOND;                                                                                                   \
        NEXT_PAIR;                                                                                                     \
    }
#define HOST_BYTES(at) ((void *)(entry->host + (at)))
MOVDQ_PAIR(load_load, read, memcpy(&cpu->zmm[OPERAND(dst)], HOST_BYTES(at), 16),
           memcpy(&cpu->zmm[SECOND(dst)], HOST_BYTES(behind), 16))
MOVDQ_PAIR(store_store, write, memcpy(HOST_BYTES(at), &cpu->zmm[OPERAND(src)], 16),
           memcpy(HOST_BYTES(behind), &cpu->zmm[SECOND(src)], 16))

static op_fn *vector_handler(const struct op *first, const struct op *second)
{
    if (first->run != second->run || first->base != second->base || first->index != second->index ||
        first->scale != second->scale)
        return NULL;
    return first->run == handlers_movdq.shaped[SHAPE_RM][3]   ? op_load_load
           : first->run == handlers_movdq.shaped[SHAPE_MR][3] ? op_store_store
                                                              : NULL;
}

/* --- choosing ----------------------------------------------------------------------------------------------------- */

static op_fn *stack_handler(const struct op *first, const struct op *second)
{
    op_fn *push = handlers_push.shaped[SHAPE_RR][3], *pop = handlers_pop.shaped[SHAPE_RR][3];
    if (first->dst == RSP * 8)
        return NULL;
    if (first->run == pop && second->run == handlers_ret.shaped[SHAPE_RR][3])
        return op_pop_ret;
    if (second->dst == RSP * 8)
        return NULL;
    return first->run == push && second->run == push ? op_push_push
           : first->run == pop && second->run == pop ? op_pop_pop
                                                     : NULL;
}

op_fn *fused_pair_handler(const struct op *first, const struct op *second)
{
    op_fn *handler = stack_handler(first, second);
    return handler ? handler : vector_handler(first, second);
}
