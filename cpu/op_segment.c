/*
 * Segment registers and descriptors: MOV, PUSH and POP of segment registers, LDS and kin, LAR, LSL, VERR, VERW, ARPL,
 * and the table registers LDTR, TR, GDTR, IDTR (SDM vol. 2).
 *
 * In rows with two operands the selector is one word wherever it stands.
 */
#include "cpu/handler.h"
#include "cpu/segment.h"

/* Reads the 16-bit register or memory operand; `reg` is OPERAND(dst) or OPERAND(src). */
#define LOAD_WORD(var, reg)                                                                                            \
    do {                                                                                                               \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear_, 2, ACCESS_READ);                                                                           \
            LOAD(16, var, linear_);                                                                                    \
        } else {                                                                                                       \
            (var) = REG(16, (reg));                                                                                    \
        }                                                                                                              \
    } while (0)

/* Writes a selector-like value to the first operand: a word in memory, the operand size in a register. */
#define STORE_WORD(value)                                                                                              \
    do {                                                                                                               \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            LINEAR(linear_, 2, ACCESS_WRITE);                                                                          \
            STORE(16, linear_, (value));                                                                               \
        } else {                                                                                                       \
            SET_REG(OP_WIDTH(op), OPERAND(dst), (value));                                                              \
        }                                                                                                              \
    } while (0)

static bool umip_forbids(const struct cpu *cpu)
{
    return (cpu->cr4 & CR4_UMIP) && cpu->cpl != 0;
}

/* --- MOV, PUSH, POP --------------------------------------------------------------------------------------------- */

HANDLER(mov_from_sreg)
{
    if (OPERAND(src) >= SEG_FLAT)
        FAULT(VEC_UD);
    STORE_WORD(cpu->segment[OPERAND(src)].selector);
    NEXT;
}

/* Loads a segment register; SS holds back interrupts and traps for one instruction. */
static bool load_sreg(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct segment value;
    if (!segment_load(cpu, seg, selector, &value))
        return false;
    segment_assign(cpu, seg, &value);
    return true;
}

HANDLER(mov_to_sreg)
{
    uint64_t selector;
    if (OPERAND(dst) >= SEG_FLAT || OPERAND(dst) == CS)
        FAULT(VEC_UD);
    LOAD_WORD(selector, OPERAND(src));
    if (!load_sreg(cpu, OPERAND(dst), (uint16_t)selector))
        FAULT_PENDING;
    if (OPERAND(dst) == SS)
        cpu->shadow |= SHADOW_MOV_SS;
    NEXT;
}

HANDLER(push_sreg)
{
    unsigned bytes = OP_WIDTH(op) / 8;
    if (!stack_write(cpu, -(int64_t)bytes, bytes, cpu->segment[OPERAND(dst)].selector))
        FAULT_PENDING;
    stack_set(cpu, stack_moved(cpu, -(int64_t)bytes));
    NEXT;
}

HANDLER(pop_sreg)
{
    uint64_t selector;
    unsigned bytes = OP_WIDTH(op) / 8;
    if (!stack_read(cpu, 0, bytes, &selector))
        FAULT_PENDING;
    uint64_t rsp = stack_moved(cpu, bytes); /* by the width of the old SS */
    if (!load_sreg(cpu, OPERAND(dst), (uint16_t)selector))
        FAULT_PENDING;
    cpu->gpr[RSP] = rsp;
    if (OPERAND(dst) == SS)
        cpu->shadow |= SHADOW_MOV_SS;
    NEXT;
}

/* LDS, LES, LFS, LGS, LSS */
static const struct op *load_far_pointer(struct cpu *cpu, const struct op *op, unsigned seg)
{
    unsigned bytes = OP_WIDTH(op) / 8;
    uint8_t pointer[10];
    LINEAR(linear, bytes + 2, ACCESS_READ);
    if (!mem_read(cpu, linear, bytes + 2, OPERAND(seg) == SS ? ACCESS_STACK : 0, pointer) ||
        !load_sreg(cpu, seg, (uint16_t)host_read((uintptr_t)&pointer[bytes], 16)))
        FAULT_PENDING;
    SET_REG(bytes * 8, OPERAND(dst), host_read((uintptr_t)pointer, bytes * 8));
    return op;
}
#define LOAD_FAR(name, seg)                                                                                            \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        op = load_far_pointer(cpu, op, (seg));                                                                         \
        if (!op)                                                                                                       \
            return NULL;                                                                                               \
        NEXT;                                                                                                          \
    }
LOAD_FAR(lds, DS)
LOAD_FAR(les, ES)
LOAD_FAR(lss, SS)
LOAD_FAR(lfs, FS)
LOAD_FAR(lgs, GS)

/* --- looking at descriptors ------------------------------------------------------------------------------------- */

static void set_zf(struct cpu *cpu, bool zf)
{
    uint32_t status = flags_status(cpu) & ~FLAG_ZF;
    flags_set_status(cpu, status | (zf ? FLAG_ZF : 0));
}

