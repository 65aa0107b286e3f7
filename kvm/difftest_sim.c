/*
 * The interpreter's side of an instruction comparison: a machine of one vCPU at CPL 3, with the layout of difftest.h in
 * its lower half, and at -2 GiB the little that exceptions need: an IDT whose handlers halt, a TSS and a stack.
 */
#include "kvm/difftest.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "devices/lapic_state.h"

#include <stdlib.h>
#include <string.h>

/* Physical places, all in the second MiB. */
enum {
    AT_PML4 = 0x100000,
    AT_PDPT_LOW = 0x101000,
    AT_PD_LOW = 0x102000,
    AT_PT_CODE = 0x103000,
    AT_PT_DATA = 0x104000,
    AT_PDPT_HIGH = 0x105000,
    AT_PD_HIGH = 0x106000,
    AT_CODE = 0x110000,
    AT_DATA = AT_CODE + DIFFTEST_CODE_BYTES,
    AT_READ_ONLY = AT_DATA + DIFFTEST_DATA_BYTES,
    AT_IDT = 0x120000,
    AT_GDT = 0x121000,
    AT_TSS = 0x122000,
    AT_HANDLERS = 0x123000,
    AT_STACK_END = 0x125000,
};
#define RAM_BYTES   (2u << 20)
#define KERNEL_BASE 0xFFFFFFFF80000000ull

/* Selectors as Linux has them, so that code which stores them sees the same on both sides. */
enum { KERNEL_CS = 0x10, KERNEL_SS = 0x18, USER_SS = 0x2B, USER_CS = 0x33, TSS_SELECTOR = 0x40 };

#define PTE_PRESENT  1ull
#define PTE_WRITE    2ull
#define PTE_USER     4ull
#define PTE_ACCESSED 0x20ull
#define PTE_DIRTY    0x40ull
#define PTE_LARGE    0x80ull
#define PTE_NX       (1ull << 63)

#define CYCLES_MAX 2000000u /* more than any REP in the layout takes */

struct difftest_sim {
    struct board board;
    struct lapic lapic;
    struct cpu cpu;
    struct cpu_model model;
    uint64_t features[2];
    struct difftest_memory memory; /* what the guest's memory holds now, data and read-only */
    bool memory_valid;
};

static void poke(struct difftest_sim *sim, uint64_t at, uint64_t value)
{
    ram_write(&sim->board.ram, at, &value, 8);
}

static void build_tables(struct difftest_sim *sim)
{
    const uint64_t inner = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED;
    poke(sim, AT_PML4, AT_PDPT_LOW | inner);
    poke(sim, AT_PDPT_LOW, AT_PD_LOW | inner);
    poke(sim, AT_PD_LOW + 8 * (DIFFTEST_CODE >> 21), AT_PT_CODE | inner);
    poke(sim, AT_PD_LOW + 8 * (DIFFTEST_DATA >> 21), AT_PT_DATA | inner);
    for (unsigned i = 0; i < DIFFTEST_CODE_BYTES / 4096; i++)
        poke(sim, AT_PT_CODE + 8 * i, (AT_CODE + 4096u * i) | PTE_PRESENT | PTE_USER | PTE_ACCESSED);
    for (unsigned i = 0; i < DIFFTEST_DATA_BYTES / 4096; i++)
        poke(sim, AT_PT_DATA + 8 * i, (AT_DATA + 4096u * i) | inner | PTE_DIRTY | PTE_NX);
    poke(sim, AT_PT_DATA + 8 * (DIFFTEST_DATA_BYTES / 4096),
         AT_READ_ONLY | PTE_PRESENT | PTE_USER | PTE_ACCESSED | PTE_NX);
    poke(sim, AT_PML4 + 8 * 511, AT_PDPT_HIGH | inner);
    poke(sim, AT_PDPT_HIGH + 8 * 510, AT_PD_HIGH | inner);
    poke(sim, AT_PD_HIGH, PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_LARGE);
}

