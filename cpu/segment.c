/*
 * Descriptors, segment register loads and stacks (SDM vol. 3A, chapters 3 and 5).
 *
 * Checks stand in the order of the manual's pseudocode, because the order decides which of several faults the guest
 * sees.
 */
#include "cpu/segment.h"

bool address_canonical(const struct cpu *cpu, uint64_t linear)
{
    unsigned unused = (cpu->cr4 & CR4_LA57) ? 64 - 57 : 64 - 48;
    return (uint64_t)((int64_t)(linear << unused) >> unused) == linear;
}

bool segment_spans(const struct segment *seg, uint64_t offset, unsigned bytes)
{
    uint64_t last = offset + bytes - 1;
    if ((seg->attributes & (SEG_TYPE_CODE | SEG_TYPE_EXPAND_DOWN)) == SEG_TYPE_EXPAND_DOWN) {
        uint64_t top = (seg->attributes & SEG_DB) ? 0xFFFFFFFFu : 0xFFFFu;
        return offset > seg->limit && last >= offset && last <= top;
    }
    return last >= offset && last <= seg->limit;
}

/* --- descriptors ------------------------------------------------------------------------------------------------ */

void descriptor_parse(uint64_t raw, struct descriptor *out)
{
    out->raw = raw;
    out->base = ((raw >> 16) & 0xFFFFFF) | ((raw >> 32) & 0xFF000000);
    out->attributes = (uint32_t)(raw >> 40) & 0xF0FF;
    out->limit = (uint32_t)((raw & 0xFFFF) | ((raw >> 32) & 0xF0000));
    if (out->attributes & SEG_G)
        out->limit = out->limit << 12 | 0xFFF;
}

enum descriptor_status descriptor_fetch(struct cpu *cpu, uint16_t selector, struct descriptor *out)
{
    uint64_t base = cpu->gdtr.base;
    uint32_t limit = cpu->gdtr.limit;
    if (SELECTOR_NULL(selector))
        return DESCRIPTOR_OUTSIDE;
    if (selector & SELECTOR_TI) {
        if (cpu->ldtr.attributes & SEG_UNUSABLE)
            return DESCRIPTOR_OUTSIDE;
        base = cpu->ldtr.base;
        limit = cpu->ldtr.limit;
    }
    uint32_t at = selector & 0xFFF8u;
    if (at + 7 > limit)
        return DESCRIPTOR_OUTSIDE;
    uint64_t raw, address = base + at;
    if (!(cpu->efer & EFER_LMA))
        address &= 0xFFFFFFFF;
    if (!mem_read_uint(cpu, address, 8, ACCESS_READ | access_system(cpu), &raw))
        return DESCRIPTOR_FAULT;
    descriptor_parse(raw, out);
    out->address = address;
    return DESCRIPTOR_OK;
}

bool descriptor_read(struct cpu *cpu, uint16_t selector, enum vector vector, unsigned ext, struct descriptor *out)
{
    enum descriptor_status status = descriptor_fetch(cpu, selector, out);
    if (status == DESCRIPTOR_OUTSIDE)
        return fault_raise(cpu, vector, true, (selector & 0xFFFCu) | ext);
    return status == DESCRIPTOR_OK;
}

bool descriptor_read_high(struct cpu *cpu, uint16_t selector, const struct descriptor *low, enum vector vector,
                          unsigned ext, uint64_t *high)
{
    uint32_t limit = (selector & SELECTOR_TI) ? cpu->ldtr.limit : cpu->gdtr.limit;
    if ((selector & 0xFFF8u) + 15 > limit)
        return fault_raise(cpu, vector, true, (selector & 0xFFFCu) | ext);
    return mem_read_uint(cpu, low->address + 8, 8, ACCESS_READ | access_system(cpu), high);
}

bool descriptor_set_accessed(struct cpu *cpu, struct descriptor *d)
{
    if (d->attributes & SEG_TYPE_ACCESSED)
        return true;
    d->attributes |= SEG_TYPE_ACCESSED;
    return mem_write_uint(cpu, d->address + 5, 1, ACCESS_WRITE | ACCESS_SYSTEM, d->attributes & 0xFF);
}

/* --- segment registers ------------------------------------------------------------------------------------------ */

struct segment segment_of(uint16_t selector, const struct descriptor *d)
{
    return (struct segment){ .base = d->base, .limit = d->limit, .attributes = d->attributes, .selector = selector };
}

struct segment segment_null(uint16_t selector)
{
    return (struct segment){ .attributes = SEG_UNUSABLE, .selector = selector };
}

