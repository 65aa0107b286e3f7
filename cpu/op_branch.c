/*
 * Near branches: Jcc, JMP, CALL, RET, LOOPcc, JrCXZ (SDM vol. 2).
 *
 * The generic handlers serve every mode: the target is cut to the operand size and checked against the CS limit, or for
 * being canonical, before anything changes. The specialised ones are those of 64-bit mode.
 */
#include "cpu/alu.h"
#include "cpu/segment.h"

/* --- targets --------------------------------------------------------------------------------------------------------
 */

/* RIP of the next instruction; outside of 64-bit mode EIP wraps. */
static inline uint64_t next_rip(const struct cpu *cpu, const struct op *op)
{
    uint64_t rip = cpu->gpr[GPR_RIP] + INSN_END;
    return (cpu->mode & MODE_CODE_MASK) == MODE_CODE64 ? rip : (uint32_t)rip;
}
/* Target of a relative branch in any mode. */
static inline uint64_t relative_target(const struct cpu *cpu, const struct op *op)
{
    return (cpu->gpr[GPR_RIP] + OPERAND(imm)) & width_mask(OP_WIDTH(op));
}
/* False: #GP(0) in cpu->fault. */
static bool target_check(struct cpu *cpu, uint64_t target)
{
    bool ok =
        (cpu->mode & MODE_CODE_MASK) == MODE_CODE64 ? address_canonical(cpu, target) : target <= cpu->segment[CS].limit;
    return ok || fault_raise(cpu, VEC_GP, true, 0);
}
/* For the hot forms of 64-bit mode: canonical in 48 bits is canonical in any case. The generic ones look closer. */
static inline bool target_canonical(uint64_t target)
{
    return sign_extend(target, 48) == target;
}

/*
 * Takes a relative branch of 64-bit mode. A chain that holds leads to where the block has gone before, so the target
 * needs to be looked at only when there is none.
 */
#define BRANCH_RELATIVE64(slot)                                                                                        \
    BRANCH_BY(op, (slot), OPERAND(imm), {                                                                              \
        if (!target_check(cpu, cpu->gpr[GPR_RIP])) {                                                                   \
            cpu->gpr[GPR_RIP] -= OPERAND(imm);                                                                         \
            FAULT_PENDING;                                                                                             \
        }                                                                                                              \
        return NULL;                                                                                                   \
    })

/* --- Jcc, JMP --------------------------------------------------------------------------------------------------------
 */

/* A relative branch in any mode, taken if `taken`. */
#define BRANCH_ANY(taken, taken_slot)                                                                                  \
    do {                                                                                                               \
        if (taken) {                                                                                                   \
            uint64_t to_ = relative_target(cpu, op);                                                                   \
            if (!target_check(cpu, to_))                                                                               \
                FAULT_PENDING;                                                                                         \
            cpu->gpr[GPR_RIP] = to_;                                                                                   \
            BRANCH(taken_slot);                                                                                        \
        }                                                                                                              \
        cpu->gpr[GPR_RIP] = next_rip(cpu, op);                                                                         \
        BRANCH(0);                                                                                                     \
    } while (0)

