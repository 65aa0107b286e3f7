/*
 * Near branches: Jcc, JMP, CALL, RET, LOOPcc, JrCXZ (SDM vol. 2).
 *
 * Each has a fast form for 64-bit operand size, which only 64-bit mode has, and one for the rest. RIP in gpr[GPR_RIP]
 * is that of the block's start until the branch sets it.
 */
#include "cpu/alu.h"

/* RIP of the next instruction, and of a relative target, before masking. */
#define RIP_NEXT   (cpu->gpr[GPR_RIP] + op_end(op))
#define RIP_TARGET (cpu->gpr[GPR_RIP] + op->imm)

static bool is_canonical(const struct cpu *cpu, uint64_t linear)
{
    unsigned unused = cpu->cr4 & CR4_LA57 ? 7 : 16;
    return (uint64_t)((int64_t)(linear << unused) >> unused) == linear;
}

/* A target cut to the operand size; false if it lies outside of the CS limit or is not canonical: #GP(0). */
static bool target_check(struct cpu *cpu, const struct op *op, uint64_t *rip)
{
    unsigned w = OP_WIDTH(op);
    *rip &= width_mask(w < 16 ? 16 : w);
    bool inside =
        (cpu->mode & MODE_CODE_MASK) == MODE_CODE64 ? is_canonical(cpu, *rip) : *rip <= cpu->segment[CS].limit;
    return inside || fault_raise(cpu, VEC_GP, true, 0);
}

/* Not taken: outside of 64-bit mode RIP wraps with the code size. */
static void fall_through(struct cpu *cpu, const struct op *op)
{
    uint64_t next = RIP_NEXT;
    switch (cpu->mode & MODE_CODE_MASK) {
    case MODE_CODE16:
        next &= cpu->segment[CS].limit > UINT16_MAX ? UINT32_MAX : UINT16_MAX;
        break;
    case MODE_CODE32:
        next &= UINT32_MAX;
        break;
    }
    cpu->gpr[GPR_RIP] = next;
}

/* --- conditional ------------------------------------------------------------------------------------------------- */

