/*
 * Far transfers: JMP, CALL and RET between code segments, through call gates and to tasks, and IRET (SDM vol. 2, the
 * pseudocode of each; vol. 3A, 5.8).
 *
 * Everything is read and checked first; the commit at the end of each function cannot fault.
 */
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/segment.h"

static uint64_t truncate_offset(uint64_t offset, unsigned operand_bytes)
{
    return operand_bytes >= 8 ? offset : offset & (UINT64_MAX >> (64 - 8 * operand_bytes));
}

static bool raise_selector(struct cpu *cpu, enum vector vector, uint16_t selector)
{
    return fault_raise(cpu, vector, true, selector & 0xFFFCu);
}

static bool in_real_or_vm86(const struct cpu *cpu)
{
    return !(cpu->cr0 & CR0_PE) || (cpu->rflags & FLAG_VM);
}

static bool in_long_mode(const struct cpu *cpu)
{
    return cpu->efer & EFER_LMA;
}

/* Whether a code segment may hold this RIP: canonical in 64-bit code, inside the limit elsewhere. */
static bool check_target(struct cpu *cpu, const struct descriptor *cs, uint64_t rip)
{
    bool good = in_long_mode(cpu) && (cs->attributes & SEG_L) ? address_canonical(cpu, rip) : rip <= cs->limit;
    return good || fault_raise(cpu, VEC_GP, true, 0);
}

/* L and D together are reserved in IA-32e mode. */
static bool has_reserved_size(const struct cpu *cpu, const struct descriptor *cs)
{
    return in_long_mode(cpu) && (cs->attributes & (SEG_L | SEG_DB)) == (SEG_L | SEG_DB);
}

static void set_cs(struct cpu *cpu, uint16_t selector, const struct descriptor *cs, unsigned cpl, uint64_t rip)
{
    cpu->segment[CS] = segment_of((uint16_t)((selector & 0xFFFCu) | cpl), cs);
    cpu->cpl = (uint8_t)cpl;
    cpu->gpr[GPR_RIP] = rip;
}

/* CS as real and virtual-8086 mode load it. */
static struct segment real_code(const struct cpu *cpu, uint16_t selector)
{
    return (cpu->rflags & FLAG_VM) ? segment_vm86(selector) : segment_real(&cpu->segment[CS], selector);
}

static bool real_target(struct cpu *cpu, uint16_t selector, uint64_t offset)
{
    struct segment cs = real_code(cpu, selector);
    if (offset > cs.limit)
        return fault_raise(cpu, VEC_GP, true, 0);
    cpu->segment[CS] = cs;
    cpu->gpr[GPR_RIP] = offset;
    return true;
}

/* The target of a direct far JMP or CALL: CPL does not change. */
static bool check_direct(struct cpu *cpu, uint16_t selector, const struct descriptor *cs, uint64_t offset)
{
    unsigned dpl = SEG_DPL(cs->attributes);
    bool allowed =
        descriptor_is_conforming(cs) ? dpl <= cpu->cpl : dpl == cpu->cpl && SELECTOR_RPL(selector) <= cpu->cpl;
    if (!descriptor_is_code(cs) || has_reserved_size(cpu, cs) || !allowed)
        return raise_selector(cpu, VEC_GP, selector);
    if (!(cs->attributes & SEG_P))
        return raise_selector(cpu, VEC_NP, selector);
    return check_target(cpu, cs, offset);
}

/* --- gates ------------------------------------------------------------------------------------------------------ */

struct call_gate {
    uint16_t selector; /* of the code */
    uint64_t offset;
    unsigned width;      /* of what is pushed, bytes */
    unsigned parameters; /* to copy, in units of width */
    struct descriptor cs;
};

/* DPL and presence of a gate or TSS reached by JMP or CALL. */
static bool check_gate(struct cpu *cpu, uint16_t selector, const struct descriptor *gate)
{
    unsigned dpl = SEG_DPL(gate->attributes);
    if (dpl < cpu->cpl || dpl < SELECTOR_RPL(selector))
        return raise_selector(cpu, VEC_GP, selector);
    if (!(gate->attributes & SEG_P))
        return raise_selector(cpu, VEC_NP, selector);
    return true;
}