static void build_system(struct difftest_sim *sim)
{
    poke(sim, AT_GDT + KERNEL_CS, 0x00AF9B000000FFFF);
    poke(sim, AT_GDT + KERNEL_SS, 0x00CF93000000FFFF);
    poke(sim, AT_GDT + (USER_SS & ~7), 0x00CFF3000000FFFF);
    poke(sim, AT_GDT + (USER_CS & ~7), 0x00AFFB000000FFFF);
    poke(sim, AT_TSS + 4, KERNEL_BASE + AT_STACK_END);
    poke(sim, AT_TSS + 0x60, 0x0068ull << 48); /* no I/O bitmap: it would begin behind the limit */
    for (unsigned vector = 0; vector < 32; vector++) {
        uint64_t handler = KERNEL_BASE + AT_HANDLERS + 16 * vector;
        uint64_t access = vector == VEC_BP || vector == VEC_OF ? 0xEE00 : 0x8E00;
        poke(sim, AT_IDT + 16 * vector,
             (handler & 0xFFFF) | (uint64_t)KERNEL_CS << 16 | access << 32 | (handler >> 16 & 0xFFFF) << 48);
        poke(sim, AT_IDT + 16 * vector + 8, handler >> 32);
        poke(sim, AT_HANDLERS + 16 * vector, 0xF4); /* HLT */
    }
}

static void set_system_state(struct difftest_sim *sim)
{
    struct cpu *cpu = &sim->cpu;
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr4 = (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE);
    cpu->cr3 = AT_PML4;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    cpu->xcr0 = 0xE7;
    cpu->gdtr = (struct table_register){ .base = KERNEL_BASE + AT_GDT, .limit = 0x4F };
    cpu->idtr = (struct table_register){ .base = KERNEL_BASE + AT_IDT, .limit = 32 * 16 - 1 };
    cpu->tr = (struct segment){
        .base = KERNEL_BASE + AT_TSS, .limit = 0x67, .attributes = SEG_P | 11, .selector = TSS_SELECTOR
    };
    cpu->ldtr = (struct segment){ .attributes = SEG_UNUSABLE };
}

struct difftest_sim *difftest_sim_open(const uint64_t *features, enum undefined_how how)
{
    struct difftest_sim *sim = calloc(1, sizeof(*sim));
    if (!sim)
        return NULL;
    memcpy(sim->features, features, sizeof(sim->features));
    sim->model = *cpu_model_find("x86-64-v2");
    sim->model.features = sim->features;
    sim->model.xcr0_valid = 0xE7;
    sim->model.cr4_valid |= CR4_FSGSBASE | CR4_OSXSAVE;
    if (board_init(&sim->board, RAM_BYTES, 1)) {
        free(sim);
        return NULL;
    }
    if (cpu_init(&sim->cpu, &sim->board, &sim->lapic, &sim->model, 0)) {
        board_destroy(&sim->board);
        free(sim);
        return NULL;
    }
    sim->cpu.undefined.how = (uint8_t)how;
    uint8_t filler[DIFFTEST_CODE_BYTES];
    memset(filler, 0xCC, sizeof(filler));
    ram_write(&sim->board.ram, AT_CODE, filler, sizeof(filler));
    build_tables(sim);
    build_system(sim);
    set_system_state(sim);
    cpu_update_mode(&sim->cpu);
    cpu_drop_caches(&sim->cpu);
    return sim;
}

void difftest_sim_close(struct difftest_sim *sim)
{
    if (!sim)
        return;
    cpu_destroy(&sim->cpu);
    board_destroy(&sim->board);
    free(sim);
}

static void load_memory(struct difftest_sim *sim, const struct difftest_memory *memory)
{
    if (sim->memory_valid && !memcmp(&sim->memory, memory, sizeof(*memory)))
        return;
    sim->memory = *memory;
    sim->memory_valid = true;
    ram_write(&sim->board.ram, AT_DATA, memory->data, sizeof(memory->data));
    ram_write(&sim->board.ram, AT_READ_ONLY, memory->read_only, sizeof(memory->read_only));
}

/* Code at a linear address of the code pages; what lies outside of them is left out. */
static void put_code(struct difftest_sim *sim, uint64_t linear, const uint8_t *bytes, unsigned count)
{
    uint64_t offset = linear - DIFFTEST_CODE;
    if (offset + count > DIFFTEST_CODE_BYTES)
        count = (unsigned)(DIFFTEST_CODE_BYTES - offset);
    ram_write(&sim->board.ram, AT_CODE + offset, bytes, count);
}

