/*
 * The vCPU's state: its field table, power-up and INIT values (SDM vol. 3A, table 9-1), and what is derived from it.
 */
#include "cpu/cpu.h"

#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STATE(member)   FIELD(struct cpu, member)
#define ARRAY(member)   FIELD_ARRAY(struct cpu, member)
#define CACHED(member)  FIELD_CACHED(struct cpu, member)
#define SEGMENT(s)      STATE(s.base), STATE(s.limit), STATE(s.attributes), STATE(s.selector), ARRAY(s.reserved)
#define TABLE(t)        STATE(t.base), STATE(t.limit), ARRAY(t.reserved)
#define X87_REGISTER(i) STATE(x87.r[i].mantissa), STATE(x87.r[i].exponent), ARRAY(x87.r[i].reserved)

/* clang-format off */
const struct field cpu_fields[] = {
    ARRAY(gpr),
    CACHED(segment_base),
    CACHED(cycle), CACHED(deadline), CACHED(flag_result), CACHED(flag_carries),
    STATE(rflags),
    CACHED(tlb), CACHED(chain_generation), CACHED(engine),
    SEGMENT(segment[ES]), SEGMENT(segment[CS]), SEGMENT(segment[SS]), SEGMENT(segment[DS]), SEGMENT(segment[FS]), SEGMENT(segment[GS]),
    SEGMENT(segment[SEG_FLAT]),
    SEGMENT(ldtr), SEGMENT(tr),
    TABLE(gdtr), TABLE(idtr),
    STATE(cr0), STATE(cr2), STATE(cr3), STATE(cr4), STATE(efer), STATE(xcr0),
    ARRAY(dr), STATE(dr6), STATE(dr7),
    ARRAY(pdpte),
    STATE(tsc_offset), STATE(retired),
    ARRAY(entropy_index),
    STATE(msr.star), STATE(msr.lstar), STATE(msr.cstar), STATE(msr.sfmask), STATE(msr.kernel_gs_base),
    STATE(msr.sysenter_cs), STATE(msr.sysenter_esp), STATE(msr.sysenter_eip),
    STATE(msr.pat), STATE(msr.tsc_aux), STATE(msr.tsc_adjust), STATE(msr.misc_enable), STATE(msr.feature_control),
    STATE(msr.bios_sign_id),
    STATE(msr.mtrr_def_type), ARRAY(msr.mtrr_fixed), ARRAY(msr.mtrr_physical),
    STATE(msr.mcg_status), STATE(msr.mcg_ctl), STATE(msr.xss), STATE(msr.pkrs), STATE(msr.spec_ctrl), STATE(msr.debugctl),
    X87_REGISTER(0), X87_REGISTER(1), X87_REGISTER(2), X87_REGISTER(3),
    X87_REGISTER(4), X87_REGISTER(5), X87_REGISTER(6), X87_REGISTER(7),
    STATE(x87.fip), STATE(x87.fdp), STATE(x87.fcs), STATE(x87.fds), STATE(x87.fop), STATE(x87.fcw), STATE(x87.fsw), STATE(x87.tags),
    ARRAY(x87.reserved),
    /* 32 registers of 8 quadwords */
    { "zmm", offsetof(struct cpu, zmm), 32 * 8, 8, FIELD_STATE },
    ARRAY(opmask),
    STATE(mxcsr), STATE(pkru), STATE(cpl), STATE(activity), STATE(shadow), STATE(nmi_blocked), STATE(pending_db),
    ARRAY(reserved_state),
    CACHED(fault), CACHED(board), CACHED(lapic), CACHED(model), CACHED(mode), CACHED(id),
    CACHED(host_mxcsr), CACHED(fp_soft), CACHED(fp_soft_now), CACHED(uncached), CACHED(reserved_cache), CACHED(undefined),
    CACHED(shutdown),
};
/* clang-format on */
const unsigned cpu_field_count = FIELD_COUNT(cpu_fields);