static bool read_call_gate(struct cpu *cpu, uint16_t selector, const struct descriptor *gate, struct call_gate *out)
{
    bool wide = SEG_TYPE(gate->attributes) == TYPE_CALL_GATE;
    uint64_t high = 0;
    if (!check_gate(cpu, selector, gate))
        return false;
    if (in_long_mode(cpu)) {
        if (!descriptor_read_high(cpu, selector, gate, VEC_GP, 0, &high))
            return false;
        if ((high >> 40) & 31) /* the type field of the upper half must be 0 */
            return raise_selector(cpu, VEC_GP, selector);
    }
    out->selector = (uint16_t)(gate->raw >> 16);
    out->offset = (gate->raw & 0xFFFF) | (wide ? (gate->raw >> 32) & 0xFFFF0000 : 0) | high << 32;
    out->width = in_long_mode(cpu) ? 8 : wide ? 4 : 2;
    out->parameters = in_long_mode(cpu) ? 0 : (gate->raw >> 32) & 31;
    if (SELECTOR_NULL(out->selector))
        return fault_raise(cpu, VEC_GP, true, 0);
    if (!descriptor_read(cpu, out->selector, VEC_GP, 0, &out->cs))
        return false;
    bool long_code = (out->cs.attributes & (SEG_L | SEG_DB)) == SEG_L;
    if (!descriptor_is_code(&out->cs) || SEG_DPL(out->cs.attributes) > cpu->cpl || (in_long_mode(cpu) && !long_code))
        return raise_selector(cpu, VEC_GP, out->selector);
    if (!(out->cs.attributes & SEG_P))
        return raise_selector(cpu, VEC_NP, out->selector);
    return true;
}

static bool jump_through_gate(struct cpu *cpu, uint16_t selector, const struct descriptor *descriptor)
{
    struct call_gate gate;
    if (!read_call_gate(cpu, selector, descriptor, &gate))
        return false;
    if (!descriptor_is_conforming(&gate.cs) && SEG_DPL(gate.cs.attributes) != cpu->cpl)
        return raise_selector(cpu, VEC_GP, gate.selector);
    if (!check_target(cpu, &gate.cs, gate.offset) || !descriptor_set_accessed(cpu, &gate.cs))
        return false;
    set_cs(cpu, gate.selector, &gate.cs, cpu->cpl, gate.offset);
    return true;
}

/* The new stack of a call to an inner level. */
static bool inner_stack(struct cpu *cpu, unsigned cpl, struct descriptor *ss, struct stack *stack)
{
    uint16_t selector;
    uint64_t sp;
    if (!tss_inner_stack(cpu, cpl, 0, &selector, &sp))
        return false;
    if (in_long_mode(cpu)) {
        struct segment null = segment_null((uint16_t)cpl);
        null.attributes |= cpl << 5;
        *stack = stack_inner(&null, sp, true, 0, cpl);
        return true;
    }
    if (SELECTOR_NULL(selector))
        return fault_raise(cpu, VEC_TS, true, 0);
    if (!segment_check_ss(cpu, selector, cpl, VEC_TS, 0, ss))
        return false;
    struct segment segment = segment_of(selector, ss);
    *stack = stack_inner(&segment, sp, false, selector & 0xFFFCu, cpl);
    return true;
}

static bool call_through_gate(struct cpu *cpu, uint16_t selector, const struct descriptor *descriptor,
                              uint64_t next_rip)
{
    struct call_gate gate;
    struct descriptor ss = { .attributes = SEG_TYPE_ACCESSED };
    uint64_t frame[4 + 31];
    unsigned count = 0, cpl = cpu->cpl;
    if (!read_call_gate(cpu, selector, descriptor, &gate))
        return false;
    struct stack stack = stack_current(cpu);
    stack.flat = in_long_mode(cpu);
    bool inner = !descriptor_is_conforming(&gate.cs) && SEG_DPL(gate.cs.attributes) < cpu->cpl;
    if (inner) {
        cpl = SEG_DPL(gate.cs.attributes);
        if (!inner_stack(cpu, cpl, &ss, &stack))
            return false;
        frame[count++] = cpu->segment[SS].selector;
        frame[count++] = cpu->gpr[RSP];
        for (unsigned i = gate.parameters; i-- > 0;)
            if (!stack_read(cpu, (int64_t)i * gate.width, gate.width, &frame[count++]))
                return false;
    }
    frame[count++] = cpu->segment[CS].selector;
    frame[count++] = next_rip;
    if (!stack_probe_frame(cpu, &stack, count, gate.width) || !check_target(cpu, &gate.cs, gate.offset))
        return false;
    if (!descriptor_set_accessed(cpu, &gate.cs) || !descriptor_set_accessed(cpu, &ss) ||
        !stack_push_frame(cpu, &stack, frame, count, gate.width))
        return false;

    if (inner) {
        cpu->segment[SS] = stack.ss;
        if (!stack.flat)
            cpu->segment[SS].attributes |= SEG_TYPE_ACCESSED;
    }
    cpu->gpr[RSP] = stack_pointer(&stack);
    set_cs(cpu, gate.selector, &gate.cs, cpl, gate.offset);
    return true;
}

