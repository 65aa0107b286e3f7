/*
 * IN, OUT, INS, OUTS (SDM vol. 1, chapter 19; vol. 2).
 *
 * A port may be any device: time is exact when it is reached, and the block ends behind it. In protected mode above
 * IOPL, and always in virtual-8086 mode, the permission bitmap of a 32-bit or 64-bit TSS decides.
 */
#include "cpu/debug.h"
#include "cpu/handler.h"
#include "cpu/segment.h"

/* False: #GP(0), or a fault of reading the bitmap. */
static bool port_allowed(struct cpu *cpu, uint16_t port, unsigned bytes)
{
    const struct segment *tr = &cpu->tr;
    uint64_t map, bits;
    if (!(cpu->cr0 & CR0_PE) || (!(cpu->rflags & FLAG_VM) && cpu->cpl <= (cpu->rflags & FLAG_IOPL) >> 12))
        return true;
    if ((tr->attributes & SEG_UNUSABLE) || !(SEG_TYPE(tr->attributes) & 8) || tr->limit < 103)
        return fault_raise(cpu, VEC_GP, true, 0);
    if (!mem_read_uint(cpu, tr->base + 102, 2, ACCESS_READ | ACCESS_SYSTEM, &map))
        return false;
    /* two bytes are read always: the bits of a wide port may reach into the second */
    uint64_t at = map + port / 8;
    if (at + 1 > tr->limit)
        return fault_raise(cpu, VEC_GP, true, 0);
    if (!mem_read_uint(cpu, tr->base + at, 2, ACCESS_READ | ACCESS_SYSTEM, &bits))
        return false;
    if ((bits >> (port & 7)) & ((1u << bytes) - 1))
        return fault_raise(cpu, VEC_GP, true, 0);
    return true;
}

static uint64_t port_read(struct cpu *cpu, const struct op *op, uint16_t port, unsigned bytes)
{
    if (unlikely(cpu->mode & MODE_STEP))
        debug_match_port(cpu, port, bytes);
    engine_sync(cpu, op);
    return bus_port_read(&cpu->board->bus, port, bytes);
}

static void port_write(struct cpu *cpu, const struct op *op, uint16_t port, unsigned bytes, uint64_t value)
{
    if (unlikely(cpu->mode & MODE_STEP))
        debug_match_port(cpu, port, bytes);
    engine_sync(cpu, op);
    bus_port_write(&cpu->board->bus, port, bytes, value);
}

/* Operand size of ports: REX.W changes nothing. */
static unsigned port_bytes(const struct op *op)
{
    unsigned w = OP_WIDTH(op);
    return w == 64 ? 4 : w / 8;
}

static uint16_t port_of(const struct cpu *cpu, const struct op *op)
{
    return (OPERAND(flags) & OP_IMM) ? OPERAND(imm) & 0xFF : (uint16_t)cpu->gpr[RDX];
}

HANDLER(in)
{
    unsigned bytes = port_bytes(op);
    uint16_t port = port_of(cpu, op);
    if (!port_allowed(cpu, port, bytes))
        FAULT_PENDING;
    SET_REG(bytes * 8, RAX * 8, port_read(cpu, op, port, bytes));
    NEXT;
}

HANDLER(out)
{
    unsigned bytes = port_bytes(op);
    uint16_t port = port_of(cpu, op);
    if (!port_allowed(cpu, port, bytes))
        FAULT_PENDING;
    port_write(cpu, op, port, bytes, REG(bytes * 8, RAX * 8));
    NEXT;
}

/* --- strings: one iteration an entry, each of them a boundary --------------------------------------------------- */

static bool count_is_zero(const struct cpu *cpu, const struct op *op)
{
    return (OPERAND(flags) & (OP_REP | OP_REPNE)) && (cpu->gpr[RCX] & width_mask(OP_ADDRESS(op))) == 0;
}

/* Moves the index register and counts; true if another iteration follows, with RIP at the same instruction. */
static bool step_string(struct cpu *cpu, const struct op *op, unsigned index, unsigned bytes)
{
    unsigned w = OP_ADDRESS(op);
    uint64_t delta = (cpu->rflags & FLAG_DF) ? -(uint64_t)bytes : bytes;
    SET_REG(w, index * 8, cpu->gpr[index] + delta);
    if (!(OPERAND(flags) & (OP_REP | OP_REPNE)))
        return false;
    SET_REG(w, RCX * 8, cpu->gpr[RCX] - 1);
    if ((cpu->gpr[RCX] & width_mask(w)) == 0)
        return false;
    cpu->gpr[GPR_RIP] += INSN_AT;
    if (cpu->mode & MODE_STEP) /* a breakpoint on the instruction hits before its first iteration only */
        cpu->rflags |= FLAG_RF;
    return true;
}

HANDLER(ins)
{
    unsigned bytes = port_bytes(op);
    uint16_t port = (uint16_t)cpu->gpr[RDX];
    uint64_t linear;
    if (!port_allowed(cpu, port, bytes)) /* before the count is looked at */
        FAULT_PENDING;
    if (count_is_zero(cpu, op))
        NEXT;
    if (!segment_address(cpu, ES, cpu->gpr[RDI] & width_mask(OP_ADDRESS(op)), bytes, ACCESS_WRITE, &linear) ||
        !mem_probe(cpu, linear, bytes, ACCESS_WRITE))
        FAULT_PENDING;
    uint64_t value = port_read(cpu, op, port, bytes);
    if (!mem_write_uint(cpu, linear, bytes, ACCESS_WRITE, value))
        FAULT_PENDING;
    if (step_string(cpu, op, RDI, bytes)) {
        cpu->rflags |= FLAG_RF; /* see op_string.c */
        LEAVE;
    }
    NEXT;
}

HANDLER(outs)
{
    unsigned bytes = port_bytes(op);
    uint16_t port = (uint16_t)cpu->gpr[RDX];
    uint64_t linear, value;
    if (!port_allowed(cpu, port, bytes))
        FAULT_PENDING;
    if (count_is_zero(cpu, op))
        NEXT;
    if (!segment_address(cpu, OPERAND(seg), cpu->gpr[RSI] & width_mask(OP_ADDRESS(op)), bytes, ACCESS_READ, &linear) ||
        !mem_read_uint(cpu, linear, bytes, ACCESS_READ, &value))
        FAULT_PENDING;
    port_write(cpu, op, port, bytes, value);
    if (step_string(cpu, op, RSI, bytes)) {
        cpu->rflags |= FLAG_RF;
        LEAVE;
    }
    NEXT;
}
