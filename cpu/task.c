/*
 * Task switches through 16-bit and 32-bit TSSs (SDM vol. 3A, chapter 7).
 *
 * The switch has two halves. What is checked before the registers change is a fault of the old task; segment registers
 * are checked when the new task already runs, so their faults are its own (FAULT_OF_NEW_TASK).
 */
#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/segment.h"

/* Where things stand in a TSS; each element has `width` bytes, selectors too (their upper half is reserved). */
struct layout {
    unsigned bytes, width;
    unsigned cr3; /* 0: none */
    unsigned ip, flags, registers, selectors, selector_count, ldt, trap;
};
static const struct layout layout16 = { .bytes = 44,
                                        .width = 2,
                                        .ip = 0x0E,
                                        .flags = 0x10,
                                        .registers = 0x12,
                                        .selectors = 0x22,
                                        .selector_count = 4,
                                        .ldt = 0x2A };
static const struct layout layout32 = { .bytes = 104,
                                        .width = 4,
                                        .cr3 = 0x1C,
                                        .ip = 0x20,
                                        .flags = 0x24,
                                        .registers = 0x28,
                                        .selectors = 0x48,
                                        .selector_count = 6,
                                        .ldt = 0x60,
                                        .trap = 0x64 };

static const struct layout *layout_of(uint32_t attributes)
{
    return (SEG_TYPE(attributes) & 8) ? &layout32 : &layout16;
}

/* The selectors stand in the order ES, CS, SS, DS, FS, GS, which is that of enum segment_name. */
struct image {
    uint64_t cr3, ip, flags, registers[8];
    uint16_t selectors[6], ldt;
    bool trap;
};

static uint64_t field_at(const uint8_t *bytes, const struct layout *layout, unsigned at)
{
    return host_read((uintptr_t)&bytes[at], layout->width * 8);
}

static bool read_image(struct cpu *cpu, uint64_t base, const struct layout *layout, struct image *image)
{
    uint8_t bytes[104];
    if (!mem_read(cpu, base, layout->bytes, ACCESS_READ | ACCESS_SYSTEM, bytes))
        return false;
    *image =
        (struct image){ .ip = field_at(bytes, layout, layout->ip), .flags = field_at(bytes, layout, layout->flags) };
    for (unsigned i = 0; i < 8; i++)
        image->registers[i] = field_at(bytes, layout, layout->registers + i * layout->width);
    for (unsigned i = 0; i < layout->selector_count; i++)
        image->selectors[i] = (uint16_t)field_at(bytes, layout, layout->selectors + i * layout->width);
    image->ldt = (uint16_t)field_at(bytes, layout, layout->ldt);
    if (layout->cr3) {
        image->cr3 = field_at(bytes, layout, layout->cr3);
        image->trap = bytes[layout->trap] & 1;
    }
    return true;
}

/* Saves the running task in its TSS. */
static bool save_old(struct cpu *cpu, const struct layout *layout, uint64_t flags, uint64_t next_rip)
{
    uint8_t bytes[0x60];
    unsigned w = layout->width, end = layout->selectors + layout->selector_count * w;
    bool good =
        mem_read(cpu, cpu->tr.base + layout->ip, end - layout->ip, ACCESS_READ | ACCESS_SYSTEM, bytes + layout->ip);
    host_write((uintptr_t)&bytes[layout->ip], w * 8, next_rip);
    host_write((uintptr_t)&bytes[layout->flags], w * 8, flags);
    for (unsigned i = 0; i < 8; i++)
        host_write((uintptr_t)&bytes[layout->registers + i * w], w * 8, cpu->gpr[i]);
    for (unsigned i = 0; i < layout->selector_count; i++)
        host_write((uintptr_t)&bytes[layout->selectors + i * w], 16, cpu->segment[i].selector);
    return good && mem_write(cpu, cpu->tr.base + layout->ip, end - layout->ip, ACCESS_WRITE | ACCESS_SYSTEM,
                             bytes + layout->ip);
}