static bool transfer_to_task(struct cpu *cpu, uint16_t selector, const struct descriptor *descriptor,
                             enum task_cause cause, uint64_t next_rip)
{
    struct descriptor tss = *descriptor;
    if (!check_gate(cpu, selector, descriptor))
        return false;
    if (SEG_TYPE(descriptor->attributes) == TYPE_TASK_GATE) {
        selector = (uint16_t)(descriptor->raw >> 16);
        if (selector & SELECTOR_TI)
            return raise_selector(cpu, VEC_GP, selector);
        if (!descriptor_read(cpu, selector, VEC_GP, 0, &tss))
            return false;
    }
    unsigned type = tss.attributes & 31;
    if ((type != TYPE_TSS && type != TYPE_TSS16) || (selector & SELECTOR_TI))
        return raise_selector(cpu, VEC_GP, selector);
    if (!(tss.attributes & SEG_P))
        return raise_selector(cpu, VEC_NP, selector);
    return task_switch(cpu, selector, &tss, cause, 0, next_rip);
}

/* What a far JMP or CALL does with a system descriptor. */
static bool transfer_to_system(struct cpu *cpu, uint16_t selector, const struct descriptor *d, bool call,
                               uint64_t next_rip)
{
    unsigned type = SEG_TYPE(d->attributes);
    bool long_mode = in_long_mode(cpu);
    if (type == TYPE_CALL_GATE || (type == TYPE_CALL_GATE16 && !long_mode))
        return call ? call_through_gate(cpu, selector, d, next_rip) : jump_through_gate(cpu, selector, d);
    if (!long_mode && (type == TYPE_TASK_GATE || type == TYPE_TSS || type == TYPE_TSS16))
        return transfer_to_task(cpu, selector, d, call ? TASK_CALL : TASK_JUMP, next_rip);
    return raise_selector(cpu, VEC_GP, selector);
}

/* --- JMP and CALL ----------------------------------------------------------------------------------------------- */

static bool jump(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned operand_bytes, uint64_t next_rip)
{
    struct descriptor cs;
    offset = truncate_offset(offset, operand_bytes);
    if (in_real_or_vm86(cpu))
        return real_target(cpu, selector, offset);
    if (SELECTOR_NULL(selector))
        return fault_raise(cpu, VEC_GP, true, 0);
    if (!descriptor_read(cpu, selector, VEC_GP, 0, &cs))
        return false;
    if (!(cs.attributes & SEG_S))
        return transfer_to_system(cpu, selector, &cs, false, next_rip);
    if (!check_direct(cpu, selector, &cs, offset) || !descriptor_set_accessed(cpu, &cs))
        return false;
    set_cs(cpu, selector, &cs, cpu->cpl, offset);
    return true;
}

static bool call(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned operand_bytes, uint64_t next_rip)
{
    struct descriptor cs;
    struct stack stack = stack_current(cpu);
    uint64_t frame[2] = { cpu->segment[CS].selector, next_rip };
    offset = truncate_offset(offset, operand_bytes);
    if (in_real_or_vm86(cpu)) {
        if (offset > real_code(cpu, selector).limit)
            return fault_raise(cpu, VEC_GP, true, 0);
        if (!stack_probe_frame(cpu, &stack, 2, operand_bytes) ||
            !stack_push_frame(cpu, &stack, frame, 2, operand_bytes))
            return false;
        real_target(cpu, selector, offset);
    } else {
        if (SELECTOR_NULL(selector))
            return fault_raise(cpu, VEC_GP, true, 0);
        if (!descriptor_read(cpu, selector, VEC_GP, 0, &cs))
            return false;
        if (!(cs.attributes & SEG_S))
            return transfer_to_system(cpu, selector, &cs, true, next_rip);
        if (!check_direct(cpu, selector, &cs, offset) || !stack_probe_frame(cpu, &stack, 2, operand_bytes) ||
            !descriptor_set_accessed(cpu, &cs) || !stack_push_frame(cpu, &stack, frame, 2, operand_bytes))
            return false;
        set_cs(cpu, selector, &cs, cpu->cpl, offset);
    }
    cpu->gpr[RSP] = stack_pointer(&stack);
    return true;
}

