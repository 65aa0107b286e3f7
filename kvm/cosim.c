/*
 * The loop of a co-simulation (cosim.h), what is overridden, and the counts.
 */
#include "kvm/cosim.h"

#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/segment.h"

#include <inttypes.h>
#include <string.h>

#define MEMORY_STEPS 1024u

/* --- the next instruction --- */

static bool read_code(struct cpu *cpu, uint64_t linear, uint8_t *byte)
{
    uint64_t physical;
    return mmu_peek(cpu, linear, &physical) && ram_read(&cpu->board->ram, physical, byte, 1);
}

/* Bytes that the memory operand has, 0 where the table names no size. */
static unsigned operand_bytes(const struct insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == OPERAND_MEMORY)
            return insn->operand[i].bytes;
    return 0;
}

static void look_at_memory(struct cpu *cpu, struct cosim_insn *at)
{
    const struct insn *insn = &at->insn;
    uint64_t physical, offset = (uint64_t)insn->displacement;
    if (!insn->has_memory || insn->row->attributes & ISA_VSIB || strcmp(insn->row->mnemonic, "LEA") == 0)
        return;
    if (insn->base == INSN_BASE_RIP)
        offset += at->rip + insn->length;
    else if (insn->base < 16)
        offset += cpu->gpr[insn->base];
    if (insn->index < 16)
        offset += cpu->gpr[insn->index] << insn->scale;
    if (insn->address_bits < 64)
        offset &= insn->address_bits == 32 ? UINT32_MAX : UINT16_MAX;
    at->linear = offset + (insn->segment < SEG_FLAT ? cpu->segment_base[insn->segment] : 0);
    if (!(cpu->efer & EFER_LMA))
        at->linear = (uint32_t)at->linear;
    at->bytes_there = operand_bytes(insn);
    if (!mmu_peek(cpu, at->linear, &physical))
        return;
    at->has_address = ram_page_at(&cpu->board->ram, physical) != RAM_NO_PAGE;
    at->is_mmio = !at->has_address;
}

void cosim_look(struct cpu *cpu, struct cosim_insn *at)
{
    unsigned count = 0;
    unsigned mode_bits = (cpu->mode & MODE_CODE_MASK) == MODE_CODE64   ? 64
                         : (cpu->mode & MODE_CODE_MASK) == MODE_CODE32 ? 32
                                                                       : 16;
    memset(at, 0, sizeof(*at));
    at->cycle = cpu->board->clock.now_cycles;
    at->rip = cpu_rip(cpu);
    at->cpl = cpu->cpl;
    at->cr3 = cpu->cr3;
    uint64_t linear = mode_bits == 64 ? at->rip : (uint32_t)(cpu->segment[CS].base + at->rip);
    while (count < INSN_BYTES_MAX && read_code(cpu, linear + count, &at->bytes[count]))
        count++;
    at->decoded = count && decode(at->bytes, count, mode_bits, cpu->model->features, &at->insn) == DECODE_OK;
    if (at->decoded)
        look_at_memory(cpu, at);
}

bool cosim_two_segments(const struct cosim_insn *at)
{
    bool used = false, ignored = false;
    for (unsigned i = 0; i < at->insn.length; i++) {
        uint8_t byte = at->bytes[i];
        if (byte == 0x64 || byte == 0x65)
            used = true;
        else if (byte == 0x26 || byte == 0x2E || byte == 0x36 || byte == 0x3E)
            ignored = true;
        else if (byte != 0x66 && byte != 0x67 && byte != 0xF0 && byte != 0xF2 && byte != 0xF3)
            break;
    }
    return used && ignored && at->insn.mode_bits == 64;
}

/* --- what hardware may choose --- */

