/*
 * The vCPU's system side without the decoder: its field table, reset values, CPUID and MSR rules, descriptors, delivery
 * of exceptions and IRET in real, protected and 64-bit mode, double and triple faults.
 *
 * The guest is a few tables that the tests write into RAM; functions of cpu/ are called as the engine would call them.
 */
#include "cpu/control.h"
#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/isa.h"
#include "cpu/model.h"
#include "cpu/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    GDT = 0x1000,
    IDT = 0x2000,
    TSS = 0x3000,
    PML4 = 0x4000,
    PDPT = 0x5000,
    PD = 0x6000,
    STACK = 0x9000,
    USER_STACK = 0xA000
};
enum {
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x1B,
    DATA3 = 0x23,
    TSS_SELECTOR = 0x28,
    LONG0 = 0x38,
    LONG3 = 0x43,
    ABSENT = 0x48
};

struct machine {
    struct board board;
    struct cpu cpu;
};

static void poke(struct machine *m, uint64_t at, uint64_t value, unsigned bytes)
{
    assert_true(ram_write(&m->board.ram, at, &value, bytes));
}
static uint64_t peek(struct machine *m, uint64_t at, unsigned bytes)
{
    uint64_t value = 0;
    assert_true(ram_read(&m->board.ram, at, &value, bytes));
    return value;
}