/* Whether the descriptor is visible at max(CPL, RPL); conforming code always is. */
static bool is_visible(const struct cpu *cpu, uint16_t selector, const struct descriptor *d)
{
    unsigned dpl = SEG_DPL(d->attributes);
    return descriptor_is_conforming(d) || (dpl >= cpu->cpl && dpl >= SELECTOR_RPL(selector));
}

#define TYPES(a) (1u << (a))
/* System types that LAR and LSL know (SDM vol. 2A, tables 3-53 and 3-55). */
static bool lar_knows(const struct cpu *cpu, unsigned type)
{
    unsigned both = TYPES(TYPE_LDT) | TYPES(TYPE_TSS) | TYPES(TYPE_TSS_BUSY) | TYPES(TYPE_CALL_GATE);
    unsigned legacy = TYPES(TYPE_TSS16) | TYPES(TYPE_TSS16_BUSY) | TYPES(TYPE_CALL_GATE16) | TYPES(TYPE_TASK_GATE);
    return (((cpu->efer & EFER_LMA) ? both : both | legacy) >> type) & 1;
}
static bool lsl_knows(const struct cpu *cpu, unsigned type)
{
    unsigned both = TYPES(TYPE_LDT) | TYPES(TYPE_TSS) | TYPES(TYPE_TSS_BUSY);
    unsigned legacy = TYPES(TYPE_TSS16) | TYPES(TYPE_TSS16_BUSY);
    return (((cpu->efer & EFER_LMA) ? both : both | legacy) >> type) & 1;
}

HANDLER(lar)
{
    struct descriptor d;
    uint64_t selector;
    LOAD_WORD(selector, OPERAND(src));
    enum descriptor_status status = descriptor_fetch(cpu, (uint16_t)selector, &d);
    if (status == DESCRIPTOR_FAULT)
        FAULT_PENDING;
    bool good = status == DESCRIPTOR_OK && ((d.attributes & SEG_S) || lar_knows(cpu, SEG_TYPE(d.attributes))) &&
                is_visible(cpu, (uint16_t)selector, &d);
    if (good)
        SET_REG(OP_WIDTH(op), OPERAND(dst), (d.raw >> 32) & 0x00F0FF00);
    set_zf(cpu, good);
    NEXT;
}

HANDLER(lsl)
{
    struct descriptor d;
    uint64_t selector;
    LOAD_WORD(selector, OPERAND(src));
    enum descriptor_status status = descriptor_fetch(cpu, (uint16_t)selector, &d);
    if (status == DESCRIPTOR_FAULT)
        FAULT_PENDING;
    bool good = status == DESCRIPTOR_OK && ((d.attributes & SEG_S) || lsl_knows(cpu, SEG_TYPE(d.attributes))) &&
                is_visible(cpu, (uint16_t)selector, &d);
    if (good)
        SET_REG(OP_WIDTH(op), OPERAND(dst), d.limit);
    set_zf(cpu, good);
    NEXT;
}

HANDLER(verr)
{
    struct descriptor d = { 0 };
    uint64_t selector;
    LOAD_WORD(selector, OPERAND(dst));
    enum descriptor_status status = descriptor_fetch(cpu, (uint16_t)selector, &d);
    if (status == DESCRIPTOR_FAULT)
        FAULT_PENDING;
    bool readable = !(d.attributes & SEG_TYPE_CODE) || (d.attributes & SEG_TYPE_READABLE);
    set_zf(cpu,
           status == DESCRIPTOR_OK && (d.attributes & SEG_S) && readable && is_visible(cpu, (uint16_t)selector, &d));
    NEXT;
}

HANDLER(verw)
{
    struct descriptor d;
    uint64_t selector;
    LOAD_WORD(selector, OPERAND(dst));
    enum descriptor_status status = descriptor_fetch(cpu, (uint16_t)selector, &d);
    if (status == DESCRIPTOR_FAULT)
        FAULT_PENDING;
    set_zf(cpu, status == DESCRIPTOR_OK && descriptor_is_writable_data(&d) && is_visible(cpu, (uint16_t)selector, &d));
    NEXT;
}

HANDLER(arpl)
{
    uint64_t rpl = REG(16, OPERAND(src)) & 3, value;
    if (OPERAND(flags) & OP_MEM) {
        LINEAR(linear, 2, ACCESS_READ | ACCESS_WRITE);
        LOAD_RMW(16, value, linear);
        if ((value & 3) < rpl)
            STORE(16, linear, (value & ~3ull) | rpl);
    } else {
        value = REG(16, OPERAND(dst));
        if ((value & 3) < rpl)
            SET_REG(16, OPERAND(dst), (value & ~3ull) | rpl);
    }
    set_zf(cpu, (value & 3) < rpl);
    NEXT;
}

/* --- LDTR and TR ------------------------------------------------------------------------------------------------ */

HANDLER(sldt)
{
    if (umip_forbids(cpu))
        FAULT_CODE(VEC_GP, 0);
    STORE_WORD(cpu->ldtr.selector);
    NEXT;
}

