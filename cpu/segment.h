/*
 * Segments: descriptors, loads of segment registers, and the far transfers between code segments (SDM vol. 3A, chapters
 * 3, 5, 6).
 *
 * Functions that return bool return false with cpu->fault filled and, but for accessed bits of descriptors, nothing
 * changed. Those that succeed in changing CS, CPL or RFLAGS have called cpu_update_mode().
 */
#ifndef CPU_SEGMENT_H
#define CPU_SEGMENT_H

#include "cpu/mem.h"

#define SELECTOR_RPL(s)  ((s) & 3u)
#define SELECTOR_TI      4u
#define SELECTOR_NULL(s) (((s) & 0xFFFCu) == 0)

/* Types of system descriptors (SDM vol. 3A, table 3-2). */
enum system_type {
    TYPE_TSS16 = 1,
    TYPE_LDT = 2,
    TYPE_TSS16_BUSY = 3,
    TYPE_CALL_GATE16 = 4,
    TYPE_TASK_GATE = 5,
    TYPE_INTERRUPT_GATE16 = 6,
    TYPE_TRAP_GATE16 = 7,
    TYPE_TSS = 9,
    TYPE_TSS_BUSY = 11,
    TYPE_CALL_GATE = 12,
    TYPE_INTERRUPT_GATE = 14,
    TYPE_TRAP_GATE = 15,
};

/* A descriptor as it stands in the GDT or LDT. */
struct descriptor {
    uint64_t raw;
    uint64_t address; /* linear, of its first byte */
    uint64_t base;
    uint32_t limit;      /* in bytes */
    uint32_t attributes; /* as in struct segment */
};

enum descriptor_status {
    DESCRIPTOR_OK,
    DESCRIPTOR_OUTSIDE, /* null, or beyond the limit of its table */
    DESCRIPTOR_FAULT,   /* cpu->fault says why */
};

/* Reads the descriptor a selector names. */
enum descriptor_status descriptor_fetch(struct cpu *cpu, uint16_t selector, struct descriptor *out);
/* The same, with null and outside as a fault: vector with the selector (RPL cleared) | ext as error code. */
bool descriptor_read(struct cpu *cpu, uint16_t selector, enum vector vector, unsigned ext, struct descriptor *out);
/* The upper half of a 16-byte system descriptor of IA-32e mode; outside the table: vector(selector | ext). */
bool descriptor_read_high(struct cpu *cpu, uint16_t selector, const struct descriptor *low, enum vector vector,
                          unsigned ext, uint64_t *high);
/* Splits the bits of a descriptor. */
void descriptor_parse(uint64_t raw, struct descriptor *out);
/* Sets the accessed bit in memory if it is clear yet, and in *descriptor. */
bool descriptor_set_accessed(struct cpu *cpu, struct descriptor *descriptor);

static inline bool descriptor_is_code(const struct descriptor *d)
{
    return (d->attributes & SEG_S) && (d->attributes & SEG_TYPE_CODE);
}
static inline bool descriptor_is_conforming(const struct descriptor *d)
{
    return descriptor_is_code(d) && (d->attributes & SEG_TYPE_CONFORMING);
}
static inline bool descriptor_is_writable_data(const struct descriptor *d)
{
    return (d->attributes & (SEG_S | SEG_TYPE_CODE | SEG_TYPE_WRITABLE)) == (SEG_S | SEG_TYPE_WRITABLE);
}

/*
 * Access bits for system structures. At CPL 0 to 2 an ordinary access is the same and finds the TLB, but where SMAP is
 * overridden or breakpoints look at data.
 */
static inline unsigned access_system(const struct cpu *cpu)
{
    bool plain = cpu->cpl < 3 && !((cpu->cr4 & CR4_SMAP) && (cpu->rflags & FLAG_AC)) && !(cpu->mode & MODE_STEP);
    return plain ? 0 : ACCESS_SYSTEM;
}