static bool finish(struct cpu *cpu, bool good)
{
    if (good)
        cpu_update_mode(cpu);
    return good;
}

bool far_jump(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned operand_bytes, uint64_t next_rip)
{
    return finish(cpu, jump(cpu, selector, offset, operand_bytes, next_rip));
}

bool far_call(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned operand_bytes, uint64_t next_rip)
{
    return finish(cpu, call(cpu, selector, offset, operand_bytes, next_rip));
}

/* --- RET and IRET ----------------------------------------------------------------------------------------------- */

/* Reads count values from offset (bytes above rSP), lowest first. */
static bool read_frame(struct cpu *cpu, unsigned offset, unsigned count, unsigned width, uint64_t *values)
{
    if (!cpu_in_64bit(cpu)) {
        for (unsigned i = 0; i < count; i++)
            if (!stack_read(cpu, (int64_t)offset + i * width, width, &values[i]))
                return false;
        return true;
    }
    uint8_t bytes[5 * 8];
    if (!mem_read(cpu, cpu->gpr[RSP] + offset, count * width, ACCESS_READ | ACCESS_STACK, bytes))
        return false;
    for (unsigned i = 0; i < count; i++)
        values[i] = host_read((uintptr_t)&bytes[i * width], width * 8);
    return true;
}

/* The code segment that RET or IRET returns to. */
static bool check_return_cs(struct cpu *cpu, uint16_t selector, struct descriptor *cs)
{
    unsigned rpl = SELECTOR_RPL(selector);
    if (SELECTOR_NULL(selector))
        return fault_raise(cpu, VEC_GP, true, 0);
    if (!descriptor_read(cpu, selector, VEC_GP, 0, cs))
        return false;
    unsigned dpl = SEG_DPL(cs->attributes);
    bool allowed = descriptor_is_conforming(cs) ? dpl <= rpl : dpl == rpl;
    if (!descriptor_is_code(cs) || rpl < cpu->cpl || !allowed || has_reserved_size(cpu, cs))
        return raise_selector(cpu, VEC_GP, selector);
    if (!(cs->attributes & SEG_P))
        return raise_selector(cpu, VEC_NP, selector);
    return true;
}

/* The stack segment that comes with it. */
static bool check_return_ss(struct cpu *cpu, uint16_t selector, unsigned cpl, const struct descriptor *cs,
                            struct descriptor *d, struct segment *ss)
{
    if (SELECTOR_NULL(selector)) {
        if (!in_long_mode(cpu) || !(cs->attributes & SEG_L) || cpl == 3 || SELECTOR_RPL(selector) != cpl)
            return fault_raise(cpu, VEC_GP, true, 0);
        *ss = segment_null(selector);
        ss->attributes |= cpl << 5;
        d->attributes = SEG_TYPE_ACCESSED;
        return true;
    }
    if (!segment_check_ss(cpu, selector, cpl, VEC_GP, 0, d))
        return false;
    *ss = segment_of(selector, d);
    ss->attributes |= SEG_TYPE_ACCESSED;
    return true;
}

/* Loads rSP of the returned-to stack; a 16-bit one takes SP only. */
static void set_return_sp(struct cpu *cpu, uint64_t sp)
{
    bool long_code = in_long_mode(cpu) && (cpu->segment[CS].attributes & SEG_L);
    if (long_code)
        cpu->gpr[RSP] = sp;
    else if (cpu->segment[SS].attributes & SEG_DB)
        cpu->gpr[RSP] = sp & 0xFFFFFFFF;
    else
        cpu->gpr[RSP] = (cpu->gpr[RSP] & 0xFFFF0000) | (sp & 0xFFFF);
}