/* Every vCPU's counter starts at the same value, which the seed decides: below 2^36, about a minute. */
static uint64_t tsc_start(const struct cpu *cpu)
{
    return entropy_draw(cpu->board->seed, ENTROPY_TSC, 0) >> 28;
}

static bool is_bootstrap(const struct cpu *cpu)
{
    return cpu->lapic ? (lapic_base_msr(cpu->lapic) >> 8) & 1 : cpu->id == 0;
}

static void reset_msrs(struct cpu *cpu)
{
    cpu->msr = (struct cpu_msrs){
        .pat = 0x0007040600070406,
        .misc_enable = MSR_MISC_ENABLE_RESET,
        .feature_control = 1, /* locked, as firmware leaves it */
        .bios_sign_id = MODEL_MICROCODE_REVISION << 32,
    };
}

static void reset_fpu(struct cpu *cpu)
{
    memset(&cpu->x87, 0, sizeof cpu->x87);
    cpu->x87.fcw = 0x40;
    cpu->x87.tags = 0xFF; /* power-up leaves +0.0 in every register, tagged zero; only FINIT makes them empty */
    memset(cpu->zmm, 0, sizeof cpu->zmm);
    memset(cpu->opmask, 0, sizeof cpu->opmask);
    cpu->mxcsr = 0x1F80;
}

void cpu_reset(struct cpu *cpu, bool init)
{
    const struct segment data = { .limit = 0xFFFF,
                                  .attributes = SEG_P | SEG_S | SEG_TYPE_WRITABLE | SEG_TYPE_ACCESSED };
    uint64_t cache_bits = init ? cpu->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;
    uint32_t signature[4];

    memset(cpu->gpr, 0, sizeof cpu->gpr);
    cpu_cpuid(cpu, 1, 0, signature);
    cpu->gpr[RDX] = signature[0];
    cpu->gpr[GPR_RIP] = 0xFFF0;
    cpu->rflags = FLAGS_FIXED;
    for (unsigned seg = 0; seg < SEG_FLAT; seg++)
        cpu->segment[seg] = data;
    cpu->segment[CS].selector = 0xF000;
    cpu->segment[CS].base = 0xFFFF0000;
    cpu->segment[SEG_FLAT] = (struct segment){ .limit = 0xFFFFFFFF };
    cpu->ldtr = (struct segment){ .limit = 0xFFFF, .attributes = SEG_P | 2 };
    cpu->tr = (struct segment){ .limit = 0xFFFF, .attributes = SEG_P | 11 };
    cpu->gdtr = cpu->idtr = (struct table_register){ .limit = 0xFFFF };
    cpu->cr0 = CR0_ET | cache_bits;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = 0;
    cpu->efer = 0;
    memset(cpu->dr, 0, sizeof cpu->dr);
    cpu->dr6 = DR6_FIXED;
    cpu->dr7 = DR7_FIXED;
    memset(cpu->pdpte, 0, sizeof cpu->pdpte);
    cpu->cpl = cpu->shadow = cpu->nmi_blocked = cpu->pending_db = 0;
    if (!init) {
        cpu->xcr0 = 1;
        cpu->pkru = 0;
        cpu->retired = 0;
        memset(cpu->entropy_index, 0, sizeof cpu->entropy_index);
        cpu->tsc_offset = tsc_start(cpu);
        reset_msrs(cpu);
        reset_fpu(cpu);
    }
    if (cpu->lapic) {
        if (init)
            lapic_init_reset(cpu->lapic);
        lapic_set_tsc_offset(cpu->lapic, cpu->tsc_offset);
    }
    cpu->activity = is_bootstrap(cpu) ? ACTIVE : WAIT_FOR_SIPI;
    flags_set_status(cpu, cpu->rflags);
    if (cpu->engine) {
        tlb_flush(cpu);
        cpu_update_mode(cpu);
    }
}