/* The segment register that a load of this descriptor gives. */
struct segment segment_of(uint16_t selector, const struct descriptor *d);
/* What a null selector loads. */
struct segment segment_null(uint16_t selector);
/* What a selector loads in virtual-8086 mode. */
struct segment segment_vm86(uint16_t selector);
/* What a selector loads into a register in real mode: limit and size stay ("unreal" mode). */
struct segment segment_real(const struct segment *old, uint16_t selector);

/*
 * What MOV, POP and LDS.. load into ES, SS, DS, FS or GS, with every check of the current mode; sets the accessed bit.
 * *out is for the caller to assign with segment_assign().
 */
bool segment_load(struct cpu *cpu, unsigned seg, uint16_t selector, struct segment *out);
/* Assigns a data segment register and derives what follows from it. */
void segment_assign(struct cpu *cpu, unsigned seg, const struct segment *value);
/* Checks a stack segment for a privilege level; errors are `vector` (selector | ext), not present: #SS. Reads only. */
bool segment_check_ss(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector vector, unsigned ext,
                      struct descriptor *out);

/* Whether bytes at offset lie inside the limit (outside 64-bit mode). */
bool segment_spans(const struct segment *seg, uint64_t offset, unsigned bytes);
/* Whether an address is canonical under the current paging mode. */
bool address_canonical(const struct cpu *cpu, uint64_t linear);
/* True in 64-bit mode. */
static inline bool cpu_in_64bit(const struct cpu *cpu)
{
    return (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
}

/*
 * A stack that something is pushed on: the current one, or that of an inner level. stack_probe_frame() checks and
 * translates everything; stack_push_frame() writes, moves `sp`, and comes last of all that can fault: between the two,
 * a store of the same instruction (an accessed bit) may have changed the translation.
 */
struct stack {
    struct segment ss;
    uint64_t sp;
    bool flat;       /* 64-bit: no segment, no limit */
    uint32_t error;  /* error code of #SS */
    unsigned access; /* ACCESS_STACK, and whose rights */
};
struct stack stack_current(const struct cpu *cpu);
struct stack stack_inner(const struct segment *ss, uint64_t sp, bool flat, uint32_t error, unsigned cpl);
/* values are in order of pushing, up to STACK_FRAME_MAX; width in bytes: 2, 4 or 8. */
#define STACK_FRAME_MAX 36
bool stack_probe_frame(struct cpu *cpu, const struct stack *stack, unsigned count, unsigned width);
bool stack_push_frame(struct cpu *cpu, struct stack *stack, const uint64_t *values, unsigned count, unsigned width);
/* What RSP becomes: only SP changes on a 16-bit stack. */
uint64_t stack_pointer(const struct stack *stack);

/* Reads SS:rSP of an inner level from the current TSS, 16-, 32-bit or 64-bit (selector 0 then). Errors: #TS(TR | ext).
 */
bool tss_inner_stack(struct cpu *cpu, unsigned cpl, unsigned ext, uint16_t *ss, uint64_t *sp);

/* --- far transfers (far.c). operand_bytes: 2, 4, 8. next_rip: of the instruction behind. --- */
bool far_jump(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned operand_bytes, uint64_t next_rip);
bool far_call(struct cpu *cpu, uint16_t selector, uint64_t offset, unsigned operand_bytes, uint64_t next_rip);
bool far_return(struct cpu *cpu, unsigned operand_bytes, unsigned release_bytes);
bool far_iret(struct cpu *cpu, unsigned operand_bytes, uint64_t next_rip);

/* --- task switch (task.c; SDM vol. 3A, 7.3) --- */
enum task_cause { TASK_JUMP, TASK_CALL, TASK_INTERRUPT, TASK_IRET };
/*
 * Switches to the task whose TSS the selector names; its descriptor is known to be a present TSS of the right kind.
 * next_rip is saved as the old task's EIP. False: a fault; FAULT_OF_NEW_TASK(fault) tells whether the switch had
 * happened already, so that it belongs to the new task, whose RIP then stands in gpr[GPR_RIP].
 */
bool task_switch(struct cpu *cpu, uint16_t selector, const struct descriptor *tss, enum task_cause cause, unsigned ext,
                 uint64_t next_rip);
#define FAULT_OF_NEW_TASK(fault) ((fault).reserved[1])

#endif
