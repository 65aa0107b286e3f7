/*
 * The stack: PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE (SDM vol. 2). Segment registers are pushed and popped
 * elsewhere.
 *
 * The specialised forms are those of 64-bit mode. The generic ones compute an address in SS and go through the
 * same accessors, so that a push over the running code is seen.
 */
#include "cpu/alu.h"

/* --- PUSH ----------------------------------------------------------------------------------------------------------
 */

static OP(push_any)
{
    unsigned w = OP_WIDTH(op);
    uint64_t value, rsp = cpu->gpr[RSP] - w / 8;
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(from, w / 8, ACCESS_READ);
        STACK_LINEAR(to, rsp, w / 8, ACCESS_WRITE);
        if (!tlb_writes(cpu, to, w / 8)) {
            PROBE(from, w / 8, operand_access(op, ACCESS_READ));
            PROBE(to, w / 8, ACCESS_WRITE | ACCESS_STACK);
        }
        LOAD(w, value, from);
        STORE_STACK(w, to, value);
    } else {
        value = OPERAND(flags) & OP_IMM ? OPERAND(imm) : REG(w, OPERAND(dst));
        STACK_LINEAR(to, rsp, w / 8, ACCESS_WRITE);
        STORE_STACK(w, to, value);
    }
    stack_set(cpu, rsp);
    NEXT;
}
static OP(push_rr64)
{
    uint64_t rsp = cpu->gpr[RSP] - 8;
    STORE_HIT(64, rsp, REG(64, OPERAND(dst)), op_push_any);
    cpu->gpr[RSP] = rsp;
    NEXT;
}
static OP(push_ri64)
{
    uint64_t rsp = cpu->gpr[RSP] - 8;
    STORE_HIT(64, rsp, OPERAND(imm), op_push_any);
    cpu->gpr[RSP] = rsp;
    NEXT;
}
static op_fn *const push_shaped[SHAPES][4] = {
    [SHAPE_RR] = { NULL, NULL, NULL, op_push_rr64 },
    [SHAPE_RI] = { NULL, NULL, NULL, op_push_ri64 },
};
HANDLERS(push) = { .any = op_push_any, .shaped = push_shaped };

/* --- POP -----------------------------------------------------------------------------------------------------------
 */

/* The address of a memory destination is computed with rSP as it is after the pop. */
static bool pop_linear(struct cpu *cpu, const struct op *op, unsigned bytes, uint64_t *linear)
{
    uint64_t rsp = cpu->gpr[RSP];
    bool ok = true;
    stack_set(cpu, rsp + bytes);
    if (OPERAND(flags) & OP_SEGMENTED)
        ok = segment_linear(cpu, op, bytes, ACCESS_WRITE, linear);
    else
        *linear = LINEAR_FLAT;
    cpu->gpr[RSP] = rsp;
    return ok;
}

static OP(pop_any)
{
    unsigned w = OP_WIDTH(op);
    uint64_t value, to, rsp = cpu->gpr[RSP] + w / 8;
    STACK_LINEAR(from, cpu->gpr[RSP], w / 8, ACCESS_READ);
    if (OPERAND(flags) & OP_MEM) {
        if (!pop_linear(cpu, op, w / 8, &to))
            FAULT_PENDING;
        if (!tlb_writes(cpu, to, w / 8)) {
            PROBE(from, w / 8, ACCESS_READ | ACCESS_STACK);
            PROBE(to, w / 8, operand_access(op, ACCESS_WRITE));
        }
        LOAD_STACK(w, value, from);
        STORE(w, to, value);
        stack_set(cpu, rsp);
    } else {
        LOAD_STACK(w, value, from);
        stack_set(cpu, rsp);
        SET_REG(w, OPERAND(dst), value); /* POP rSP ends with the value that was popped */
    }
    NEXT;
}
static OP(pop_rr64)
{
    uint64_t value, rsp = cpu->gpr[RSP];
    LOAD_HIT(64, value, rsp, op_pop_any);
    cpu->gpr[RSP] = rsp + 8;
    SET_REG(64, OPERAND(dst), value);
    NEXT;
}
static op_fn *const pop_shaped[SHAPES][4] = { [SHAPE_RR] = { NULL, NULL, NULL, op_pop_rr64 } };
HANDLERS(pop) = { .any = op_pop_any, .shaped = pop_shaped };

