/*
 * Far transfers and interrupts: JMP, CALL, RET, IRET, INT n, SYSCALL, SYSENTER and their returns (SDM vol. 2).
 *
 * All of these are `branch` rows: they end their block, so cpu->cycle is already that of the boundary behind them.
 */
#include "cpu/debug.h"
#include "cpu/handler.h"
#include "cpu/segment.h"

/* RIP behind the instruction, as it is pushed. */
static uint64_t next_rip(const struct cpu *cpu, const struct op *op)
{
    uint64_t rip = cpu->gpr[GPR_RIP] + INSN_END;
    return cpu_in_64bit(cpu) ? rip : rip & 0xFFFFFFFF;
}

/* Ends a far transfer. A fault in the middle of a task switch belongs to the new task, at whose RIP it is delivered. */
static const struct op *far_end(struct cpu *cpu, const struct op *op, bool good)
{
    if (good)
        return engine_leave(cpu);
    struct fault fault = cpu->fault;
    if (!FAULT_OF_NEW_TASK(fault))
        return engine_fault(cpu, op, fault);
    fault.reserved[1] = 0;
    exception_deliver(cpu, fault, false);
    return engine_leave(cpu);
}

/* Reads the far pointer of the memory operand: an offset of the operand size, then the selector. */
static bool read_far_pointer(struct cpu *cpu, const struct op *op, uint16_t *selector, uint64_t *offset)
{
    unsigned bytes = OP_WIDTH(op) / 8;
    uint8_t pointer[10];
    uint64_t linear = 0;
    if (!(OPERAND(flags) & OP_SEGMENTED))
        linear = LINEAR_FLAT;
    else if (!segment_linear(cpu, op, bytes + 2, ACCESS_READ, &linear))
        return false;
    unsigned access = OPERAND(seg) == SS ? ACCESS_READ | ACCESS_STACK : ACCESS_READ;
    if (!mem_read(cpu, linear, bytes + 2, access, pointer))
        return false;
    *offset = host_read((uintptr_t)pointer, bytes * 8);
    *selector = (uint16_t)host_read((uintptr_t)&pointer[bytes], 16);
    return true;
}

HANDLER(jmp_far)
{
    return far_end(
        cpu, op,
        far_jump(cpu, (uint16_t)(OPERAND(imm) >> 32), (uint32_t)OPERAND(imm), OP_WIDTH(op) / 8, next_rip(cpu, op)));
}

HANDLER(call_far)
{
    return far_end(
        cpu, op,
        far_call(cpu, (uint16_t)(OPERAND(imm) >> 32), (uint32_t)OPERAND(imm), OP_WIDTH(op) / 8, next_rip(cpu, op)));
}

HANDLER(jmp_far_mem)
{
    uint16_t selector;
    uint64_t offset;
    if (!read_far_pointer(cpu, op, &selector, &offset))
        FAULT_PENDING;
    return far_end(cpu, op, far_jump(cpu, selector, offset, OP_WIDTH(op) / 8, next_rip(cpu, op)));
}

HANDLER(call_far_mem)
{
    uint16_t selector;
    uint64_t offset;
    if (!read_far_pointer(cpu, op, &selector, &offset))
        FAULT_PENDING;
    return far_end(cpu, op, far_call(cpu, selector, offset, OP_WIDTH(op) / 8, next_rip(cpu, op)));
}

HANDLER(ret_far)
{
    return far_end(cpu, op, far_return(cpu, OP_WIDTH(op) / 8, (OPERAND(flags) & OP_IMM) ? OPERAND(imm) & 0xFFFF : 0));
}

HANDLER(iret)
{
    return far_end(cpu, op, far_iret(cpu, OP_WIDTH(op) / 8, next_rip(cpu, op)));
}

/* --- software interrupts ---------------------------------------------------------------------------------------- */

static struct fault software_interrupt(const struct op *op, unsigned vector)
{
    struct fault fault = { .vector = (uint8_t)vector };
    fault.reserved[0] =
        OPERAND(at_length) & 15; /* for a fault of its delivery, which is one of the instruction itself */
    return fault;
}

HANDLER(int3)
{
    return engine_trap(cpu, op, software_interrupt(op, VEC_BP));
}

HANDLER(int1)
{
    struct fault fault = software_interrupt(op, VEC_DB);
    fault.error = FAULT_ICEBP;
    return engine_trap(cpu, op, fault);
}

HANDLER(int_n)
{
    /* without CR4.VME, INT n in virtual-8086 mode needs IOPL 3 */
    if (unlikely(cpu->rflags & FLAG_VM) && (cpu->rflags & FLAG_IOPL) != FLAG_IOPL)
        FAULT_CODE(VEC_GP, 0);
    return engine_trap(cpu, op, software_interrupt(op, OPERAND(imm) & 0xFF));
}