static uint64_t descriptor(uint64_t base, uint64_t limit, uint64_t attributes)
{
    return (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | attributes << 40 | (limit >> 16 & 15) << 48 |
           (base >> 24 & 0xFF) << 56;
}

static void gate(struct machine *m, unsigned vector, uint16_t selector, uint32_t offset, unsigned access, bool wide)
{
    uint64_t low =
        (offset & 0xFFFF) | (uint64_t)selector << 16 | (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
    poke(m, IDT + vector * (wide ? 16 : 8), low, 8);
    if (wide)
        poke(m, IDT + vector * 16 + 8, 0, 8);
}

static int setup(void **state)
{
    struct machine *m = calloc(1, sizeof *m);
    assert_int_equal(board_init(&m->board, 2 << 20, 7), 0);
    assert_int_equal(cpu_init(&m->cpu, &m->board, NULL, cpu_model_find("x86-64-v2"), 0), 0);
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct machine *m = *state;
    cpu_destroy(&m->cpu);
    board_destroy(&m->board);
    free(m);
    return 0;
}

static void load(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct descriptor d;
    assert_int_equal(descriptor_fetch(cpu, selector, &d), DESCRIPTOR_OK);
    cpu->segment[seg] = segment_of(selector, &d);
    cpu->cpl = seg == CS ? selector & 3 : cpu->cpl;
}

static void tables(struct machine *m)
{
    poke(m, GDT + CODE0, descriptor(0, 0xFFFFF, 0xC09B), 8);
    poke(m, GDT + DATA0, descriptor(0, 0xFFFFF, 0xC093), 8);
    poke(m, GDT + (CODE3 & ~7), descriptor(0, 0xFFFFF, 0xC0FB), 8);
    poke(m, GDT + (DATA3 & ~7), descriptor(0, 0xFFFFF, 0xC0F3), 8);
    poke(m, GDT + TSS_SELECTOR, descriptor(TSS, 0x67, 0x8B), 8);
    poke(m, GDT + LONG0, descriptor(0, 0xFFFFF, 0xA09A), 8); /* not accessed yet */
    poke(m, GDT + (LONG3 & ~7), descriptor(0, 0xFFFFF, 0xA0FB), 8);
    poke(m, GDT + ABSENT, descriptor(0, 0xFFFFF, 0xC01B), 8);
    m->cpu.gdtr = (struct table_register){ .base = GDT, .limit = 0x4F };
}

/* 32-bit protected mode without paging. */
static void protected_mode(struct machine *m, bool user)
{
    struct cpu *cpu = &m->cpu;
    tables(m);
    assert_true(control_write_cr0(cpu, CR0_PE | CR0_NE));
    load(cpu, CS, user ? CODE3 : CODE0);
    load(cpu, SS, user ? DATA3 : DATA0);
    load(cpu, DS, user ? DATA3 : DATA0);
    cpu->tr =
        (struct segment){ .base = TSS, .limit = 0x67, .attributes = SEG_P | TYPE_TSS_BUSY, .selector = TSS_SELECTOR };
    poke(m, TSS + 4, STACK, 4);
    poke(m, TSS + 8, DATA0, 4);
    cpu->idtr = (struct table_register){ .base = IDT, .limit = 0x7FF };
    cpu->gpr[RSP] = user ? USER_STACK : STACK;
    cpu->gpr[GPR_RIP] = 0x1234;
    cpu->rflags = FLAGS_FIXED | FLAG_IF | FLAG_CF;
    flags_set_status(cpu, cpu->rflags);
    cpu_update_mode(cpu);
}

/* 64-bit mode, the first 2 MiB mapped one to one, readable by all. */
static void long_mode(struct machine *m, bool user)
{
    struct cpu *cpu = &m->cpu;
    protected_mode(m, false);
    poke(m, PML4, PDPT | 7, 8);
    poke(m, PDPT, PD | 7, 8);
    poke(m, PD, 0x87, 8);
    assert_true(control_write_cr4(cpu, CR4_PAE));
    assert_true(control_write_efer(cpu, EFER_LME | EFER_SCE));
    assert_true(control_write_cr3(cpu, PML4));
    assert_true(control_write_cr0(cpu, CR0_PE | CR0_PG | CR0_WP | CR0_NE));
    assert_true(cpu->efer & EFER_LMA);
    load(cpu, CS, user ? LONG3 : LONG0);
    load(cpu, SS, user ? DATA3 : DATA0);
    cpu->gpr[RSP] = user ? USER_STACK - 4 : STACK - 4;
    poke(m, TSS + 4, STACK, 8);
    cpu_update_mode(cpu);
}

static struct fault fault_of(enum vector vector, bool has_error, uint32_t error)
{
    return (struct fault){ .vector = (uint8_t)vector, .has_error = has_error, .error = error };
}

/* --- state ------------------------------------------------------------------------------------------------------ */

static void test_fields_cover_the_struct(void **state)
{
    (void)state;
    uint8_t covered[sizeof(struct cpu)] = { 0 };
    for (unsigned f = 0; f < cpu_field_count; f++)
        for (size_t i = 0; i < (size_t)cpu_fields[f].count * cpu_fields[f].bytes; i++)
            if (covered[cpu_fields[f].offset + i]++)
                fail_msg("byte %zu lies in two fields, one is %s", cpu_fields[f].offset + i, cpu_fields[f].name);
    for (size_t i = 0; i < sizeof covered; i++)
        if (!covered[i])
            fail_msg("byte %zu lies in no field", i);
}

static void test_reset(void **state)
{
    struct cpu *cpu = &((struct machine *)*state)->cpu;
    assert_int_equal(cpu_rip(cpu), 0xFFF0);
    assert_int_equal(cpu->segment[CS].base, 0xFFFF0000);
    assert_int_equal(cpu->cr0, 0x60000010);
    assert_int_equal(cpu->gpr[RDX] >> 8, 0x306);
    assert_int_equal(cpu->mode & (MODE_CODE_MASK | MODE_PROTECTED), MODE_CODE16);
    cpu->msr.star = 1;
    cpu->zmm[0].u64[0] = 1;
    cpu->cr4 = CR4_PAE;
    uint64_t offset = cpu->tsc_offset;
    cpu_reset(cpu, true);
    assert_int_equal(cpu->msr.star, 1); /* INIT keeps MSRs, vector registers and the counter */
    assert_int_equal(cpu->zmm[0].u64[0], 1);
    assert_int_equal(cpu->tsc_offset, offset);
    assert_int_equal(cpu->cr4, 0);
}

/* --- CPUID, MSRs, control registers ----------------------------------------------------------------------------- */

static void test_cpuid(void **state)
{
    struct cpu *cpu = &((struct machine *)*state)->cpu;
    uint32_t r[4], last[4];
    cpu_cpuid(cpu, 0, 0, r);
    assert_int_equal(r[0], 0x16);
    assert_memory_equal(&r[1], "Genu", 4);
    cpu_cpuid(cpu, 1, 0, r);
    assert_false(r[2] & 1u << 27);
    assert_false(r[2] & 1u << 31); /* no hypervisor */
    assert_true(r[2] & 1u << 23);  /* POPCNT */
    cpu->cr4 |= CR4_OSXSAVE;
    cpu_cpuid(cpu, 1, 0, r);
    assert_true(r[2] & 1u << 27);
    cpu_cpuid(cpu, 0x15, 0, r);
    assert_int_equal((uint64_t)r[2] * r[1] / r[0], CLOCK_HZ);
    cpu_cpuid(cpu, 0x16, 0, last);
    cpu_cpuid(cpu, 0x40000000, 0, r);
    assert_memory_equal(r, last, sizeof r);
    cpu_cpuid(cpu, 7, 0, r);
    assert_false(r[2] & 1u << 16);      /* LA57 */
    assert_false(r[1] & 1u << 5);       /* AVX2 */
    assert_int_equal(r[1] >> 7 & 1, 1); /* SMEP */
    cpu_cpuid(cpu, 7, 1, r);
    assert_int_equal(r[1], 0);
    cpu_cpuid(cpu, 0xD, 0, r);
    assert_int_equal(r[0], 3);
    assert_int_equal(r[1], 576);
    cpu->model = cpu_model_find("x86-64-v1");
    cpu_cpuid(cpu, 0xD, 0, r);
    assert_int_equal(r[0] | r[1] | r[2], 0);
    cpu_cpuid(cpu, 1, 0, r);
    assert_false(r[2] & 1u << 23);
    assert_null(cpu_model_find("x86-64-v9"));
}

/* What a model advertises has rows, all with handlers, or is one of the features that have none. */
static void test_models_promise_what_is_there(void **state)
{
    static const unsigned rowless[] = { ISA_FEATURE_FPU,       ISA_FEATURE_APIC,   ISA_FEATURE_NX,
                                        ISA_FEATURE_LM,        ISA_FEATURE_X2APIC, ISA_FEATURE_TSCDEADLINE,
                                        ISA_FEATURE_PREFETCHW, ISA_FEATURE_LAHF,   ISA_FEATURE_SMEP,
                                        ISA_FEATURE_UMIP,      ISA_FEATURE_PCID,   ISA_FEATURE_XGETBV1,
                                        ISA_FEATURE_AVX512VL /* lengths of other features' rows */ };
    (void)state;
    for (unsigned m = 0; cpu_models()[m]; m++) {
        const struct cpu_model *model = cpu_models()[m];
        for (unsigned f = ISA_FEATURE_NONE + 1; f < ISA_FEATURE_COUNT; f++) {
            unsigned rows = 0, lacking = 0;
            for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
                rows += isa_rows[i].feature == f;
                lacking += isa_rows[i].feature == f && isa_rows[i].attributes & ISA_UNIMPLEMENTED;
            }
            for (unsigned i = 0; i < sizeof rowless / sizeof rowless[0]; i++)
                rows += f == rowless[i];
            if (model_has(model, f) && (!rows || lacking))
                fail_msg("%s advertises %s: %u rows, %u without a handler", model->name, isa_features[f].name, rows,
                         lacking);
            if (m > 0 && model_has(cpu_models()[m - 1], f) && !model_has(model, f))
                fail_msg("%s lacks %s, which its predecessor has", model->name, isa_features[f].name);
        }
    }
}

static void has_all(const char *name, const unsigned *features, unsigned count)
{
    const struct cpu_model *model = cpu_model_find(name);
    for (unsigned i = 0; i < count; i++)
        if (!model_has(model, features[i]))
            fail_msg("%s lacks %s", name, isa_features[features[i]].name);
}

/* The psABI levels. Vector extensions come when the rows they need are there. */
static void test_levels(void **state)
{
    static const unsigned v2[] = { ISA_FEATURE_CX16,  ISA_FEATURE_LAHF,  ISA_FEATURE_POPCNT, ISA_FEATURE_SSE3,
                                   ISA_FEATURE_SSE41, ISA_FEATURE_SSE42, ISA_FEATURE_SSSE3 };
    static const unsigned v3[] = { ISA_FEATURE_BMI1, ISA_FEATURE_BMI2, ISA_FEATURE_LZCNT, ISA_FEATURE_MOVBE,
                                   ISA_FEATURE_XSAVE };
    static const unsigned avx[] = { ISA_FEATURE_AVX, ISA_FEATURE_AVX2, ISA_FEATURE_F16C, ISA_FEATURE_FMA };
    static const unsigned avx512[] = { ISA_FEATURE_AVX512F, ISA_FEATURE_AVX512BW, ISA_FEATURE_AVX512CD,
                                       ISA_FEATURE_AVX512DQ, ISA_FEATURE_AVX512VL };
    const struct cpu_model *model = cpu_model_find("x86-64-v4");
    bool foundation = model_has(model, ISA_FEATURE_AVX512F); /* without it no other AVX-512 feature */
    (void)state;
    has_all("x86-64-v2", v2, sizeof v2 / sizeof v2[0]);
    has_all("x86-64-v3", v3, sizeof v3 / sizeof v3[0]);
    for (unsigned i = 0; i < sizeof avx / sizeof avx[0]; i++) {
        bool rows = (avx[i] < 64 ? ISA_IMPLEMENTED_0 >> avx[i] : ISA_IMPLEMENTED_1 >> (avx[i] - 64)) & 1;
        assert_int_equal(model_has(cpu_model_find("x86-64-v3"), avx[i]), rows);
        assert_false(model_has(cpu_model_find("x86-64-v2"), avx[i]));
    }
    for (unsigned i = 0; i < sizeof avx512 / sizeof avx512[0]; i++) {
        bool rows = (avx512[i] < 64 ? ISA_IMPLEMENTED_0 >> avx512[i] : ISA_IMPLEMENTED_1 >> (avx512[i] - 64)) & 1;
        /* VL is an attribute of rows that 512-bit forms share */
        if (avx512[i] != ISA_FEATURE_AVX512VL)
            assert_int_equal(model_has(model, avx512[i]), rows && foundation);
        assert_false(model_has(cpu_model_find("x86-64-v3"), avx512[i]));
    }
    assert_int_equal(model->xcr0_valid >> 2 & 1, model_has(model, ISA_FEATURE_AVX));
    assert_int_equal(model->xcr0_valid >> 5 & 7, model_has(model, ISA_FEATURE_AVX512F) ? 7 : 0);
}

static void test_cpuid_v4(void **state)
{
    struct cpu *cpu = &((struct machine *)*state)->cpu;
    uint32_t r[4];
    cpu->model = cpu_model_find("x86-64-v4");
    cpu_cpuid(cpu, 1, 0, r);
    assert_int_equal(r[0], 0x30661); /* family 6, model 54, whatever the level */
    cpu_cpuid(cpu, 7, 0, r);
    assert_true(r[2] & 1u << 3);
    assert_false(r[2] & 1u << 4); /* OSPKE */
    cpu->cr4 |= CR4_PKE;
    cpu_cpuid(cpu, 7, 0, r);
    assert_true(r[2] & 1u << 4);
    cpu_cpuid(cpu, 0xD, 0, r);
    assert_int_equal(r[0], cpu->model->xcr0_valid);
    assert_int_equal(r[1], 576);
    assert_int_equal(r[2], 2696);
    cpu->xcr0 = 0x203;
    cpu_cpuid(cpu, 0xD, 0, r);
    assert_int_equal(r[1], 2696);
    cpu_cpuid(cpu, 0xD, 1, r);
    assert_int_equal(r[0], 15);
    assert_int_equal(r[1], 584);
    cpu_cpuid(cpu, 0xD, 9, r);
    assert_int_equal(r[0], 8);
    assert_int_equal(r[1], 2688);
    cpu_cpuid(cpu, 0xD, 4, r);
    assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
    cpu_cpuid(cpu, 0xD, 63, r);
    assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
}

static void test_msrs(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    uint64_t value;
    assert_true(cpu_write_msr(cpu, 0xC0000082, 0xFFFF800000000000));
    assert_false(cpu_write_msr(cpu, 0xC0000082, 0x0000800000000000)); /* LSTAR is canonical */
    assert_true(cpu_write_msr(cpu, 0x277, 0x0407050600070106));
    assert_false(cpu_write_msr(cpu, 0x277, 0x0407050600070102)); /* no such memory type */
    assert_true(cpu_write_msr(cpu, 0x2FF, 0xC06));
    assert_false(cpu_write_msr(cpu, 0x2FF, 0x1006));
    assert_true(cpu_write_msr(cpu, 0x201, 0xFFFFF00800));
    assert_false(cpu_write_msr(cpu, 0x201, 1ull << 40 | 0x800));
    assert_true(cpu_read_msr(cpu, 0xFE, &value));
    assert_int_equal(value, 0x508);
    assert_true(cpu_write_msr(cpu, 0x10, 1000));
    assert_true(cpu_read_msr(cpu, 0x10, &value));
    assert_int_equal(value, 1000);
    assert_true(cpu_read_msr(cpu, 0x3B, &value));
    assert_true(cpu_write_msr(cpu, 0x3B, value + 5));
    assert_int_equal(cpu_tsc(cpu), 1005);
    assert_true(cpu_write_msr(cpu, 0xC0000101, 0x1000));
    assert_int_equal(cpu->segment_base[GS], 0x1000);
    assert_false(cpu_read_msr(cpu, 0xC0010015, &value));
    assert_int_equal(m->board.tally.entries[0].kind, TALLY_MSR);
    assert_int_equal(m->board.tally.entries[0].key, 0xC0010015);
    assert_false(cpu_write_msr(cpu, 0xC0000080, 1 << 16));
}

static void test_control_registers(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    assert_false(control_write_cr0(cpu, CR0_PG));
    assert_false(control_write_cr0(cpu, CR0_NW));
    assert_false(control_write_cr4(cpu, CR4_LA57));
    long_mode(m, false);
    assert_false(control_write_cr4(cpu, 0));                 /* PAE may not go */
    assert_false(control_write_efer(cpu, EFER_SCE));         /* nor LME */
    assert_false(control_write_cr3(cpu, 1ull << 40 | PML4)); /* beyond MAXPHYADDR */
    assert_false(control_write_cr0(cpu, CR0_PE));            /* nor paging, from 64-bit code */
    assert_true(control_write_dr(cpu, 7, 0xFFFFFFFF));
    assert_int_equal(cpu->dr7, 0xFFFF27FF);
    assert_false(control_write_dr(cpu, 6, 1ull << 32));
    assert_false(control_write_xcr0(cpu, 2));
    assert_false(control_write_xcr0(cpu, 7));
    assert_true(control_write_xcr0(cpu, 3));
}

/* --- delivery --------------------------------------------------------------------------------------------------- */

static void test_real_mode(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    cpu->idtr.base = 0;
    poke(m, 4 * 0x21, 0x12340056, 4);
    cpu->segment[CS] = segment_real(&cpu->segment[CS], 0x100);
    cpu->segment[SS] = segment_real(&cpu->segment[SS], 0x200);
    cpu->gpr[RSP] = 0x80;
    cpu->gpr[GPR_RIP] = 0x11;
    cpu->rflags |= FLAG_IF;
    cpu_update_mode(cpu);
    uint64_t cycle = cpu->cycle;
    interrupt_deliver(cpu, 0x21);
    assert_int_equal(cpu->segment[CS].selector, 0x1234);
    assert_int_equal(cpu->segment[CS].base, 0x12340);
    assert_int_equal(cpu_rip(cpu), 0x56);
    assert_int_equal(cpu->gpr[RSP], 0x7A);
    assert_int_equal(peek(m, 0x207A, 2), 0x11);
    assert_int_equal(peek(m, 0x207C, 2), 0x100);
    assert_false(cpu->rflags & FLAG_IF);
    assert_int_equal(cpu->cycle, cycle + 1);
    assert_int_equal(m->board.clock.now_cycles, cpu->cycle);
    assert_true(far_iret(cpu, 2, 0));
    assert_int_equal(cpu->segment[CS].selector, 0x100);
    assert_int_equal(cpu_rip(cpu), 0x11);
    assert_true(cpu->rflags & FLAG_IF);
}

static void test_protected_mode_inner(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    protected_mode(m, true);
    gate(m, VEC_GP, CODE0, 0x5678, 0x8E, false);
    exception_deliver(cpu, fault_of(VEC_GP, true, 0x18), false);
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu_rip(cpu), 0x5678);
    assert_int_equal(cpu->segment[SS].selector, DATA0);
    assert_int_equal(cpu->gpr[RSP], STACK - 24);
    assert_int_equal(peek(m, STACK - 24, 4), 0x18);
    assert_int_equal(peek(m, STACK - 20, 4), 0x1234);
    assert_int_equal(peek(m, STACK - 16, 4), CODE3);
    assert_int_equal(peek(m, STACK - 12, 4), FLAGS_FIXED | FLAG_IF | FLAG_CF | FLAG_RF);
    assert_int_equal(peek(m, STACK - 8, 4), USER_STACK);
    assert_int_equal(peek(m, STACK - 4, 4), DATA3);
    cpu->gpr[RSP] += 4;
    load(cpu, DS, DATA0);
    cpu->cpl = 0;
    assert_true(far_iret(cpu, 4, 0));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->gpr[RSP], USER_STACK);
    assert_true(cpu->segment[DS].attributes & SEG_UNUSABLE); /* an inner segment does not leak */
    assert_true(flag_cf(cpu));
}