const char *cosim_free_choice(const struct cosim_insn *at)
{
    static const struct {
        const char *mnemonic, *reason;
    } choices[] = {
        { "RDTSC", "time" },
        { "RDTSCP", "time" },
        { "RDPMC", "time" },
        { "RDRAND", "entropy" },
        { "RDSEED", "entropy" },
        { "CPUID", "the model answers" },
        { "XGETBV", "the model answers" },
        { "RDPID", "the model answers" },
        { "IN", "a device" },
        { "OUT", "a device" },
        { "INS", "a device" },
        { "OUTS", "a device" },
        { "RDMSR", "MSRs are ours" },
        { "WRMSR", "MSRs are ours" },
        { "HLT", "waits" },
        { "MONITOR", "waits" },
        { "MWAIT", "waits" },
        { "XSAVE", "the image depends on the processor" },
        { "XSAVEC", "the image depends on the processor" },
        { "XSAVEOPT", "the image depends on the processor" },
        { "XSAVES", "the image depends on the processor" },
        { "WBINVD", "caches" },
        { "INVD", "caches" },
    };
    if (!at->decoded)
        return NULL;
    if (at->is_mmio)
        return "a device";
    for (unsigned i = 0; i < at->insn.operand_count; i++)
        if (at->insn.operand[i].cls == CLASS_CR && at->insn.operand[i].number == 8)
            return "the local APIC is ours";
    for (unsigned i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
        if (strcmp(at->insn.row->mnemonic, choices[i].mnemonic) == 0)
            return choices[i].reason;
    return NULL;
}

/* --- counts --- */

static void count_reason(struct cosim_totals *totals, const char *reason, const struct cosim_insn *at)
{
    const char *mnemonic = at->decoded ? at->insn.row->mnemonic : "";
    for (unsigned i = 0; i < totals->reason_count; i++) {
        struct cosim_count *count = &totals->reasons[i];
        if (strcmp(count->reason, reason) == 0 && strcmp(count->mnemonic, mnemonic) == 0) {
            count->count++;
            return;
        }
    }
    if (totals->reason_count == COSIM_REASONS)
        return;
    struct cosim_count *count = &totals->reasons[totals->reason_count++];
    *count = (struct cosim_count){ .reason = reason, .count = 1 };
    snprintf(count->mnemonic, sizeof(count->mnemonic), "%s", mnemonic);
}

static void print_share(const char *what, uint64_t count, uint64_t of, FILE *out)
{
    fprintf(out, "  %-34s %10" PRIu64 "  %6.2f %%\n", what, count, of ? 100.0 * (double)count / (double)of : 0);
}

void cosim_print_totals(const struct cosim_totals *totals, FILE *out)
{
    uint64_t all = totals->steps, user = totals->user_instructions;
    fprintf(out, "lockstep: %" PRIu64 " steps, %" PRIu64 " of them instructions at CPL 3\n", all, user);
    print_share("equal, CPL 0", totals->equal[0], all, out);
    print_share("equal, CPL 3", totals->equal[1], all, out);
    print_share("taken over (hardware may choose)", totals->injected, all, out);
    print_share("events delivered, time jumps", totals->events, all, out);
    print_share("skipped, CPL 0", totals->skipped[0], all, out);
    print_share("skipped, CPL 3 (of CPL 3)", totals->skipped[1], user, out);
    print_share("differing", totals->differing, all, out);
    for (unsigned i = 0; i < totals->reason_count; i++)
        fprintf(out, "    %-10s %-60s %8" PRIu64 "\n", totals->reasons[i].mnemonic, totals->reasons[i].reason,
                totals->reasons[i].count);
}

/* --- the loop --- */

static void report_difference(struct cosim *cosim, const struct cosim_insn *at, const struct cosim_step *step)
{
    char text[160] = "no instruction";
    FILE *out = cosim->report;
    cosim->totals.differing++;
    if (cosim->found && !cosim->found(cosim->watcher, at, step))
        cosim->made_earlier = true;
    if (!out)
        return;
    if (at->decoded)
        insn_format(&at->insn, at->rip, text, sizeof(text));
    fprintf(out, "cycle %" PRIu64 ", RIP %016" PRIx64 ", CPL %u: %s\n  bytes", at->cycle, at->rip, at->cpl, text);
    for (unsigned i = 0; at->decoded && i < at->insn.length; i++)
        fprintf(out, " %02x", at->bytes[i]);
    fputc('\n', out);
    cosim->kind->compare(cosim->reference, at, out);
    cosim->kind->explain(cosim->reference, out);
}

static void skip(struct cosim *cosim, const struct cosim_insn *at, const char *reason)
{
    cosim->totals.skipped[at->cpl == 3]++;
    count_reason(&cosim->totals, reason, at);
    cosim->behind = true;
}

/* The interpreter raised what the reference met: a fault of the instruction. */
static bool same_fault(const struct cpu *cpu, const struct fault *fault)
{
    return cpu->fault.vector == fault->vector && (!fault->has_error || cpu->fault.error == fault->error) &&
           (fault->vector != VEC_PF || cpu->cr2 == fault->cr2);
}

bool cosim_event_due(const struct cpu *cpu)
{
    return cpu->activity != ACTIVE || cpu->pending_db ||
           (lapic_has_request(cpu->lapic) && (cpu->rflags & FLAG_IF || !lapic_interrupt_pending(cpu->lapic)) &&
            !cpu->shadow);
}

/*
 * A software emulator runs many iterations of REP in one step: the interpreter follows. A last step that only finds the
 * count at zero is the reference's own. False: an event came in between, the reference is behind.
 */
static bool catch_up(struct cosim *cosim, const struct cosim_insn *at)
{
    struct cpu *cpu = cosim->cpu;
    uint64_t rip, rcx, mask = at->insn.address_bits == 64 ? UINT64_MAX : (1ull << at->insn.address_bits) - 1;
    if (!at->insn.rep || !(at->insn.row->attributes & ISA_REP))
        return true;
    cosim->kind->position(cosim->reference, &rip, &rcx);
    if (rip != at->rip && rip != at->rip + at->insn.length) {
        count_reason(&cosim->totals, "an exception in a later iteration", at);
        return false;
    }
    if (rip == at->rip && !(rcx & mask) && cosim->kind->step(cosim->reference, at).result != COSIM_STEPPED)
        return false;
    while (cpu_rip(cpu) == at->rip && (cpu->gpr[RCX] & mask) > (rcx & mask)) {
        uint64_t retired = cpu->retired;
        bool event = cosim_event_due(cpu);
        if (!cosim->advance(cosim->context))
            return false;
        cosim->totals.steps++;
        if (event || cpu->retired != retired + 1) {
            cosim->totals.events++;
            return false;
        }
        cosim->totals.equal[at->cpl == 3]++;
        cosim->totals.user_instructions += at->cpl == 3;
    }
    return true;
}

static void check(struct cosim *cosim, const struct cosim_insn *at, bool retired)
{
    struct cosim_step step = cosim->kind->step(cosim->reference, at);
    if (step.result == COSIM_SKIPPED) {
        skip(cosim, at, step.reason);
        return;
    }
    if (step.result == COSIM_FAULTED) {
        cosim->behind = true;
        if (!retired && same_fault(cosim->cpu, &step.fault)) {
            cosim->totals.equal[at->cpl == 3]++;
            return;
        }
        if (cosim->report)
            fprintf(cosim->report, "the reference met vector %u, error code %x, CR2 %016" PRIx64 "\n",
                    step.fault.vector, step.fault.error, step.fault.cr2);
        report_difference(cosim, at, &step);
        return;
    }
    if (!retired) { /* the reference ran it, the interpreter met an exception */
        if (cosim->report)
            fprintf(cosim->report, "the interpreter met vector %u, error code %x\n", cosim->cpu->fault.vector,
                    cosim->cpu->fault.error);
        report_difference(cosim, at, &step);
        cosim->behind = true;
        return;
    }
    if (!catch_up(cosim, at)) {
        cosim->totals.equal[at->cpl == 3]++;
        cosim->behind = true;
        return;
    }
    if (cosim->kind->compare(cosim->reference, at, NULL)) {
        report_difference(cosim, at, &step);
        cosim->behind = true;
        return;
    }
    cosim->totals.equal[at->cpl == 3]++;
    if (cosim->cpu->cpl != at->cpl) /* another part of the reference may be the one to go on */
        cosim->behind = true;
}

/* at: the last step, if memory was compared after the one before it; else NULL. */
static void check_memory(struct cosim *cosim, const struct cosim_insn *at)
{
    cosim->since_memory = 0;
    if (cosim->behind)
        return;
    if (!cosim->kind->compare_memory(cosim->reference, cosim->report)) {
        cosim->checked_cycle = cosim->cpu->board->clock.now_cycles;
        return;
    }
    cosim->totals.differing++;
    if (!at || (cosim->found && !cosim->found(cosim->watcher, at, NULL)))
        cosim->made_earlier = true;
    if (cosim->report)
        fprintf(cosim->report, "memory differs at cycle %" PRIu64 ", written since the last comparison\n",
                cosim->cpu->board->clock.now_cycles);
    cosim->behind = true;
}

bool cosim_step(struct cosim *cosim)
{
    struct cpu *cpu = cosim->cpu;
    struct cosim_insn at;
    cosim_look(cpu, &at);
    bool event = cosim_event_due(cpu);
    const char *choice = cosim_free_choice(&at);
    uint64_t retired = cpu->retired;
    if (cosim->before)
        cosim->before(cosim->watcher, cpu);
    if (cosim->behind && !event && !choice) {
        cosim->kind->override(cosim->reference);
        cosim->behind = false;
    }
    if (!cosim->advance(cosim->context))
        return false;
    cosim->totals.steps++;
    uint64_t ran = cpu->retired - retired;
    cosim->totals.user_instructions += at.cpl == 3 && ran == 1;
    if (event || ran > 1 || (!at.decoded && !ran)) { /* an event went first, or the fetch faulted */
        cosim->totals.events++;
        cosim->behind = true;
    } else if (choice) {
        cosim->totals.injected++;
        cosim->behind = true;
    } else {
        at.faulted = ran == 0;
        check(cosim, &at, ran == 1);
    }
    if (++cosim->since_memory >= cosim->memory_steps)
        check_memory(cosim, cosim->memory_steps == 1 && at.decoded ? &at : NULL);
    return cosim->totals.differing < cosim->differences_max;
}

bool cosim_open(struct cosim *cosim, const char **why)
{
    cosim->reference = cosim->kind->init(cosim->cpu, why);
    cosim->behind = true;
    cosim->checked_cycle = cosim->cpu->board->clock.now_cycles;
    if (!cosim->differences_max)
        cosim->differences_max = 1;
    if (!cosim->memory_steps)
        cosim->memory_steps = MEMORY_STEPS;
    return cosim->reference != NULL;
}

bool cosim_run(struct cosim *cosim, uint64_t steps)
{
    bool goes_on = true;
    uint64_t end = cosim->totals.steps + steps;
    while (cosim->totals.steps < end && goes_on)
        goes_on = cosim_step(cosim);
    check_memory(cosim, NULL);
    return goes_on && cosim->totals.differing < cosim->differences_max;
}

void cosim_close(struct cosim *cosim)
{
    if (cosim->reference)
        cosim->kind->close(cosim->reference);
    cosim->reference = NULL;
}