/* Sets or clears the busy bit of a TSS descriptor in the GDT. */
static bool set_busy(struct cpu *cpu, uint64_t descriptor, bool busy)
{
    uint64_t type;
    return mem_read_uint(cpu, descriptor + 5, 1, ACCESS_READ | ACCESS_SYSTEM, &type) &&
           mem_write_uint(cpu, descriptor + 5, 1, ACCESS_WRITE | ACCESS_SYSTEM, busy ? type | 2 : type & ~2ull);
}

static uint64_t old_descriptor(const struct cpu *cpu)
{
    return (cpu->gdtr.base + (cpu->tr.selector & 0xFFF8u)) & 0xFFFFFFFF;
}

/* Translates everything the first half writes. */
static bool probe_writes(struct cpu *cpu, const struct descriptor *tss, const struct layout *old, enum task_cause cause)
{
    const unsigned access = ACCESS_READ | ACCESS_WRITE | ACCESS_SYSTEM;
    unsigned end = old->selectors + old->selector_count * old->width;
    if (!mem_probe(cpu, cpu->tr.base + old->ip, end - old->ip, access))
        return false;
    if ((cause == TASK_JUMP || cause == TASK_IRET) && !mem_probe(cpu, old_descriptor(cpu) + 5, 1, access))
        return false;
    if ((cause == TASK_CALL || cause == TASK_INTERRUPT) && !mem_probe(cpu, tss->base, 2, access))
        return false;
    return cause == TASK_IRET || mem_probe(cpu, tss->address + 5, 1, access);
}

static bool raise_ts(struct cpu *cpu, enum vector vector, uint16_t selector, unsigned ext)
{
    return fault_raise(cpu, vector, true, (selector & 0xFFFCu) | ext);
}

static bool load_ldt(struct cpu *cpu, uint16_t selector, unsigned ext)
{
    struct descriptor d;
    cpu->ldtr = segment_null(selector);
    if (SELECTOR_NULL(selector))
        return true;
    if (selector & SELECTOR_TI)
        return raise_ts(cpu, VEC_TS, selector, ext);
    if (!descriptor_read(cpu, selector, VEC_TS, ext, &d))
        return false;
    if ((d.attributes & 31) != TYPE_LDT || !(d.attributes & SEG_P))
        return raise_ts(cpu, VEC_TS, selector, ext);
    cpu->ldtr = segment_of(selector, &d);
    return true;
}

static bool load_code(struct cpu *cpu, uint16_t selector, unsigned ext)
{
    struct descriptor d;
    unsigned rpl = SELECTOR_RPL(selector);
    if (!descriptor_read(cpu, selector, VEC_TS, ext, &d))
        return false;
    unsigned dpl = SEG_DPL(d.attributes);
    if (!descriptor_is_code(&d) || (descriptor_is_conforming(&d) ? dpl > rpl : dpl != rpl))
        return raise_ts(cpu, VEC_TS, selector, ext);
    if (!(d.attributes & SEG_P))
        return raise_ts(cpu, VEC_NP, selector, ext);
    if (!descriptor_set_accessed(cpu, &d))
        return false;
    cpu->segment[CS] = segment_of(selector, &d);
    return true;
}

static bool load_data(struct cpu *cpu, unsigned seg, uint16_t selector, unsigned ext)
{
    struct segment value;
    if (segment_load(cpu, seg, selector, &value)) {
        cpu->segment[seg] = value;
        return true;
    }
    /* the same checks as a MOV, reported as an invalid TSS */
    if (cpu->fault.vector == VEC_GP) {
        cpu->fault.vector = VEC_TS;
        cpu->fault.error = selector & 0xFFFCu;
    }
    if (cpu->fault.vector != VEC_PF)
        cpu->fault.error |= ext;
    return false;
}