/* On the way to an outer level, segments it may not use become null (SDM vol. 3A, 5.8.6). */
static void drop_inner_segments(struct cpu *cpu)
{
    static const uint8_t names[] = { ES, DS, FS, GS };
    for (unsigned i = 0; i < sizeof names; i++) {
        struct segment *seg = &cpu->segment[names[i]];
        bool conforming =
            (seg->attributes & (SEG_TYPE_CODE | SEG_TYPE_CONFORMING)) == (SEG_TYPE_CODE | SEG_TYPE_CONFORMING);
        if (!(seg->attributes & SEG_UNUSABLE) && !conforming && SEG_DPL(seg->attributes) < cpu->cpl)
            *seg = segment_null(0);
    }
}

static bool real_return(struct cpu *cpu, unsigned operand_bytes, unsigned release_bytes)
{
    uint64_t frame[2];
    if (!read_frame(cpu, 0, 2, operand_bytes, frame))
        return false;
    uint64_t rsp = stack_moved(cpu, 2 * (int64_t)operand_bytes + release_bytes);
    if (!real_target(cpu, (uint16_t)frame[1], frame[0]))
        return false;
    stack_set(cpu, rsp);
    return true;
}

static bool protected_return(struct cpu *cpu, unsigned operand_bytes, unsigned release_bytes)
{
    struct descriptor cs, d;
    struct segment ss;
    uint64_t frame[2], outer[2];
    if (!read_frame(cpu, 0, 2, operand_bytes, frame))
        return false;
    uint16_t selector = (uint16_t)frame[1];
    unsigned cpl = SELECTOR_RPL(selector);
    if (!check_return_cs(cpu, selector, &cs))
        return false;
    if (cpl == cpu->cpl) {
        uint64_t rsp = stack_moved(cpu, 2 * (int64_t)operand_bytes + release_bytes);
        if (!check_target(cpu, &cs, frame[0]) || !descriptor_set_accessed(cpu, &cs))
            return false;
        stack_set(cpu, rsp);
        set_cs(cpu, selector, &cs, cpl, frame[0]);
        return true;
    }
    if (!read_frame(cpu, 2 * operand_bytes + release_bytes, 2, operand_bytes, outer) ||
        !check_return_ss(cpu, (uint16_t)outer[1], cpl, &cs, &d, &ss) || !check_target(cpu, &cs, frame[0]) ||
        !descriptor_set_accessed(cpu, &cs) || !descriptor_set_accessed(cpu, &d))
        return false;
    set_cs(cpu, selector, &cs, cpl, frame[0]);
    cpu->segment[SS] = ss;
    set_return_sp(cpu, outer[0] + release_bytes);
    drop_inner_segments(cpu);
    return true;
}

bool far_return(struct cpu *cpu, unsigned operand_bytes, unsigned release_bytes)
{
    bool real = in_real_or_vm86(cpu);
    return finish(cpu, real ? real_return(cpu, operand_bytes, release_bytes)
                            : protected_return(cpu, operand_bytes, release_bytes));
}

#define IRET_ALWAYS (FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT)
#define IRET_WIDE   (FLAG_RF | FLAG_AC | FLAG_ID)

static void load_flags(struct cpu *cpu, uint64_t image, uint64_t mask)
{
    flags_set_status(cpu, image);
    cpu->rflags = (cpu->rflags & ~mask) | (image & mask);
}

static bool iret_real(struct cpu *cpu, unsigned operand_bytes)
{
    uint64_t frame[3];
    bool vm86 = cpu->rflags & FLAG_VM;
    if (vm86 && (cpu->rflags & FLAG_IOPL) != FLAG_IOPL)
        return fault_raise(cpu, VEC_GP, true, 0);
    cpu->nmi_blocked = 0;
    if (!read_frame(cpu, 0, 3, operand_bytes, frame))
        return false;
    uint64_t rsp = stack_moved(cpu, 3 * (int64_t)operand_bytes);
    if (!real_target(cpu, (uint16_t)frame[1], frame[0]))
        return false;
    stack_set(cpu, rsp);
    load_flags(cpu, frame[2], IRET_ALWAYS | FLAG_IF | (vm86 ? 0 : FLAG_IOPL) | (operand_bytes > 2 ? IRET_WIDE : 0));
    return true;
}