struct segment segment_vm86(uint16_t selector)
{
    return (struct segment){
        .base = (uint64_t)selector << 4,
        .limit = 0xFFFF,
        .attributes = SEG_P | 3u << 5 | SEG_S | SEG_TYPE_WRITABLE | SEG_TYPE_ACCESSED,
        .selector = selector,
    };
}

struct segment segment_real(const struct segment *old, uint16_t selector)
{
    struct segment seg = *old;
    seg.base = (uint64_t)selector << 4;
    seg.selector = selector;
    seg.attributes =
        (old->attributes & (SEG_DB | SEG_G | SEG_AVL)) | SEG_P | SEG_S | SEG_TYPE_WRITABLE | SEG_TYPE_ACCESSED;
    return seg;
}

bool segment_check_ss(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector vector, unsigned ext,
                      struct descriptor *out)
{
    uint32_t error = (selector & 0xFFFCu) | ext;
    if (!descriptor_read(cpu, selector, vector, ext, out))
        return false;
    if (SELECTOR_RPL(selector) != cpl || !descriptor_is_writable_data(out) || SEG_DPL(out->attributes) != cpl)
        return fault_raise(cpu, vector, true, error);
    if (!(out->attributes & SEG_P))
        return fault_raise(cpu, VEC_SS, true, error);
    return true;
}

static bool load_ss(struct cpu *cpu, uint16_t selector, struct segment *out)
{
    struct descriptor d;
    if (SELECTOR_NULL(selector)) {
        if (!cpu_in_64bit(cpu) || cpu->cpl == 3 || SELECTOR_RPL(selector) != cpu->cpl)
            return fault_raise(cpu, VEC_GP, true, 0);
        *out = segment_null(selector);
        out->attributes |= (uint32_t)cpu->cpl << 5;
        return true;
    }
    if (!segment_check_ss(cpu, selector, cpu->cpl, VEC_GP, 0, &d) || !descriptor_set_accessed(cpu, &d))
        return false;
    *out = segment_of(selector, &d);
    return true;
}

static bool load_data(struct cpu *cpu, uint16_t selector, struct segment *out)
{
    struct descriptor d;
    if (SELECTOR_NULL(selector)) {
        *out = segment_null(selector);
        return true;
    }
    if (!descriptor_read(cpu, selector, VEC_GP, 0, &d))
        return false;
    unsigned dpl = SEG_DPL(d.attributes);
    bool readable = (d.attributes & SEG_S) && (!(d.attributes & SEG_TYPE_CODE) || (d.attributes & SEG_TYPE_READABLE));
    if (!readable || (!descriptor_is_conforming(&d) && (SELECTOR_RPL(selector) > dpl || cpu->cpl > dpl)))
        return fault_raise(cpu, VEC_GP, true, selector & 0xFFFCu);
    if (!(d.attributes & SEG_P))
        return fault_raise(cpu, VEC_NP, true, selector & 0xFFFCu);
    if (!descriptor_set_accessed(cpu, &d))
        return false;
    *out = segment_of(selector, &d);
    return true;
}

bool segment_load(struct cpu *cpu, unsigned seg, uint16_t selector, struct segment *out)
{
    if (!(cpu->cr0 & CR0_PE)) {
        *out = segment_real(&cpu->segment[seg], selector);
        return true;
    }
    if (cpu->rflags & FLAG_VM) {
        *out = segment_vm86(selector);
        return true;
    }
    return seg == SS ? load_ss(cpu, selector, out) : load_data(cpu, selector, out);
}

void segment_assign(struct cpu *cpu, unsigned seg, const struct segment *value)
{
    cpu->segment[seg] = *value;
    cpu_update_mode(cpu);
}

/* --- stacks ----------------------------------------------------------------------------------------------------- */

struct stack stack_current(const struct cpu *cpu)
{
    return (struct stack){
        .ss = cpu->segment[SS],
        .sp = cpu->gpr[RSP],
        .flat = cpu_in_64bit(cpu),
        .access = ACCESS_STACK,
    };
}

struct stack stack_inner(const struct segment *ss, uint64_t sp, bool flat, uint32_t error, unsigned cpl)
{
    return (struct stack){
        .ss = *ss,
        .sp = sp,
        .flat = flat,
        .error = error,
        .access = ACCESS_STACK | (cpl == 3 ? ACCESS_AS_USER : ACCESS_SYSTEM),
    };
}

