/*
 * PUSH, POP, PUSHA, POPA, ENTER, LEAVE (SDM vol. 2) for stacks of every width.
 */
#include "cpu/alu.h"

/* --- PUSH -------------------------------------------------------------------------------------------------------- */

/* PUSH rSP pushes the value it had before. */
#define PUSH_ANY(w)                                                                                                    \
    static OP(push_##w)                                                                                                \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        if (op->flags & OP_MEM) {                                                                                      \
            LINEAR(from, (w) / 8, ACCESS_READ);                                                                        \
            STACK_LINEAR(to, cpu->gpr[RSP] - (w) / 8, (w) / 8, ACCESS_WRITE);                                          \
            if (!tlb_reads(cpu, from, (w) / 8) || !tlb_writes(cpu, to, (w) / 8)) {                                     \
                PROBE(from, (w) / 8, operand_access(op, ACCESS_READ));                                                 \
                PROBE(to, (w) / 8, ACCESS_WRITE | ACCESS_STACK);                                                       \
            }                                                                                                          \
            LOAD(w, value, from);                                                                                      \
            STORE_STACK(w, to, value);                                                                                 \
        } else {                                                                                                       \
            value = op->flags & OP_IMM ? op->imm : REG(w, op->dst);                                                    \
            STACK_LINEAR(to, cpu->gpr[RSP] - (w) / 8, (w) / 8, ACCESS_WRITE);                                          \
            STORE_STACK(w, to, value);                                                                                 \
        }                                                                                                              \
        stack_set(cpu, stack_moved(cpu, -(int64_t)((w) / 8)));                                                         \
        NEXT;                                                                                                          \
    }
PUSH_ANY(16)
PUSH_ANY(32)
PUSH_ANY(64)

static OP(push_register)
{
    uint64_t rsp = cpu->gpr[RSP] - 8;
    STORE_STACK(64, rsp, REG(64, op->dst));
    cpu->gpr[RSP] = rsp;
    NEXT;
}
static OP(push_immediate)
{
    uint64_t rsp = cpu->gpr[RSP] - 8;
    STORE_STACK(64, rsp, op->imm);
    cpu->gpr[RSP] = rsp;
    NEXT;
}
static op_fn *const push_shaped[SHAPES][4] = {
    [SHAPE_RR] = { [3] = op_push_register }, [SHAPE_RI] = { [3] = op_push_immediate }
};
HANDLERS(push) = { .by_width = { NULL, op_push_16, op_push_32, op_push_64 }, .shaped = push_shaped };

/* --- POP --------------------------------------------------------------------------------------------------------- */

/*
 * POP m computes the address of its operand with rSP already moved, and POP rSP keeps the value read (SDM vol. 2B,
 * POP). So rSP moves first and goes back if the operand's address or page faults.
 */