static void load_state(struct difftest_sim *sim, const struct difftest_case *test)
{
    const struct difftest_state *state = &test->state;
    struct cpu *cpu = &sim->cpu;
    memcpy(cpu->gpr, state->gpr, sizeof(state->gpr));
    cpu->gpr[GPR_RIP] = state->rip;
    cpu->rflags = state->rflags | FLAGS_FIXED | FLAG_IF | (test->step ? FLAG_TF : 0);
    flags_set_status(cpu, cpu->rflags);
    cpu->x87 = state->x87;
    memcpy(cpu->zmm, state->zmm, sizeof(cpu->zmm));
    memcpy(cpu->opmask, state->opmask, sizeof(cpu->opmask));
    cpu->mxcsr = state->mxcsr;
    for (unsigned seg = ES; seg <= GS; seg++)
        cpu->segment[seg] = (struct segment){ .attributes = SEG_UNUSABLE };
    cpu->segment[CS] = (struct segment){ .limit = 0xFFFFFFFF,
                                         .attributes = SEG_P | SEG_S | 3 << 5 | 11 | SEG_L | SEG_G,
                                         .selector = USER_CS };
    cpu->segment[SS] = (struct segment){ .limit = 0xFFFFFFFF,
                                         .attributes = SEG_P | SEG_S | 3 << 5 | 3 | SEG_DB | SEG_G,
                                         .selector = USER_SS };
    cpu->segment[GS].base = DIFFTEST_GS_BASE;
    cpu->cpl = 3;
    cpu->cr2 = 0;
    cpu->dr6 = 0xFFFF0FF0;
    cpu->activity = ACTIVE;
    cpu->shadow = cpu->nmi_blocked = cpu->pending_db = 0;
    cpu_update_mode(cpu);
}

static uint64_t frame(struct difftest_sim *sim, unsigned slot)
{
    uint64_t value = 0;
    ram_read(&sim->board.ram, sim->cpu.gpr[RSP] - KERNEL_BASE + 8 * slot, &value, 8);
    return value;
}

static bool pushes_error(unsigned vector)
{
    return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
}

static void read_outcome(struct difftest_sim *sim, struct difftest_outcome *outcome)
{
    struct cpu *cpu = &sim->cpu;
    struct difftest_state *state = &outcome->state;
    uint64_t handler = cpu_rip(cpu) - 1 - (KERNEL_BASE + AT_HANDLERS);
    outcome->lost = cpu->activity != HALTED || cpu->cpl != 0 || handler % 16 || handler / 16 >= 32;
    if (outcome->lost)
        return;
    outcome->vector = (uint8_t)(handler / 16);
    unsigned slot = 0;
    outcome->error = pushes_error(outcome->vector) ? (uint32_t)frame(sim, slot++) : 0;
    outcome->cr2 = cpu->cr2;
    memcpy(state->gpr, cpu->gpr, sizeof(state->gpr));
    state->rip = frame(sim, slot);
    state->rflags = frame(sim, slot + 2);
    state->gpr[RSP] = frame(sim, slot + 3);
    state->x87 = cpu->x87;
    memcpy(state->zmm, cpu->zmm, sizeof(state->zmm));
    memcpy(state->opmask, cpu->opmask, sizeof(state->opmask));
    state->mxcsr = cpu->mxcsr;
}

/* Takes back what the test wrote, and tells. */
static void read_data(struct difftest_sim *sim, struct difftest_outcome *outcome)
{
    outcome->data_changed = false;
    for (unsigned i = 0; i < DIFFTEST_DATA_BYTES / RAM_PAGE_BYTES; i++) {
        const uint8_t *now = ram_page_bytes(&sim->board.ram, ram_page_at(&sim->board.ram, AT_DATA + 4096u * i));
        outcome->data_changed |= memcmp(now, sim->memory.data + 4096u * i, 4096) != 0;
    }
    if (!outcome->data_changed)
        return;
    ram_read(&sim->board.ram, AT_DATA, outcome->data, sizeof(outcome->data));
    ram_write(&sim->board.ram, AT_DATA, sim->memory.data, sizeof(sim->memory.data));
}

void difftest_sim_run(struct difftest_sim *sim, const struct difftest_memory *memory, const struct difftest_case *test,
                      struct difftest_outcome *outcome)
{
    struct cpu *cpu = &sim->cpu;
    uint8_t filler[INSN_BYTES_MAX + 1];
    memset(filler, 0xCC, sizeof(filler));
    load_memory(sim, memory);
    put_code(sim, test->state.rip, test->bytes, test->length);
    load_state(sim, test);
    uint64_t stop = sim->board.clock.now_cycles + CYCLES_MAX;
    while (cpu->activity == ACTIVE && sim->board.clock.now_cycles < stop && sim->board.request == BOARD_RUN) {
        cpu_run(cpu, stop);
        if (cpu->pending_db)
            cpu_sample_interrupts(cpu);
    }
    sim->board.request = BOARD_RUN;
    read_outcome(sim, outcome);
    read_data(sim, outcome);
    put_code(sim, test->state.rip, filler, test->length);
}