/* --- PUSHA, POPA ---------------------------------------------------------------------------------------------------
 */

/* Registers in the order of PUSHA; rSP is pushed with its value before the instruction. */
HANDLER(pusha)
{
    unsigned w = OP_WIDTH(op);
    uint64_t rsp = cpu->gpr[RSP];
    for (unsigned i = 1; i <= 8; i++) {
        STACK_LINEAR(to, rsp - i * (w / 8), w / 8, ACCESS_WRITE);
        PROBE(to, w / 8, ACCESS_WRITE | ACCESS_STACK);
    }
    for (unsigned i = 1; i <= 8; i++) {
        STACK_LINEAR(to, rsp - i * (w / 8), w / 8, ACCESS_WRITE);
        STORE_STACK(w, to, REG(w, (RAX + i - 1) * 8));
    }
    stack_set(cpu, rsp - w);
    NEXT;
}
HANDLER(popa)
{
    unsigned w = OP_WIDTH(op);
    uint64_t values[8], rsp = cpu->gpr[RSP];
    for (unsigned i = 0; i < 8; i++) {
        STACK_LINEAR(from, rsp + i * (w / 8), w / 8, ACCESS_READ);
        PROBE(from, w / 8, ACCESS_READ | ACCESS_STACK);
    }
    for (unsigned i = 0; i < 8; i++) {
        STACK_LINEAR(from, rsp + i * (w / 8), w / 8, ACCESS_READ);
        LOAD_STACK(w, values[i], from);
    }
    for (unsigned i = 0; i < 8; i++)
        if (RDI - i != RSP)
            SET_REG(w, (RDI - i) * 8, values[i]);
    stack_set(cpu, rsp + w);
    NEXT;
}

/* --- ENTER, LEAVE --------------------------------------------------------------------------------------------------
 */

/*
 * imm: bytes to allocate, nesting level in bits 20:16. With a level, the frame pointers of the outer frames are copied
 * and the new one pushed behind them. The word at the final stack pointer must be writable though nothing is written
 * there.
 */
HANDLER(enter)
{
    unsigned w = OP_WIDTH(op), bytes = w / 8, level = (OPERAND(imm) >> 16) & 31;
    uint64_t offsets = stack_offsets(cpu), rsp = cpu->gpr[RSP], rbp = cpu->gpr[RBP];
    /* The frame pointer is all of rSP after the push, also where only SP addresses the stack. */
    uint64_t frame = (rsp & ~offsets) | ((rsp - bytes) & offsets),
             last = rsp - bytes * (1 + level) - (OPERAND(imm) & 0xFFFF);
    for (unsigned i = 0; i <= level; i++) {
        STACK_LINEAR(to, rsp - (i + 1) * bytes, bytes, ACCESS_WRITE);
        if (i > 0 && i < level) {
            STACK_LINEAR(from, rbp - i * bytes, bytes, ACCESS_READ);
            PROBE(from, bytes, ACCESS_READ | ACCESS_STACK);
        }
        PROBE(to, bytes, ACCESS_WRITE | ACCESS_STACK);
    }
    STACK_LINEAR(end, last, bytes, ACCESS_WRITE);
    PROBE(end, bytes, ACCESS_WRITE | ACCESS_STACK);
    for (unsigned i = 0; i <= level; i++) {
        uint64_t value = i == 0 ? rbp : frame;
        if (i > 0 && i < level) {
            STACK_LINEAR(from, rbp - i * bytes, bytes, ACCESS_READ);
            LOAD_STACK(w, value, from);
        }
        STACK_LINEAR(to, rsp - (i + 1) * bytes, bytes, ACCESS_WRITE);
        STORE_STACK(w, to, value);
    }
    SET_REG(w, RBP * 8, frame);
    stack_set(cpu, last);
    NEXT;
}