#define POP_ANY(w)                                                                                                     \
    static OP(pop_##w)                                                                                                 \
    {                                                                                                                  \
        uint64_t value, before = cpu->gpr[RSP];                                                                        \
        STACK_LINEAR(from, before, (w) / 8, ACCESS_READ);                                                              \
        if (op->flags & OP_MEM) {                                                                                      \
            uint64_t to;                                                                                               \
            bool ok = mem_probe(cpu, from, (w) / 8, ACCESS_READ | ACCESS_STACK);                                       \
            cpu->gpr[RSP] = stack_moved(cpu, (w) / 8);                                                                 \
            if (!(op->flags & OP_SEGMENTED))                                                                           \
                to = LINEAR_FLAT;                                                                                      \
            else                                                                                                       \
                ok = ok && segment_linear(cpu, op, (w) / 8, ACCESS_WRITE, &to);                                        \
            ok = ok && mem_probe(cpu, to, (w) / 8, operand_access(op, ACCESS_WRITE));                                  \
            uint64_t after = cpu->gpr[RSP];                                                                            \
            cpu->gpr[RSP] = before;                                                                                    \
            if (!ok)                                                                                                   \
                FAULT_PENDING;                                                                                         \
            LOAD_STACK(w, value, from);                                                                                \
            STORE(w, to, value);                                                                                       \
            cpu->gpr[RSP] = after;                                                                                     \
        } else {                                                                                                       \
            LOAD_STACK(w, value, from);                                                                                \
            cpu->gpr[RSP] = stack_moved(cpu, (w) / 8);                                                                 \
            SET_REG(w, op->dst, value);                                                                                \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
POP_ANY(16)
POP_ANY(32)
POP_ANY(64)

static OP(pop_register)
{
    uint64_t value, rsp = cpu->gpr[RSP];
    LOAD_STACK(64, value, rsp);
    cpu->gpr[RSP] = rsp + 8;
    SET_REG(64, op->dst, value);
    NEXT;
}
static op_fn *const pop_shaped[SHAPES][4] = { [SHAPE_RR] = { [3] = op_pop_register } };
HANDLERS(pop) = { .by_width = { NULL, op_pop_16, op_pop_32, op_pop_64 }, .shaped = pop_shaped };

/* --- all registers ----------------------------------------------------------------------------------------------- */

/* Moves the eight registers one by one after the whole range was checked: the stack may wrap inside of it. */
static bool stack_probe_range(struct cpu *cpu, int64_t offset, unsigned bytes, unsigned count, unsigned access)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t linear, at = (cpu->gpr[RSP] + (uint64_t)offset + i * bytes) & stack_offsets(cpu);
        if (!segment_address(cpu, SS, at, bytes, access, &linear) ||
            !mem_probe(cpu, linear, bytes, access | ACCESS_STACK))
            return false;
    }
    return true;
}

HANDLER(pusha)
{
    unsigned w = OP_WIDTH(op), bytes = w / 8;
    if (!stack_probe_range(cpu, -8 * (int64_t)bytes, bytes, 8, ACCESS_WRITE))
        FAULT_PENDING;
    for (unsigned i = 0; i < 8; i++)
        if (!stack_write(cpu, -(int64_t)((i + 1) * bytes), bytes, REG(w, i * 8)))
            FAULT_PENDING;
    stack_set(cpu, stack_moved(cpu, -8 * (int64_t)bytes));
    NEXT;
}

HANDLER(popa)
{
    unsigned w = OP_WIDTH(op), bytes = w / 8;
    uint64_t values[8];
    for (unsigned i = 0; i < 8; i++)
        if (!stack_read(cpu, (int64_t)(i * bytes), bytes, &values[7 - i]))
            FAULT_PENDING;
    stack_set(cpu, stack_moved(cpu, 8 * (int64_t)bytes));
    for (unsigned i = 0; i < 8; i++)
        if (i != RSP)
            SET_REG(w, i * 8, values[i]);
    NEXT;
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

#define NESTING_MAX 31

/*
 * ENTER imm16, imm8 (SDM vol. 2A). Level n copies n - 1 frame pointers from the old frame. All is read before anything
 * is written, and the last access touches the new top of the stack for writing, as the manual's pseudocode ends.
 */
HANDLER(enter)
{
    unsigned w = OP_WIDTH(op), bytes = w / 8;
    unsigned locals = op->imm & UINT16_MAX, level = op->imm >> 16 & NESTING_MAX;
    uint64_t frames[NESTING_MAX], linear;
    uint64_t frame_temp = stack_moved(cpu, -(int64_t)bytes);
    for (unsigned i = 1; i < level; i++) {
        uint64_t at = (cpu->gpr[RBP] - i * bytes) & stack_offsets(cpu);
        if (!segment_address(cpu, SS, at, bytes, ACCESS_READ, &linear) ||
            !mem_read_uint(cpu, linear, bytes, ACCESS_STACK, &frames[i - 1]))
            FAULT_PENDING;
    }
    unsigned pushes = 1 + level;
    uint64_t top = (cpu->gpr[RSP] - pushes * bytes - locals) & stack_offsets(cpu);
    if (!stack_probe_range(cpu, -(int64_t)(pushes * bytes), bytes, pushes, ACCESS_WRITE) ||
        !segment_address(cpu, SS, top, bytes, ACCESS_WRITE, &linear) ||
        !mem_probe(cpu, linear, bytes, ACCESS_WRITE | ACCESS_STACK))
        FAULT_PENDING;
    bool ok = stack_write(cpu, -(int64_t)bytes, bytes, cpu->gpr[RBP]);
    for (unsigned i = 1; i < level; i++)
        ok = ok && stack_write(cpu, -(int64_t)((1 + i) * bytes), bytes, frames[i - 1]);
    if (level > 0)
        ok = ok && stack_write(cpu, -(int64_t)(pushes * bytes), bytes, frame_temp);
    if (!ok)
        FAULT_PENDING;
    stack_set(cpu, stack_moved(cpu, -(int64_t)(pushes * bytes + locals)));
    SET_REG(w, RBP * 8, frame_temp);
    NEXT;
}

/* LEAVE: rSP = rBP at the stack's width, then POP rBP. */
#define LEAVE_ANY(w)                                                                                                   \
    static OP(leave_##w)                                                                                               \
    {                                                                                                                  \
        uint64_t value;                                                                                                \
        STACK_LINEAR(from, cpu->gpr[RBP], (w) / 8, ACCESS_READ);                                                       \
        LOAD_STACK(w, value, from);                                                                                    \
        stack_set(cpu, cpu->gpr[RBP] + (w) / 8);                                                                       \
        SET_REG(w, RBP * 8, value);                                                                                    \
        NEXT;                                                                                                          \
    }
LEAVE_ANY(16)
LEAVE_ANY(32)
LEAVE_ANY(64)
HANDLERS(leave) = { .by_width = { NULL, op_leave_16, op_leave_32, op_leave_64 } };