HANDLER(into)
{
    if (flag_of(cpu))
        return engine_trap(cpu, op, software_interrupt(op, VEC_OF));
    cpu->gpr[GPR_RIP] = next_rip(cpu, op);
    LEAVE;
}

/* --- fast system calls ------------------------------------------------------------------------------------------ */

/* The flat segments that these instructions load without looking at the tables. */
static struct segment flat_code(uint16_t selector, unsigned dpl, bool wide)
{
    return (struct segment){
        .limit = 0xFFFFFFFF,
        .attributes = SEG_G | (wide ? SEG_L : SEG_DB) | SEG_P | dpl << 5 | SEG_S | SEG_TYPE_CODE | SEG_TYPE_READABLE |
                      SEG_TYPE_ACCESSED,
        .selector = selector,
    };
}
static struct segment flat_data(uint16_t selector, unsigned dpl)
{
    return (struct segment){
        .limit = 0xFFFFFFFF,
        .attributes = SEG_G | SEG_DB | SEG_P | dpl << 5 | SEG_S | SEG_TYPE_WRITABLE | SEG_TYPE_ACCESSED,
        .selector = selector,
    };
}

static void enter_flat(struct cpu *cpu, struct segment code, struct segment stack, unsigned cpl, uint64_t rip)
{
    cpu->segment[CS] = code;
    cpu->segment[SS] = stack;
    cpu->cpl = (uint8_t)cpl;
    cpu->gpr[GPR_RIP] = rip;
    cpu_update_mode(cpu);
}

HANDLER(syscall)
{
    uint16_t selector = (uint16_t)(cpu->msr.star >> 32) & 0xFFFC;
    if (!(cpu->efer & EFER_SCE))
        FAULT(VEC_UD);
    uint64_t rflags = flags_read(cpu);
    cpu->gpr[RCX] = next_rip(cpu, op);
    cpu->gpr[R11] = rflags & ~(uint64_t)FLAG_RF;
    uint64_t masked = (rflags & ~cpu->msr.sfmask & ~(uint64_t)FLAG_RF) | FLAGS_FIXED;
    if (unlikely(rflags & ~masked & FLAG_TF))
        cpu->pending_db |= PENDING_DB_NO_STEP;
    cpu->rflags = masked;
    flags_set_status(cpu, masked);
    enter_flat(cpu, flat_code(selector, 0, true), flat_data((uint16_t)(selector + 8), 0), 0, cpu->msr.lstar);
    LEAVE;
}

HANDLER(sysret)
{
    bool wide = OP_WIDTH(op) == 64;
    uint16_t base = (uint16_t)(cpu->msr.star >> 48);
    if (!(cpu->efer & EFER_SCE))
        FAULT(VEC_UD);
    if (wide && !address_canonical(cpu, cpu->gpr[RCX]))
        FAULT_CODE(VEC_GP, 0);
    uint64_t rflags = (cpu->gpr[R11] & 0x3C7FD7) | FLAGS_FIXED;
    cpu->rflags = rflags;
    flags_set_status(cpu, rflags);
    enter_flat(cpu, flat_code((uint16_t)(base + (wide ? 16 : 0)) | 3, 3, wide), flat_data((uint16_t)(base + 8) | 3, 3),
               3, wide ? cpu->gpr[RCX] : cpu->gpr[RCX] & 0xFFFFFFFF);
    LEAVE;
}

HANDLER(sysenter)
{
    uint16_t selector = cpu->msr.sysenter_cs & 0xFFFC;
    bool wide = cpu->efer & EFER_LMA;
    if (!(cpu->cr0 & CR0_PE) || !selector)
        FAULT_CODE(VEC_GP, 0);
    cpu->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
    cpu->gpr[RSP] = wide ? cpu->msr.sysenter_esp : cpu->msr.sysenter_esp & 0xFFFFFFFF;
    enter_flat(cpu, flat_code(selector, 0, wide), flat_data((uint16_t)(selector + 8), 0), 0,
               wide ? cpu->msr.sysenter_eip : cpu->msr.sysenter_eip & 0xFFFFFFFF);
    LEAVE;
}

HANDLER(sysexit)
{
    uint16_t selector = cpu->msr.sysenter_cs & 0xFFFC;
    bool wide = OP_WIDTH(op) == 64;
    uint64_t rip = cpu->gpr[RDX], rsp = cpu->gpr[RCX];
    if (!(cpu->cr0 & CR0_PE) || !selector)
        FAULT_CODE(VEC_GP, 0);
    if (wide && (!address_canonical(cpu, rip) || !address_canonical(cpu, rsp)))
        FAULT_CODE(VEC_GP, 0);
    uint16_t code = (uint16_t)(selector + (wide ? 32 : 16)) | 3;
    cpu->gpr[RSP] = wide ? rsp : rsp & 0xFFFFFFFF;
    enter_flat(cpu, flat_code(code, 3, wide), flat_data((uint16_t)(code + 8), 3), 3, wide ? rip : rip & 0xFFFFFFFF);
    LEAVE;
}