static void test_software_interrupt_dpl(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    protected_mode(m, true);
    gate(m, 0x80, CODE0, 0x1111, 0x8E, false); /* DPL 0 */
    gate(m, VEC_GP, CODE0, 0x5678, 0x8E, false);
    struct fault fault = { .vector = 0x80 };
    fault.reserved[0] = 2;
    exception_deliver(cpu, fault, true);
    assert_int_equal(cpu_rip(cpu), 0x5678);
    assert_int_equal(peek(m, STACK - 24, 4), 0x80 * 8 + 2);
    assert_int_equal(peek(m, STACK - 20, 4), 0x1232); /* that of INT n itself */
    interrupt_deliver(cpu, 0x80);                     /* from outside DPL does not count */
    assert_int_equal(cpu_rip(cpu), 0x1111);
}

static void test_double_and_triple_fault(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    protected_mode(m, false);
    gate(m, VEC_GP, ABSENT, 0x5678, 0x8E, false); /* #NP while delivering #GP */
    gate(m, VEC_DF, CODE0, 0x8888, 0x8E, false);
    exception_deliver(cpu, fault_of(VEC_GP, true, 0), false);
    assert_int_equal(cpu_rip(cpu), 0x8888);
    assert_int_equal(peek(m, STACK - 16, 4), 0);
    assert_int_equal(m->board.request, BOARD_RUN);
    cpu->idtr.limit = 7;
    exception_deliver(cpu, fault_of(VEC_GP, true, 0), false);
    assert_int_equal(m->board.request, BOARD_TRIPLE_FAULT);
    assert_int_equal(cpu->activity, SHUTDOWN);
}