#define JUMP_HANDLERS(cc)                                                                                              \
    static OP(j##cc##_any)                                                                                             \
    {                                                                                                                  \
        BRANCH_ANY(condition_##cc(cpu), 1);                                                                            \
    }                                                                                                                  \
    static OP(j##cc##_ri64)                                                                                            \
    {                                                                                                                  \
        if (condition_##cc(cpu))                                                                                       \
            BRANCH_RELATIVE64(1);                                                                                      \
        BRANCH_BY(op, 0, INSN_END, return NULL);                                                                       \
    }                                                                                                                  \
    static op_fn *const j##cc##_shaped[SHAPES][4] = { [SHAPE_RI] = { NULL, NULL, NULL, op_j##cc##_ri64 } };            \
    HANDLERS(j##cc) = { .any = op_j##cc##_any, .shaped = j##cc##_shaped };
EACH_CONDITION(JUMP_HANDLERS)

static OP(jmp_any)
{
    BRANCH_ANY(true, 0);
}
static OP(jmp_ri64)
{
    BRANCH_RELATIVE64(0);
}
static op_fn *const jmp_shaped[SHAPES][4] = { [SHAPE_RI] = { NULL, NULL, NULL, op_jmp_ri64 } };
HANDLERS(jmp) = { .any = op_jmp_any, .shaped = jmp_shaped };

/* JMP r/m */
static OP(jmp_indirect_any)
{
    unsigned w = OP_WIDTH(op);
    uint64_t target;
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(from, w / 8, ACCESS_READ);
        LOAD(w, target, from);
    } else {
        target = REG(w, OPERAND(dst));
    }
    if (!target_check(cpu, target))
        FAULT_PENDING;
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}
static OP(jmp_indirect_rr64)
{
    uint64_t target = REG(64, OPERAND(dst));
    if (unlikely(!target_canonical(target)))
        HAND_OVER(op_jmp_indirect_any);
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}
static OP(jmp_indirect_mr64)
{
    uint64_t target;
    LOAD_HIT(64, target, LINEAR_FLAT, op_jmp_indirect_any);
    if (unlikely(!target_canonical(target)))
        HAND_OVER(op_jmp_indirect_any);
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}
static op_fn *const jmp_indirect_shaped[SHAPES][4] = {
    [SHAPE_RR] = { NULL, NULL, NULL, op_jmp_indirect_rr64 },
    [SHAPE_MR] = { NULL, NULL, NULL, op_jmp_indirect_mr64 },
};
HANDLERS(jmp_indirect) = { .any = op_jmp_indirect_any, .shaped = jmp_indirect_shaped };

/* --- LOOPcc, JrCXZ
 * ---------------------------------------------------------------------------------------------------- */

/* rCX of the address size is counted down, without flags; a fault of the target leaves it as it was. */
#define LOOP_HANDLER(name, condition)                                                                                  \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        unsigned address = OP_ADDRESS(op);                                                                             \
        uint64_t count = (cpu->gpr[RCX] - 1) & width_mask(address);                                                    \
        bool taken = count != 0 && (condition);                                                                        \
        if (taken && !target_check(cpu, relative_target(cpu, op)))                                                     \
            FAULT_PENDING;                                                                                             \
        SET_REG(address, RCX * 8, count);                                                                              \
        BRANCH_ANY(taken, 1);                                                                                          \
    }
LOOP_HANDLER(loop, true)
LOOP_HANDLER(loopz, flag_zf(cpu))
LOOP_HANDLER(loopnz, !flag_zf(cpu))

HANDLER(jcxz)
{
    BRANCH_ANY((cpu->gpr[RCX] & width_mask(OP_ADDRESS(op))) == 0, 1);
}

/* --- CALL, RET
 * -------------------------------------------------------------------------------------------------------- */

static OP(call_any)
{
    unsigned w = OP_WIDTH(op);
    uint64_t target = relative_target(cpu, op), rsp = cpu->gpr[RSP] - w / 8;
    if (!target_check(cpu, target))
        FAULT_PENDING;
    STACK_LINEAR(to, rsp, w / 8, ACCESS_WRITE);
    STORE_STACK(w, to, next_rip(cpu, op));
    stack_set(cpu, rsp);
    cpu->gpr[GPR_RIP] = target;
    BRANCH(0);
}
static OP(call_ri64)
{
    uint64_t rsp = cpu->gpr[RSP] - 8, rip = cpu->gpr[GPR_RIP];
    if (unlikely(!target_canonical(rip + OPERAND(imm))))
        HAND_OVER(op_call_any);
    STORE_HIT(64, rsp, rip + INSN_END, op_call_any);
    cpu->gpr[RSP] = rsp;
    cpu->gpr[GPR_RIP] = rip + OPERAND(imm);
    BRANCH(0);
}
static op_fn *const call_shaped[SHAPES][4] = { [SHAPE_RI] = { NULL, NULL, NULL, op_call_ri64 } };
HANDLERS(call) = { .any = op_call_any, .shaped = call_shaped };

/* In 64-bit mode processors see a fault of the push before that of the target. */
#define CALL_REFUSED(rsp)                                                                                              \
    do {                                                                                                               \
        const struct fault fault_ = cpu->fault;                                                                        \
        if ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64)                                                               \
            PROBE((rsp), 8, ACCESS_WRITE | ACCESS_STACK);                                                              \
        cpu->fault = fault_;                                                                                           \
        FAULT_PENDING;                                                                                                 \
    } while (0)

/* CALL r/m. The stack is translated before a target in a device's memory is read. */
static OP(call_indirect_any)
{
    unsigned w = OP_WIDTH(op);
    uint64_t target, rsp = cpu->gpr[RSP] - w / 8;
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(from, w / 8, ACCESS_READ);
        STACK_LINEAR(to, rsp, w / 8, ACCESS_WRITE);
        if (!tlb_writes(cpu, to, w / 8)) {
            PROBE(from, w / 8, operand_access(op, ACCESS_READ));
            PROBE(to, w / 8, ACCESS_WRITE | ACCESS_STACK);
        }
        LOAD(w, target, from);
    } else {
        target = REG(w, OPERAND(dst));
    }
    if (!target_check(cpu, target))
        CALL_REFUSED(rsp);
    STACK_LINEAR(to, rsp, w / 8, ACCESS_WRITE);
    STORE_STACK(w, to, next_rip(cpu, op));
    stack_set(cpu, rsp);
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}
static OP(call_indirect_rr64)
{
    uint64_t target = REG(64, OPERAND(dst)), rsp = cpu->gpr[RSP] - 8;
    if (unlikely(!target_canonical(target)))
        HAND_OVER(op_call_indirect_any);
    STORE_HIT(64, rsp, cpu->gpr[GPR_RIP] + INSN_END, op_call_indirect_any);
    cpu->gpr[RSP] = rsp;
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}
static op_fn *const call_indirect_shaped[SHAPES][4] = { [SHAPE_RR] = { NULL, NULL, NULL, op_call_indirect_rr64 } };
HANDLERS(call_indirect) = { .any = op_call_indirect_any, .shaped = call_indirect_shaped };

/* RET and RET imm16: imm is 0 where there is none. */
static OP(ret_any)
{
    unsigned w = OP_WIDTH(op);
    uint64_t target, rsp = cpu->gpr[RSP];
    STACK_LINEAR(from, rsp, w / 8, ACCESS_READ);
    LOAD_STACK(w, target, from);
    if (!target_check(cpu, target))
        FAULT_PENDING;
    stack_set(cpu, rsp + w / 8 + OPERAND(imm));
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}
static OP(ret_rr64)
{
    uint64_t target, rsp = cpu->gpr[RSP];
    LOAD_HIT(64, target, rsp, op_ret_any);
    if (unlikely(!target_canonical(target)))
        HAND_OVER(op_ret_any);
    cpu->gpr[RSP] = rsp + 8;
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}
static op_fn *const ret_shaped[SHAPES][4] = { [SHAPE_RR] = { NULL, NULL, NULL, op_ret_rr64 } };
HANDLERS(ret) = { .any = op_ret_any, .shaped = ret_shaped };