static OP(leave_any)
{
    unsigned w = OP_WIDTH(op);
    uint64_t value, rbp = cpu->gpr[RBP];
    STACK_LINEAR(from, rbp, w / 8, ACCESS_READ);
    LOAD_STACK(w, value, from);
    stack_set(cpu, rbp + w / 8);
    SET_REG(w, RBP * 8, value);
    NEXT;
}
static OP(leave_rr64)
{
    uint64_t value, rbp = cpu->gpr[RBP];
    LOAD_STACK(64, value, rbp);
    cpu->gpr[RSP] = rbp + 8;
    cpu->gpr[RBP] = value;
    NEXT;
}
static op_fn *const leave_shaped[SHAPES][4] = { [SHAPE_RR] = { NULL, NULL, NULL, op_leave_rr64 } };
HANDLERS(leave) = { .any = op_leave_any, .shaped = leave_shaped };

/* --- PUSHF, POPF ---------------------------------------------------------------------------------------------------
 */

static unsigned iopl(const struct cpu *cpu)
{
    return (cpu->rflags >> 12) & 3;
}

/* In virtual-8086 mode with IOPL below 3 only the 16-bit forms work, and only with CR4.VME: VIF then stands for IF. */
static bool vme_flags(const struct cpu *cpu)
{
    return cpu->mode & MODE_VM86 && iopl(cpu) < 3;
}

static OP(pushf_any)
{
    unsigned w = OP_WIDTH(op);
    uint64_t flags = flags_read(cpu) & ~(uint64_t)(FLAG_VM | FLAG_RF), rsp = cpu->gpr[RSP] - w / 8;
    if (unlikely(vme_flags(cpu))) {
        if (!(cpu->cr4 & CR4_VME) || w != 16)
            FAULT_CODE(VEC_GP, 0);
        flags = (flags & ~(uint64_t)FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
    }
    STACK_LINEAR(to, rsp, w / 8, ACCESS_WRITE);
    STORE_STACK(w, to, flags);
    stack_set(cpu, rsp);
    NEXT;
}

static OP(pushf_rr64)
{
    uint64_t rsp = cpu->gpr[RSP] - 8;
    STORE_HIT(64, rsp, flags_read(cpu) & ~(uint64_t)(FLAG_VM | FLAG_RF), op_pushf_any);
    cpu->gpr[RSP] = rsp;
    NEXT;
}
static op_fn *const pushf_shaped[SHAPES][4] = { [SHAPE_RR] = { NULL, NULL, NULL, op_pushf_rr64 } };
HANDLERS(pushf) = { .any = op_pushf_any, .shaped = pushf_shaped };

/* The flags that POPF may change here (SDM vol. 2B, "POPF", table 4-16). */
static uint64_t popf_mask(const struct cpu *cpu, unsigned w)
{
    uint64_t mask = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT;
    if (w > 16)
        mask |= FLAG_AC | FLAG_ID;
    if (cpu->cpl == 0)
        mask |= FLAG_IOPL;
    if (cpu->cpl <= iopl(cpu))
        mask |= FLAG_IF;
    return mask;
}

HANDLER(popf)
{
    unsigned w = OP_WIDTH(op);
    uint64_t value, mask = popf_mask(cpu, w), old = cpu->rflags, rsp = cpu->gpr[RSP];
    bool vme = vme_flags(cpu);
    if (unlikely(vme) && (!(cpu->cr4 & CR4_VME) || w != 16))
        FAULT_CODE(VEC_GP, 0);
    STACK_LINEAR(from, rsp, w / 8, ACCESS_READ);
    LOAD_STACK(w, value, from);
    if (unlikely(vme)) {
        if ((value & FLAG_IF && old & FLAG_VIP) || value & FLAG_TF)
            FAULT_CODE(VEC_GP, 0);
        value = (value & ~(uint64_t)FLAG_VIF) | (value & FLAG_IF ? FLAG_VIF : 0);
        mask = (mask & ~(uint64_t)(FLAG_IF | FLAG_IOPL)) | FLAG_VIF;
    }
    stack_set(cpu, rsp + w / 8);
    flags_set_status(cpu, value);
    cpu->rflags = (old & ~(mask | FLAG_RF)) | (value & mask);
    if ((cpu->rflags ^ old) & (FLAG_TF | FLAG_AC))
        cpu_update_mode(cpu);
    NEXT;
}