static void test_benign_then_fault(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    protected_mode(m, false);
    gate(m, VEC_UD, ABSENT, 0, 0x8E, false); /* #UD is benign: its failure is a plain #NP, with EXT */
    gate(m, VEC_NP, CODE0, 0x7777, 0x8E, false);
    exception_deliver(cpu, fault_of(VEC_UD, false, 0), false);
    assert_int_equal(cpu_rip(cpu), 0x7777);
    assert_int_equal(peek(m, STACK - 16, 4), ABSENT | 1);
}

static void test_long_mode(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    long_mode(m, true);
    poke(m, GDT + LONG0, descriptor(0, 0xFFFFF, 0xA09A), 8);
    gate(m, VEC_PF, LONG0, 0x4321, 0x8E, true);
    struct fault fault = fault_of(VEC_PF, true, 6);
    fault.cr2 = 0x123456789;
    exception_deliver(cpu, fault, false);
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->cr2, 0x123456789);
    assert_int_equal(cpu_rip(cpu), 0x4321);
    assert_int_equal(cpu->gpr[RSP], STACK - 48);
    assert_int_equal(cpu->segment[SS].selector, 0);
    assert_int_equal(peek(m, STACK - 48, 8), 6);
    assert_int_equal(peek(m, STACK - 16, 8), USER_STACK - 4);
    assert_int_equal(peek(m, GDT + LONG0 + 5, 1), 0x9B); /* accessed */
    cpu->gpr[RSP] += 8;
    assert_true(far_iret(cpu, 8, 0));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->segment[CS].selector, LONG3);
    assert_int_equal(cpu->gpr[RSP], USER_STACK - 4);
    assert_true(cpu->rflags & FLAG_RF);
}

