/*
 * State of the x87 FPU outside of its data: exceptions, pointers, tags, control word (SDM vol. 1, 8.1 and 8.5).
 */
#include "cpu/x87.h"
#include "cpu/handler.h"

struct fp_context x87_context(const struct cpu *cpu)
{
    return (struct fp_context){ .rounding = (cpu->x87.fcw >> 10) & 3, .unmasked = ~cpu->x87.fcw & FCW_MASKS };
}

const struct fp_format *x87_precision(const struct cpu *cpu)
{
    return &fp_f80_precision[(cpu->x87.fcw >> 8) & 3];
}

/* --- pointers --- */

/* The offset of the memory operand in its segment. */
static uint64_t effective_address(const struct cpu *cpu, const struct op *op)
{
    uint64_t offset =
        REG(64, OPERAND(base)) + (REG(64, OPERAND(index)) << OPERAND(scale)) + (uint64_t)(int64_t)OPERAND(disp);
    if (OPERAND(base) == GPR_RIP * 8 && OPERAND(flags) & OP_SEGMENTED)
        offset += INSN_END; /* only a flat displacement counts from the block's start */
    return offset & (UINT64_MAX >> (64 - OP_ADDRESS(op)));
}

/* imm of an x87 op is its FOP: the low bits of the first opcode byte, and ModRM. */
static void note_trap(struct cpu *cpu, const struct op *op)
{
    cpu->x87.fsw |= FSW_ES | FSW_B;
    cpu->x87.fop = OPERAND(imm) & 0x7FF;
    if (OPERAND(flags) & OP_MEM)
        cpu->x87.fdp = effective_address(cpu, op);
}

void x87_note(struct cpu *cpu, const struct op *op)
{
    cpu->x87.fip = cpu->gpr[GPR_RIP] + INSN_AT;
}

/* --- exceptions --- */

static void raise_flags(struct cpu *cpu, const struct op *op, unsigned flags)
{
    cpu->x87.fsw |= (uint16_t)flags;
    if (unlikely(flags & ~cpu->x87.fcw & FCW_MASKS))
        note_trap(cpu, op);
}

void x87_finish(struct cpu *cpu, const struct op *op, const struct fp_context *context)
{
    x87_note(cpu, op);
    x87_set_c1(cpu, context->rounded_up);
    raise_flags(cpu, op, context->flags);
}

bool x87_stack_fault(struct cpu *cpu, const struct op *op, bool overflow)
{
    x87_note(cpu, op);
    x87_set_c1(cpu, overflow);
    raise_flags(cpu, op, FP_IE | FSW_SF);
    return cpu->x87.fcw & FP_IE;
}

void x87_update_summary(struct cpu *cpu)
{
    cpu->x87.fsw &= (uint16_t)~(FSW_ES | FSW_B);
    if (cpu->x87.fsw & ~cpu->x87.fcw & FCW_MASKS)
        cpu->x87.fsw |= FSW_ES | FSW_B;
}

/* --- control --- */

void x87_init(struct cpu *cpu)
{
    cpu->x87.fcw = FCW_INITIAL;
    cpu->x87.fsw = 0;
    cpu->x87.tags = 0;
    cpu->x87.fip = cpu->x87.fdp = 0;
    cpu->x87.fcs = cpu->x87.fds = cpu->x87.fop = 0;
}

void x87_load_fcw(struct cpu *cpu, uint16_t fcw)
{
    cpu->x87.fcw = (fcw & 0x1F3F) | 0x40;
    x87_update_summary(cpu);
}

static unsigned full_tag(struct x87_register r)
{
    enum { VALID, ZERO, SPECIAL };
    unsigned exponent = r.exponent & 0x7FFF;
    if (exponent == 0)
        return r.mantissa == 0 ? ZERO : SPECIAL;
    return exponent == 0x7FFF || !(r.mantissa >> 63) ? SPECIAL : VALID;
}

uint16_t x87_full_tags(const struct cpu *cpu)
{
    unsigned tags = 0;
    for (unsigned i = 0; i < 8; i++)
        tags |= (cpu->x87.tags >> i & 1 ? full_tag(cpu->x87.r[i]) : 3) << (2 * i);
    return (uint16_t)tags;
}

void x87_load_full_tags(struct cpu *cpu, uint16_t tags)
{
    cpu->x87.tags = 0;
    for (unsigned i = 0; i < 8; i++)
        cpu->x87.tags |= (uint8_t)(((tags >> (2 * i) & 3) != 3) << i);
}