/* The second half: the new task's segment registers. */
static bool load_segments(struct cpu *cpu, const struct image *image, unsigned ext)
{
    static const uint8_t data[] = { SS, ES, DS, FS, GS };
    if (cpu->rflags & FLAG_VM) {
        for (unsigned seg = ES; seg <= GS; seg++)
            cpu->segment[seg] = segment_vm86(image->selectors[seg]);
        cpu->cpl = 3;
        return load_ldt(cpu, image->ldt, ext);
    }
    cpu->cpl = SELECTOR_RPL(image->selectors[CS]);
    for (unsigned seg = ES; seg <= GS; seg++)
        cpu->segment[seg] = segment_null(image->selectors[seg]);
    if (!load_ldt(cpu, image->ldt, ext) || !load_code(cpu, image->selectors[CS], ext))
        return false;
    for (unsigned i = 0; i < sizeof data; i++)
        if (!load_data(cpu, data[i], image->selectors[data[i]], ext))
            return false;
    if (cpu_rip(cpu) > cpu->segment[CS].limit)
        return fault_raise(cpu, VEC_GP, true, ext);
    return true;
}

static bool load_new(struct cpu *cpu, const struct layout *layout, const struct image *image, unsigned ext)
{
    bool good = true;
    for (unsigned i = 0; i < 8; i++)
        cpu->gpr[i] = layout->width == 4 ? image->registers[i] : (cpu->gpr[i] & 0xFFFF0000) | image->registers[i];
    cpu->gpr[GPR_RIP] = image->ip;
    cpu->rflags = (image->flags & 0x3F7FD5) | FLAGS_FIXED;
    flags_set_status(cpu, cpu->rflags);
    cpu->dr7 &= ~0x155ull; /* the local enables */
    if (layout->cr3 && (cpu->cr0 & CR0_PG)) {
        if (cpu->cr4 & CR4_PAE)
            good = mmu_load_pdptes(cpu, image->cr3);
        if (good)
            cpu->cr3 = image->cr3;
    }
    cpu_update_mode(cpu);
    good = good && load_segments(cpu, image, ext);
    if (image->trap)
        cpu->pending_db |= PENDING_DB_TASK;
    cpu_update_mode(cpu);
    if (!good)
        cpu->fault.reserved[1] = 1; /* FAULT_OF_NEW_TASK */
    return good;
}

bool task_switch(struct cpu *cpu, uint16_t selector, const struct descriptor *tss, enum task_cause cause, unsigned ext,
                 uint64_t next_rip)
{
    const struct layout *layout = layout_of(tss->attributes), *old = layout_of(cpu->tr.attributes);
    struct image image;
    uint64_t flags = flags_read(cpu);
    bool nests = cause == TASK_CALL || cause == TASK_INTERRUPT;

    if (tss->limit < layout->bytes - 1 || cpu->tr.limit < old->bytes - 1)
        return raise_ts(cpu, VEC_TS, selector, ext);
    if (!read_image(cpu, tss->base, layout, &image) || !probe_writes(cpu, tss, old, cause))
        return false;

    /* probed, so these fail only if one of them takes the translation of another away */
    if (!save_old(cpu, old, cause == TASK_IRET ? flags & ~(uint64_t)FLAG_NT : flags, next_rip) ||
        (!nests && !set_busy(cpu, old_descriptor(cpu), false)) ||
        (cause != TASK_IRET && !set_busy(cpu, tss->address, true)) ||
        (nests && !mem_write_uint(cpu, tss->base, 2, ACCESS_WRITE | ACCESS_SYSTEM, cpu->tr.selector)))
        return false;
    if (nests)
        image.flags |= FLAG_NT;
    cpu->tr = segment_of(selector, tss);
    cpu->tr.attributes |= 2; /* busy */
    cpu->cr0 |= CR0_TS;
    return load_new(cpu, layout, &image, ext);
}