#define JCC(cc)                                                                                                        \
    static OP(j##cc##_any)                                                                                             \
    {                                                                                                                  \
        if (condition_##cc(cpu)) {                                                                                     \
            uint64_t target = RIP_TARGET;                                                                              \
            if (!target_check(cpu, op, &target))                                                                       \
                FAULT_PENDING;                                                                                         \
            cpu->gpr[GPR_RIP] = target;                                                                                \
            BRANCH(1);                                                                                                 \
        }                                                                                                              \
        fall_through(cpu, op);                                                                                         \
        BRANCH(0);                                                                                                     \
    }                                                                                                                  \
    static OP(j##cc##_64)                                                                                              \
    {                                                                                                                  \
        if (condition_##cc(cpu)) {                                                                                     \
            cpu->gpr[GPR_RIP] = RIP_TARGET;                                                                            \
            BRANCH(1);                                                                                                 \
        }                                                                                                              \
        cpu->gpr[GPR_RIP] = RIP_NEXT;                                                                                  \
        BRANCH(0);                                                                                                     \
    }                                                                                                                  \
    static op_fn *const j##cc##_shaped[SHAPES][4] = { [SHAPE_RI] = { [3] = op_j##cc##_64 } };                          \
    HANDLERS(j##cc) = { .any = op_j##cc##_any, .shaped = j##cc##_shaped };
EACH_CONDITION(JCC)

/* The counter of LOOPcc and JrCXZ has the address size. */
static uint64_t counter_read(const struct cpu *cpu, const struct op *op)
{
    return gpr_read(cpu, RCX * 8, OP_ADDRESS(op));
}

/* LOOP, LOOPZ, LOOPNZ: the counter goes down whether or not the branch is taken, but not if the target faults. */
#define LOOP(name, condition)                                                                                          \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        uint64_t count = (counter_read(cpu, op) - 1) & width_mask(OP_ADDRESS(op));                                     \
        bool taken = count != 0 && (condition);                                                                        \
        uint64_t target = RIP_TARGET;                                                                                  \
        if (taken && !target_check(cpu, op, &target))                                                                  \
            FAULT_PENDING;                                                                                             \
        SET_REG(OP_ADDRESS(op), RCX * 8, count);                                                                       \
        if (taken) {                                                                                                   \
            cpu->gpr[GPR_RIP] = target;                                                                                \
            BRANCH(1);                                                                                                 \
        }                                                                                                              \
        fall_through(cpu, op);                                                                                         \
        BRANCH(0);                                                                                                     \
    }
LOOP(loop, true)
LOOP(loopz, flag_zf(cpu))
LOOP(loopnz, !flag_zf(cpu))

HANDLER(jrcxz)
{
    if (counter_read(cpu, op) == 0) {
        uint64_t target = RIP_TARGET;
        if (!target_check(cpu, op, &target))
            FAULT_PENDING;
        cpu->gpr[GPR_RIP] = target;
        BRANCH(1);
    }
    fall_through(cpu, op);
    BRANCH(0);
}

/* --- JMP --------------------------------------------------------------------------------------------------------- */

static OP(jmp_any)
{
    uint64_t target = RIP_TARGET;
    if (!target_check(cpu, op, &target))
        FAULT_PENDING;
    cpu->gpr[GPR_RIP] = target;
    BRANCH(0);
}
static OP(jmp_64)
{
    cpu->gpr[GPR_RIP] = RIP_TARGET;
    BRANCH(0);
}
static op_fn *const jmp_shaped[SHAPES][4] = { [SHAPE_RI] = { [3] = op_jmp_64 } };
HANDLERS(jmp) = { .any = op_jmp_any, .shaped = jmp_shaped };

/* Reads the target of an indirect branch: sets `target`. */
#define READ_TARGET(w)                                                                                                 \
    do {                                                                                                               \
        if (op->flags & OP_MEM) {                                                                                      \
            LINEAR(from_, (w) / 8, ACCESS_READ);                                                                       \
            LOAD(w, target, from_);                                                                                    \
        } else {                                                                                                       \
            target = REG(w, op->dst);                                                                                  \
        }                                                                                                              \
    } while (0)

#define JMP_INDIRECT(w)                                                                                                \
    static OP(jmp_indirect_##w)                                                                                        \
    {                                                                                                                  \
        uint64_t target;                                                                                               \
        READ_TARGET(w);                                                                                                \
        if (!target_check(cpu, op, &target))                                                                           \
            FAULT_PENDING;                                                                                             \
        cpu->gpr[GPR_RIP] = target;                                                                                    \
        BRANCH_INDIRECT;                                                                                               \
    }
JMP_INDIRECT(16)
JMP_INDIRECT(32)
JMP_INDIRECT(64)
HANDLERS(jmp_indirect) = { .by_width = { NULL, op_jmp_indirect_16, op_jmp_indirect_32, op_jmp_indirect_64 } };

/* --- CALL -------------------------------------------------------------------------------------------------------- */

/* Pushes the return address for any stack and goes to `target`, which was checked. */
#define CALL_TO(w)                                                                                                     \
    do {                                                                                                               \
        uint64_t return_ = RIP_NEXT & width_mask(w);                                                                   \
        STACK_LINEAR(at_stack_, cpu->gpr[RSP] - (w) / 8, (w) / 8, ACCESS_WRITE);                                       \
        STORE_STACK(w, at_stack_, return_);                                                                            \
        stack_set(cpu, stack_moved(cpu, -(int64_t)((w) / 8)));                                                         \
        cpu->gpr[GPR_RIP] = target;                                                                                    \
    } while (0)

#define CALL_FORMS(w)                                                                                                  \
    static OP(call_##w)                                                                                                \
    {                                                                                                                  \
        uint64_t target = RIP_TARGET;                                                                                  \
        if (!target_check(cpu, op, &target))                                                                           \
            FAULT_PENDING;                                                                                             \
        CALL_TO(w);                                                                                                    \
        BRANCH(0);                                                                                                     \
    }                                                                                                                  \
    static OP(call_indirect_##w)                                                                                       \
    {                                                                                                                  \
        uint64_t target;                                                                                               \
        READ_TARGET(w);                                                                                                \
        if (!target_check(cpu, op, &target))                                                                           \
            FAULT_PENDING;                                                                                             \
        CALL_TO(w);                                                                                                    \
        BRANCH_INDIRECT;                                                                                               \
    }
CALL_FORMS(16)
CALL_FORMS(32)
CALL_FORMS(64)

/* The stack of 64-bit mode: flat, and RSP moves by 8. */
static OP(call_fast)
{
    uint64_t rsp = cpu->gpr[RSP] - 8;
    STORE_STACK(64, rsp, RIP_NEXT);
    cpu->gpr[RSP] = rsp;
    cpu->gpr[GPR_RIP] = RIP_TARGET;
    BRANCH(0);
}
static op_fn *const call_shaped[SHAPES][4] = { [SHAPE_RI] = { [3] = op_call_fast } };
HANDLERS(call) = { .by_width = { NULL, op_call_16, op_call_32, op_call_64 }, .shaped = call_shaped };
HANDLERS(call_indirect) = { .by_width = { NULL, op_call_indirect_16, op_call_indirect_32, op_call_indirect_64 } };

/* --- RET --------------------------------------------------------------------------------------------------------- */

/* RET and RET imm16; the immediate is 0 where there is none. */
#define RET_ANY(w)                                                                                                     \
    static OP(ret_##w)                                                                                                 \
    {                                                                                                                  \
        uint64_t target;                                                                                               \
        STACK_LINEAR(from, cpu->gpr[RSP], (w) / 8, ACCESS_READ);                                                       \
        LOAD_STACK(w, target, from);                                                                                   \
        if (!target_check(cpu, op, &target))                                                                           \
            FAULT_PENDING;                                                                                             \
        stack_set(cpu, stack_moved(cpu, (w) / 8 + (int64_t)(op->flags & OP_IMM ? op->imm & UINT16_MAX : 0)));          \
        cpu->gpr[GPR_RIP] = target;                                                                                    \
        BRANCH_INDIRECT;                                                                                               \
    }
RET_ANY(16)
RET_ANY(32)
RET_ANY(64)

static OP(ret_fast)
{
    uint64_t target, rsp = cpu->gpr[RSP];
    LOAD_STACK(64, target, rsp);
    if (unlikely(!is_canonical(cpu, target)))
        FAULT_CODE(VEC_GP, 0);
    cpu->gpr[RSP] = rsp + 8;
    cpu->gpr[GPR_RIP] = target;
    BRANCH_INDIRECT;
}
static op_fn *const ret_shaped[SHAPES][4] = { [SHAPE_RR] = { [3] = op_ret_fast } };
HANDLERS(ret) = { .by_width = { NULL, op_ret_16, op_ret_32, op_ret_64 }, .shaped = ret_shaped };
