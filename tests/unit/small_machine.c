/*
 * The small machine of lockstep's tests (small_machine.h).
 */
#include "tests/unit/small_machine.h"

#include "cpu/model.h"

#include <stdlib.h>
#include <string.h>

#define AT_PML4      0x1000u
#define AT_PDPT      0x2000u
#define AT_PD        0x3000u
#define AT_PD_LEGACY 0x4000u
#define AT_GDT       0x5000u
#define TABLE        7u    /* present, writable, user */
#define LARGE        0xE7u /* and accessed, dirty, a large page */
#define RAM_BYTES    (2u << 20)

void small_machine_put(struct system_vector *vector, uint64_t physical, const void *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = physical + i;
        const struct system_line *old = system_lines_find(&vector->before, at & ~15ull);
        uint8_t line[SYSTEM_LINE_BYTES] = { 0 };
        if (old)
            memcpy(line, old->bytes, sizeof(line));
        line[at & 15] = ((const uint8_t *)bytes)[i];
        if (system_lines_set(&vector->before, at & ~15ull, line))
            abort();
    }
}

static void put_word(struct system_vector *vector, uint64_t physical, uint64_t value)
{
    small_machine_put(vector, physical, &value, sizeof(value));
}

static void put_tables(struct system_vector *vector)
{
    put_word(vector, AT_PML4, AT_PDPT | TABLE);
    put_word(vector, AT_PDPT, AT_PD | TABLE);
    put_word(vector, AT_PD, LARGE);
    put_word(vector, AT_PD_LEGACY, LARGE);
    put_word(vector, AT_GDT + SMALL_CS, 0x00AF9B000000FFFF);
    put_word(vector, AT_GDT + SMALL_SS, 0x00CF93000000FFFF);
    put_word(vector, AT_GDT + SMALL_CS32, 0x00CF9B000000FFFF);
    put_word(vector, AT_GDT + (SMALL_USER_SS & ~7), 0x00CFF3000000FFFF);
    put_word(vector, AT_GDT + (SMALL_USER_CS & ~7), 0x00AFFB000000FFFF);
}

static struct segment flat(uint16_t selector, uint32_t type, uint32_t dpl, uint32_t size)
{
    return (struct segment){ .limit = 0xFFFFFFFF,
                             .attributes = SEG_P | SEG_S | dpl << 5 | type | SEG_G | size,
                             .selector = selector };
}

static void set_segments(struct cpu *cpu, enum small_mode mode)
{
    bool user = mode == SMALL_USER64 || mode == SMALL_USER32, wide = mode == SMALL_KERNEL64 || mode == SMALL_USER64;
    uint16_t cs = user ? SMALL_USER_CS : wide ? SMALL_CS : SMALL_CS32;
    cpu->cpl = user ? 3 : 0;
    cpu->segment[CS] = flat(cs, 11, cpu->cpl, wide ? SEG_L : SEG_DB);
    for (unsigned i = ES; i <= GS; i++)
        if (i != CS)
            cpu->segment[i] = flat(user ? SMALL_USER_SS : SMALL_SS, 3, cpu->cpl, SEG_DB);
}

static void set_real(struct cpu *cpu)
{
    for (unsigned i = ES; i <= GS; i++)
        cpu->segment[i] = (struct segment){ .limit = 0xFFFF, .attributes = SEG_P | SEG_S | (i == CS ? 11 : 3) };
    cpu->idtr.limit = 0x3FF;
}

static uint64_t every_feature[2] = { UINT64_MAX, UINT64_MAX };
static struct cpu_model every_model;
const struct cpu_model *const small_machine_model = &every_model;

void small_machine(struct system_vector *vector, enum small_mode mode, const uint8_t *code, unsigned count)
{
    struct cpu *cpu = &vector->state;
    bool long_mode = mode != SMALL_REAL && mode != SMALL_PAGED32;
    every_model = *cpu_model_find("x86-64-v4");
    every_model.features = every_feature;
    memset(vector, 0, sizeof(*vector));
    vector->model = &every_model;
    vector->ram_bytes = RAM_BYTES;
    vector->steps = 1;
    put_tables(vector);
    small_machine_put(vector, SMALL_CODE, code, count);
    cpu->segment[SEG_FLAT] = (struct segment){ .limit = 0xFFFFFFFF };
    cpu->rflags = FLAGS_FIXED;
    cpu->gpr[GPR_RIP] = SMALL_CODE;
    cpu->gpr[RSP] = SMALL_STACK - 0x800;
    cpu->gpr[RBX] = cpu->gpr[RSI] = SMALL_DATA;
    cpu->gpr[RDI] = SMALL_DATA + 0x100;
    cpu->dr6 = 0xFFFF0FF0;
    cpu->dr7 = 0x400;
    cpu->x87.fcw = 0x37F;
    cpu->mxcsr = 0x1F80;
    cpu->xcr0 = 7;
    cpu->cr0 = CR0_ET | CR0_NE | CR0_MP;
    cpu->gdtr = (struct table_register){ .base = AT_GDT, .limit = 0x47 };
    cpu->ldtr = (struct segment){ .attributes = SEG_UNUSABLE };
    cpu->tr = (struct segment){ .base = 0x6000, .limit = 0x67, .attributes = SEG_P | 11, .selector = 0x40 };
    if (mode == SMALL_REAL) {
        set_real(cpu);
        return;
    }
    set_segments(cpu, mode);
    cpu->cr0 |= CR0_PE | CR0_WP | CR0_PG;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->cr3 = long_mode ? AT_PML4 : AT_PD_LEGACY;
    cpu->cr4 |= long_mode ? CR4_PAE | CR4_FSGSBASE : CR4_PSE;
    cpu->efer = long_mode ? EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE : 0;
}