static uint64_t stack_mask(const struct stack *stack)
{
    return stack->flat ? UINT64_MAX : (stack->ss.attributes & SEG_DB) ? 0xFFFFFFFFu : 0xFFFFu;
}

uint64_t stack_pointer(const struct stack *stack)
{
    uint64_t mask = stack_mask(stack);
    return mask == 0xFFFFFFFF ? stack->sp & mask : stack->sp;
}

static uint64_t stack_linear(const struct stack *stack, uint64_t offset)
{
    return stack->flat ? offset : (stack->ss.base + offset) & 0xFFFFFFFF;
}

/* Whether the frame is one run of linear addresses. Under alignment checks each value is an access of its own. */
static bool frame_is_whole(const struct cpu *cpu, const struct stack *stack, unsigned bytes)
{
    uint64_t mask = stack_mask(stack), low = (stack->sp - bytes) & mask, top = (stack->sp - 1) & mask;
    if (cpu->cpl == 3 && (cpu->rflags & FLAG_AC))
        return false;
    return stack->flat || (low < top && stack_linear(stack, low) < stack_linear(stack, top));
}

/* Linear address of the value that is pushed as number i, from 1. */
static uint64_t value_linear(const struct stack *stack, unsigned i, unsigned width)
{
    return stack_linear(stack, (stack->sp - (uint64_t)i * width) & stack_mask(stack));
}

static bool stack_fault(struct cpu *cpu, const struct stack *stack)
{
    if (cpu->fault.vector == VEC_SS)
        cpu->fault.error = stack->error;
    return false;
}

bool stack_probe_frame(struct cpu *cpu, const struct stack *stack, unsigned count, unsigned width)
{
    unsigned access = stack->access | ACCESS_WRITE;
    if (!stack->flat)
        for (unsigned i = 1; i <= count; i++)
            if (!segment_spans(&stack->ss, (stack->sp - (uint64_t)i * width) & stack_mask(stack), width))
                return fault_raise(cpu, VEC_SS, true, stack->error);
    bool good = true;
    if (frame_is_whole(cpu, stack, count * width))
        good = mem_probe(cpu, value_linear(stack, count, width), count * width, access);
    else
        for (unsigned i = 1; i <= count && good; i++)
            good = mem_probe(cpu, value_linear(stack, i, width), width, access);
    return good || stack_fault(cpu, stack);
}

bool stack_push_frame(struct cpu *cpu, struct stack *stack, const uint64_t *values, unsigned count, unsigned width)
{
    uint8_t bytes[STACK_FRAME_MAX * 8];
    unsigned access = stack->access | ACCESS_WRITE;
    bool good = true;
    if (frame_is_whole(cpu, stack, count * width)) {
        for (unsigned i = 0; i < count; i++)
            host_write((uintptr_t)&bytes[(count - 1 - i) * width], width * 8, values[i]);
        good = mem_write(cpu, value_linear(stack, count, width), count * width, access, bytes);
    } else {
        for (unsigned i = 0; i < count && good; i++)
            good = mem_write_uint(cpu, value_linear(stack, i + 1, width), width, access, values[i]);
    }
    if (!good)
        return stack_fault(cpu, stack);
    uint64_t mask = stack_mask(stack);
    stack->sp = (stack->sp & ~mask) | ((stack->sp - (uint64_t)count * width) & mask);
    return true;
}

bool tss_inner_stack(struct cpu *cpu, unsigned cpl, unsigned ext, uint16_t *ss, uint64_t *sp)
{
    uint32_t error = (cpu->tr.selector & 0xFFFCu) | ext;
    bool wide = SEG_TYPE(cpu->tr.attributes) & 8, long_mode = cpu->efer & EFER_LMA;
    unsigned at = long_mode ? 4 + cpl * 8 : wide ? 4 + cpl * 8 : 2 + cpl * 4;
    unsigned bytes = long_mode ? 8 : wide ? 4 : 2;
    uint64_t selector = 0;
    if (at + bytes + (long_mode ? 0 : 2) - 1 > cpu->tr.limit || (cpu->tr.attributes & SEG_UNUSABLE))
        return fault_raise(cpu, VEC_TS, true, error);
    if (!mem_read_uint(cpu, cpu->tr.base + at, bytes, ACCESS_READ | access_system(cpu), sp))
        return false;
    if (!long_mode && !mem_read_uint(cpu, cpu->tr.base + at + bytes, 2, ACCESS_READ | access_system(cpu), &selector))
        return false;
    *ss = (uint16_t)selector;
    return true;
}