static void test_long_mode_same_level(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    long_mode(m, false);
    gate(m, VEC_BP, LONG0, 0x4321, 0x8F, true); /* a trap gate */
    exception_deliver(cpu, fault_of(VEC_BP, false, 0), true);
    assert_int_equal(cpu->gpr[RSP], (STACK - 16) - 40); /* aligned first */
    assert_int_equal(peek(m, STACK - 16 - 8, 8), DATA0);
    assert_true(cpu->rflags & FLAG_IF);
    assert_true(far_iret(cpu, 8, 0));
    assert_int_equal(cpu->gpr[RSP], STACK - 4);
    assert_int_equal(cpu->segment[SS].selector, DATA0);
    assert_false(cpu->rflags & FLAG_RF);
}

static void test_ist_and_bad_stack(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    long_mode(m, false);
    gate(m, VEC_DF, LONG0, 0x8888, 0x8E, true);
    poke(m, IDT + VEC_DF * 16 + 4, 1, 1); /* IST 1 */
    poke(m, TSS + 0x24, 0x8000, 8);
    gate(m, VEC_PF, LONG0, 0x4321, 0x8E, true);
    gate(m, VEC_SS, LONG0, 0x4444, 0x8E, true);
    cpu->gpr[RSP] = 0x40000000; /* not mapped: a page fault within a page fault */
    exception_deliver(cpu, fault_of(VEC_PF, true, 2), false);
    assert_int_equal(cpu_rip(cpu), 0x8888);
    assert_int_equal(cpu->gpr[RSP], 0x8000 - 48);
    assert_int_equal(cpu->cr2 & ~4095ull, 0x3FFFF000);
}