HANDLER(str)
{
    if (umip_forbids(cpu))
        FAULT_CODE(VEC_GP, 0);
    STORE_WORD(cpu->tr.selector);
    NEXT;
}

/* Reads an LDT or TSS descriptor from the GDT, 16 bytes of it in IA-32e mode. */
static bool read_system(struct cpu *cpu, uint16_t selector, unsigned types, struct descriptor *d)
{
    uint32_t error = selector & 0xFFFCu;
    if (selector & SELECTOR_TI)
        return fault_raise(cpu, VEC_GP, true, error);
    if (!descriptor_read(cpu, selector, VEC_GP, 0, d))
        return false;
    if ((d->attributes & SEG_S) || !((types >> SEG_TYPE(d->attributes)) & 1))
        return fault_raise(cpu, VEC_GP, true, error);
    if (!(d->attributes & SEG_P))
        return fault_raise(cpu, VEC_NP, true, error);
    if (cpu->efer & EFER_LMA) {
        uint64_t high;
        if (!descriptor_read_high(cpu, selector, d, VEC_GP, 0, &high))
            return false;
        d->base |= high << 32;
        if (((high >> 40) & 31) || !address_canonical(cpu, d->base))
            return fault_raise(cpu, VEC_GP, true, error);
    }
    return true;
}

HANDLER(lldt)
{
    struct descriptor d;
    uint64_t selector;
    LOAD_WORD(selector, OPERAND(dst));
    if (SELECTOR_NULL(selector)) {
        cpu->ldtr = segment_null((uint16_t)selector);
        NEXT;
    }
    if (!read_system(cpu, (uint16_t)selector, TYPES(TYPE_LDT), &d))
        FAULT_PENDING;
    cpu->ldtr = segment_of((uint16_t)selector, &d);
    NEXT;
}

HANDLER(ltr)
{
    struct descriptor d;
    uint64_t selector;
    unsigned types = (cpu->efer & EFER_LMA) ? TYPES(TYPE_TSS) : TYPES(TYPE_TSS) | TYPES(TYPE_TSS16);
    LOAD_WORD(selector, OPERAND(dst));
    if (SELECTOR_NULL(selector))
        FAULT_CODE(VEC_GP, 0);
    if (!read_system(cpu, (uint16_t)selector, types, &d))
        FAULT_PENDING;
    d.attributes |= 2; /* busy */
    if (!mem_write_uint(cpu, d.address + 5, 1, ACCESS_WRITE | ACCESS_SYSTEM, d.attributes & 0xFF))
        FAULT_PENDING;
    cpu->tr = segment_of((uint16_t)selector, &d);
    NEXT;
}

/* --- GDTR and IDTR ---------------------------------------------------------------------------------------------- */

/* Limit and base of the pseudo-descriptor: 2 + 8 bytes in 64-bit mode, else 2 + 4. */
static const struct op *store_table(struct cpu *cpu, const struct op *op, const struct table_register *table)
{
    uint8_t bytes[10];
    unsigned base_bytes = cpu_in_64bit(cpu) ? 8 : 4;
    if (umip_forbids(cpu))
        FAULT_CODE(VEC_GP, 0);
    host_write((uintptr_t)bytes, 16, table->limit);
    host_write((uintptr_t)&bytes[2], 64, table->base);
    LINEAR(linear, 2 + base_bytes, ACCESS_WRITE);
    if (!mem_write(cpu, linear, 2 + base_bytes, ACCESS_WRITE | (OPERAND(seg) == SS ? ACCESS_STACK : 0), bytes))
        FAULT_PENDING;
    return op;
}

static const struct op *load_table(struct cpu *cpu, const struct op *op, struct table_register *table)
{
    uint8_t bytes[10] = { 0 };
    unsigned base_bytes = cpu_in_64bit(cpu) ? 8 : 4;
    LINEAR(linear, 2 + base_bytes, ACCESS_READ);
    if (!mem_read(cpu, linear, 2 + base_bytes, ACCESS_READ | (OPERAND(seg) == SS ? ACCESS_STACK : 0), bytes))
        FAULT_PENDING;
    uint64_t base = host_read((uintptr_t)&bytes[2], base_bytes * 8);
    if (base_bytes == 8 && !address_canonical(cpu, base))
        FAULT_CODE(VEC_GP, 0);
    if (base_bytes == 4 && OP_WIDTH(op) == 16)
        base &= 0xFFFFFF;
    table->limit = (uint16_t)host_read((uintptr_t)bytes, 16);
    table->base = base;
    return op;
}

#define TABLE_HANDLER(name, function, table)                                                                           \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        op = function(cpu, op, &cpu->table);                                                                           \
        if (!op)                                                                                                       \
            return NULL;                                                                                               \
        NEXT;                                                                                                          \
    }
TABLE_HANDLER(sgdt, store_table, gdtr)
TABLE_HANDLER(sidt, store_table, idtr)
TABLE_HANDLER(lgdt, load_table, gdtr)
TABLE_HANDLER(lidt, load_table, idtr)