int cpu_init(struct cpu *cpu, struct board *board, struct lapic *lapic, const struct cpu_model *model, uint32_t id)
{
    static const char *const names[] = { "cpu0", "cpu1", "cpu2",  "cpu3",  "cpu4",  "cpu5",  "cpu6",  "cpu7",
                                         "cpu8", "cpu9", "cpu10", "cpu11", "cpu12", "cpu13", "cpu14", "cpu15" };
    board_assert(board, id < sizeof names / sizeof names[0]);
    memset(cpu, 0, sizeof *cpu);
    cpu->board = board;
    cpu->lapic = lapic;
    cpu->model = model;
    cpu->id = id;
    cpu->cycle = board->clock.now_cycles;
    int error = engine_init(cpu);
    if (error)
        return error;
    cpu_reset(cpu, false);
    const struct chip chip = {
        .part = { names[id], cpu, sizeof *cpu, cpu_field_count, cpu_fields },
    };
    board_attach(board, &chip);
    return 0;
}

void cpu_destroy(struct cpu *cpu)
{
    engine_destroy(cpu);
    cpu->engine = NULL;
}

void cpu_drop_caches(struct cpu *cpu)
{
    cpu->cycle = cpu->board->clock.now_cycles;
    flags_set_status(cpu, cpu->rflags);
    engine_drop(cpu);
    cpu_update_mode(cpu);
}

void cpu_uncached(struct cpu *cpu)
{
    cpu->uncached = true;
    cpu_drop_caches(cpu);
}

/* The part of mode that CS and SS decide. */
static uint32_t code_mode(const struct cpu *cpu)
{
    const struct segment *cs = &cpu->segment[CS];
    if ((cpu->efer & EFER_LMA) && (cs->attributes & SEG_L))
        return MODE_CODE64;
    return ((cs->attributes & SEG_DB) ? MODE_CODE32 : MODE_CODE16) | (cs->limit != 0xFFFFFFFF ? MODE_CS_LIMIT : 0) |
           ((cpu->segment[SS].attributes & SEG_DB) ? MODE_STACK32 : 0);
}

static uint32_t vector_mode(const struct cpu *cpu)
{
    uint32_t mode = ((cpu->cr0 & CR0_EM) ? MODE_EM : 0) | ((cpu->cr0 & CR0_TS) ? MODE_TS : 0) |
                    ((cpu->cr4 & CR4_OSFXSR) ? MODE_OSFXSR : 0);
    if (cpu->cr4 & CR4_OSXSAVE) {
        mode |= (cpu->xcr0 & 6) == 6 ? MODE_AVX : 0;
        mode |= (cpu->xcr0 & 0xE6) == 0xE6 ? MODE_AVX512 : 0;
    }
    return mode;
}

void cpu_update_mode(struct cpu *cpu)
{
    uint32_t mode = code_mode(cpu) | vector_mode(cpu) | (uint32_t)cpu->cpl << MODE_CPL_SHIFT;
    mode |= (cpu->cr0 & CR0_PE) ? MODE_PROTECTED : 0;
    mode |= (cpu->rflags & FLAG_VM) ? MODE_VM86 : 0;
    mode |= (cpu->efer & EFER_LMA) ? MODE_LONG : 0;
    mode |= (cpu->rflags & FLAG_TF) || (cpu->dr7 & DR7_ENABLES) ? MODE_STEP : 0;
    cpu->mode = mode;

    bool flat = (mode & MODE_CODE_MASK) == MODE_CODE64;
    for (unsigned seg = ES; seg <= DS; seg++)
        cpu->segment_base[seg] = flat ? 0 : cpu->segment[seg].base;
    cpu->segment_base[FS] = cpu->segment[FS].base;
    cpu->segment_base[GS] = cpu->segment[GS].base;
    cpu->segment_base[SEG_FLAT] = 0;
    tlb_select(cpu);
}