static void test_iret_checks(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    const uint64_t frame[5] = { 0x0000800000000000, LONG0, FLAGS_FIXED, STACK, DATA0 };
    long_mode(m, false);
    cpu->gpr[RSP] = STACK - 40;
    for (unsigned i = 0; i < 5; i++)
        poke(m, STACK - 40 + 8 * i, frame[i], 8);
    assert_false(far_iret(cpu, 8, 0)); /* RIP is not canonical */
    assert_int_equal(cpu->fault.vector, VEC_GP);
    assert_int_equal(cpu->fault.error, 0);
    assert_int_equal(cpu->gpr[RSP], STACK - 40);
    poke(m, STACK - 40, 0x100, 8);
    poke(m, STACK - 32, CODE0 | 1, 8); /* RPL and DPL differ */
    assert_false(far_iret(cpu, 8, 0));
    assert_int_equal(cpu->fault.error, CODE0);
    poke(m, STACK - 32, LONG0, 8);
    cpu->rflags |= FLAG_NT;
    assert_false(far_iret(cpu, 8, 0));
    cpu->rflags &= ~(uint64_t)FLAG_NT;
    assert_true(far_iret(cpu, 8, 0));
    assert_int_equal(cpu_rip(cpu), 0x100);
}

static void test_vm86(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    const uint32_t frame[9] = { 0x10, 0x300, FLAGS_FIXED | FLAG_VM | FLAG_IF, 0x70, 0x400, 1, 2, 3, 4 };
    protected_mode(m, false);
    cpu->gpr[RSP] = STACK - 36;
    for (unsigned i = 0; i < 9; i++)
        poke(m, STACK - 36 + 4 * i, frame[i], 4);
    assert_true(far_iret(cpu, 4, 0));
    assert_int_equal(cpu->cpl, 3);
    assert_true(cpu->mode & MODE_VM86);
    assert_int_equal(cpu->segment[CS].base, 0x3000);
    assert_int_equal(cpu->segment[GS].selector, 4);
    gate(m, VEC_GP, CODE0, 0x5678, 0x8E, false);
    exception_deliver(cpu, fault_of(VEC_GP, true, 0), false);
    assert_int_equal(cpu->gpr[RSP], STACK - 40);
    assert_int_equal(peek(m, STACK - 4, 4), 4);      /* GS */
    assert_int_equal(peek(m, STACK - 20, 4), 0x400); /* SS */
    assert_int_equal(peek(m, STACK - 24, 4), 0x70);  /* ESP */
    assert_int_equal(peek(m, STACK - 36, 4), 0x10);  /* EIP */
    assert_true(cpu->segment[DS].attributes & SEG_UNUSABLE);
    assert_false(cpu->rflags & FLAG_VM);
    cpu->gpr[RSP] += 4;
    assert_true(far_iret(cpu, 4, 0));
    assert_int_equal(cpu->gpr[RSP], 0x70);
    assert_int_equal(cpu->segment[DS].selector, 2);
}