static bool iret_to_vm86(struct cpu *cpu, const uint64_t *frame)
{
    static const uint8_t names[] = { SS, ES, DS, FS, GS };
    uint64_t outer[6]; /* ESP, SS, ES, DS, FS, GS */
    if (!read_frame(cpu, 12, 6, 4, outer))
        return false;
    if (frame[0] > 0xFFFF)
        return fault_raise(cpu, VEC_GP, true, 0);
    load_flags(cpu, frame[2], IRET_ALWAYS | IRET_WIDE | FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_VIF | FLAG_VIP);
    cpu->segment[CS] = segment_vm86((uint16_t)frame[1]);
    for (unsigned i = 0; i < sizeof names; i++)
        cpu->segment[names[i]] = segment_vm86((uint16_t)outer[1 + i]);
    cpu->gpr[RSP] = outer[0];
    cpu->gpr[GPR_RIP] = frame[0];
    cpu->cpl = 3;
    return true;
}

static bool iret_from_task(struct cpu *cpu, uint64_t next_rip)
{
    uint64_t link;
    struct descriptor tss;
    if (!mem_read_uint(cpu, cpu->tr.base, 2, ACCESS_READ | access_system(cpu), &link))
        return false;
    uint16_t selector = (uint16_t)link;
    if (selector & SELECTOR_TI)
        return raise_selector(cpu, VEC_TS, selector);
    if (!descriptor_read(cpu, selector, VEC_TS, 0, &tss))
        return false;
    unsigned type = tss.attributes & 31;
    if (type != TYPE_TSS_BUSY && type != TYPE_TSS16_BUSY)
        return raise_selector(cpu, VEC_TS, selector);
    if (!(tss.attributes & SEG_P))
        return raise_selector(cpu, VEC_NP, selector);
    return task_switch(cpu, selector, &tss, TASK_IRET, 0, next_rip);
}

static bool iret_protected(struct cpu *cpu, unsigned operand_bytes)
{
    struct descriptor cs, d = { .attributes = SEG_TYPE_ACCESSED };
    struct segment ss;
    uint64_t frame[5];
    bool full = cpu_in_64bit(cpu); /* 64-bit mode: SS:RSP are always there */
    if (!read_frame(cpu, 0, full ? 5 : 3, operand_bytes, frame))
        return false;
    if ((frame[2] & FLAG_VM) && operand_bytes == 4 && cpu->cpl == 0 && !in_long_mode(cpu))
        return iret_to_vm86(cpu, frame);
    uint16_t selector = (uint16_t)frame[1];
    unsigned cpl = SELECTOR_RPL(selector), old_cpl = cpu->cpl;
    if (!check_return_cs(cpu, selector, &cs))
        return false;
    bool outer = cpl > old_cpl;
    if (outer && !full && !read_frame(cpu, 3 * operand_bytes, 2, operand_bytes, &frame[3]))
        return false;
    if ((outer || full) && !check_return_ss(cpu, (uint16_t)frame[4], cpl, &cs, &d, &ss))
        return false;
    if (!check_target(cpu, &cs, frame[0]) || !descriptor_set_accessed(cpu, &cs) || !descriptor_set_accessed(cpu, &d))
        return false;

    uint64_t mask = IRET_ALWAYS | (operand_bytes > 2 ? IRET_WIDE : 0);
    if (old_cpl <= (cpu->rflags & FLAG_IOPL) >> 12)
        mask |= FLAG_IF;
    if (old_cpl == 0)
        mask |= FLAG_IOPL | (operand_bytes > 2 ? FLAG_VIF | FLAG_VIP : 0);
    uint64_t rsp = stack_moved(cpu, 3 * (int64_t)operand_bytes);
    load_flags(cpu, frame[2], mask);
    set_cs(cpu, selector, &cs, cpl, frame[0]);
    if (outer || full) {
        cpu->segment[SS] = ss;
        set_return_sp(cpu, frame[3]);
    } else {
        stack_set(cpu, rsp);
    }
    if (outer)
        drop_inner_segments(cpu);
    return true;
}

static bool iret(struct cpu *cpu, unsigned operand_bytes, uint64_t next_rip)
{
    if (in_real_or_vm86(cpu))
        return iret_real(cpu, operand_bytes);
    cpu->nmi_blocked = 0; /* even if it faults (SDM vol. 3A, 6.7.1) */
    if (cpu->rflags & FLAG_NT) {
        if (in_long_mode(cpu))
            return fault_raise(cpu, VEC_GP, true, 0);
        return iret_from_task(cpu, next_rip);
    }
    return iret_protected(cpu, operand_bytes);
}

bool far_iret(struct cpu *cpu, unsigned operand_bytes, uint64_t next_rip)
{
    return finish(cpu, iret(cpu, operand_bytes, next_rip));
}