/* --- segments --------------------------------------------------------------------------------------------------- */

static void test_segment_loads(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    struct segment out;
    protected_mode(m, true);
    assert_true(segment_load(cpu, DS, DATA3, &out));
    assert_int_equal(out.limit, 0xFFFFFFFF);
    assert_false(segment_load(cpu, DS, DATA0, &out)); /* DPL 0 at CPL 3 */
    assert_int_equal(cpu->fault.error, DATA0);
    assert_false(segment_load(cpu, SS, 0, &out));
    assert_false(segment_load(cpu, DS, 0x50, &out)); /* beyond the table */
    assert_int_equal(cpu->fault.vector, VEC_GP);
    assert_true(segment_load(cpu, ES, 3, &out)); /* null */
    assert_true(out.attributes & SEG_UNUSABLE);
    struct segment down = { .limit = 0xFFF, .attributes = SEG_S | SEG_P | SEG_TYPE_EXPAND_DOWN | SEG_TYPE_WRITABLE };
    assert_false(segment_spans(&down, 0xFFF, 1));
    assert_true(segment_spans(&down, 0x1000, 4));
    assert_false(segment_spans(&down, 0xFFFE, 4));
}

static void test_far_calls(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    protected_mode(m, true);
    /* a call gate of DPL 3 to CODE0:00004000H with one parameter */
    poke(m, GDT + ABSENT, 0x4000 | (uint64_t)CODE0 << 16 | 0xECull << 40 | 1ull << 32, 8);
    poke(m, USER_STACK, 0xABCD, 4);
    assert_true(far_call(cpu, ABSENT, 0x99999999, 4, 0x1239));
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu_rip(cpu), 0x4000);
    assert_int_equal(cpu->gpr[RSP], STACK - 20);
    assert_int_equal(peek(m, STACK - 20, 4), 0x1239);
    assert_int_equal(peek(m, STACK - 12, 4), 0xABCD);
    assert_int_equal(peek(m, STACK - 8, 4), USER_STACK);
    assert_true(far_return(cpu, 4, 4));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->gpr[RSP], USER_STACK + 4);
    assert_int_equal(cpu_rip(cpu), 0x1239);
    assert_false(far_jump(cpu, CODE0, 0, 4, 0));
    assert_int_equal(cpu->fault.error, CODE0);
}

static void test_task_switch(void **state)
{
    enum { TSS2 = 0x3800 };
    struct machine *m = *state;
    struct cpu *cpu = &m->cpu;
    protected_mode(m, false);
    poke(m, GDT + ABSENT, descriptor(TSS2, 0x67, 0x89), 8);
    poke(m, TSS2 + 0x20, 0x6000, 4);
    poke(m, TSS2 + 0x24, FLAGS_FIXED, 4);
    poke(m, TSS2 + 0x28, 0x77, 4);
    poke(m, TSS2 + 0x38, USER_STACK, 4);
    for (unsigned i = 0; i < 6; i++)
        poke(m, TSS2 + 0x48 + 4 * i, i == CS ? CODE0 : DATA0, 4);
    cpu->gpr[RAX] = 0x55;
    assert_true(far_call(cpu, ABSENT, 0, 4, 0x1239));
    assert_int_equal(cpu_rip(cpu), 0x6000);
    assert_int_equal(cpu->gpr[RAX], 0x77);
    assert_true(cpu->rflags & FLAG_NT);
    assert_int_equal(peek(m, TSS2, 2), TSS_SELECTOR);
    assert_int_equal(peek(m, GDT + ABSENT + 5, 1), 0x8B);
    assert_int_equal(peek(m, TSS + 0x20, 4), 0x1239);
    assert_true(far_iret(cpu, 4, 0x6001));
    assert_int_equal(cpu_rip(cpu), 0x1239);
    assert_int_equal(cpu->gpr[RAX], 0x55);
    assert_int_equal(peek(m, GDT + ABSENT + 5, 1), 0x89);
    assert_int_equal(cpu->tr.selector, TSS_SELECTOR);
}

static void test_breakpoints(void **state)
{
    struct cpu *cpu = &((struct machine *)*state)->cpu;
    cpu->dr[0] = 0x1000;
    cpu->dr[1] = 0x2004;
    cpu->dr7 = DR7_FIXED | 1 | 4 | 0xDull << 20; /* 0: execute; 1: write of 4 bytes */
    assert_true(debug_match_execute(cpu, 0x1000));
    assert_int_equal(cpu->fault.cr2, 1);
    assert_false(debug_match_execute(cpu, 0x2004));
    debug_match_data(cpu, 0x2004, 4, false);
    assert_int_equal(cpu->pending_db, 0);
    debug_match_data(cpu, 0x2000, 8, true);
    assert_int_equal(cpu->pending_db, 2);
    debug_enter(cpu, debug_pending_dr6(cpu) | DR6_BS);
    assert_int_equal(cpu->dr6, DR6_FIXED | 2 | DR6_BS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_cover_the_struct),
        TEST(test_reset),
        TEST(test_cpuid),
        TEST(test_models_promise_what_is_there),
        TEST(test_levels),
        TEST(test_cpuid_v4),
        TEST(test_msrs),
        TEST(test_control_registers),
        TEST(test_real_mode),
        TEST(test_protected_mode_inner),
        TEST(test_software_interrupt_dpl),
        TEST(test_double_and_triple_fault),
        TEST(test_benign_then_fault),
        TEST(test_long_mode),
        TEST(test_long_mode_same_level),
        TEST(test_ist_and_bad_stack),
        TEST(test_iret_checks),
        TEST(test_vm86),
        TEST(test_segment_loads),
        TEST(test_far_calls),
        TEST(test_task_switch),
        TEST(test_breakpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
