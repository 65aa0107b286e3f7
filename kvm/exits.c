/*
 * Comparison by exits (exits.h): the legs from one common state to the next.
 */
#include "kvm/exits.h"

#include "cpu/flags.h"
#include "cpu/op.h"
#include "kvm/cosim.h"
#include "kvm/cosim_compare.h"
#include "kvm/cosim_ram.h"
#include "kvm/exits_verdict.h"
#include "kvm/vcpu_ram.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* KVM's time slices follow the interpreter's pace: legs of some ten thousand instructions. */
#define SLICE_MIN_NS    20000u
#define SLICE_MAX_NS    20000000u
#define LEG_INSNS       50000u
#define LEG_INSNS_MAX   50000000u /* the interpreter looks no further for the state that KVM stands in */
#define ACCESSES_MAX    64u       /* of one instruction */
#define FLAGS_DEBUGGERS ((uint64_t)FLAG_RF | FLAG_TF)
#define FLAGS_KERNELS   ((uint64_t)FLAG_IF | FLAG_IOPL | FLAG_NT)

struct exits {
    struct cpu *cpu;
    bool (*advance)(void *context);
    void *context;
    FILE *report;
    struct exits_totals totals;
    struct exits_host host;
    struct vcpu vcpu;
    struct cosim_ram ram;
    struct cpu state; /* what KVM has, for comparisons */
    bool behind;      /* KVM is to take the interpreter's state over */
    bool alive;       /* the interpreter's run goes on */
    bool unanswered;  /* KVM has left for a port, MMIO or an MSR and not been entered since */
    uint64_t slice_ns;
    uint64_t leg_start, leg_rip;              /* instructions and RIP at the last common state */
    uint32_t undefined;                       /* flags that the manual leaves undefined since they were written last */
    struct cosim_insn at;                     /* the interpreter's last instruction */
    struct bus_access accesses[ACCESSES_MAX]; /* that it made */
    unsigned access_count;
    uint64_t edx_eax_before;
    uint64_t kvm_rip;  /* where KVM left */
    struct cpu nearly; /* the interpreter's state where its general registers were last what KVM has */
    bool came_near;
    uint64_t near_page; /* where RAM was different there */
    unsigned near_offset;
};

/* --- opening --- */

static void see(void *spectator, const struct bus_access *access)
{
    struct exits *exits = spectator;
    if (exits->access_count < ACCESSES_MAX)
        exits->accesses[exits->access_count++] = *access;
}

static bool open_parts(struct exits *exits, const char **why)
{
    struct vcpu *vcpu = &exits->vcpu;
    struct ram *ram = &exits->cpu->board->ram;
    *why = "no memory";
    if (!cosim_ram_open(&exits->ram, ram) || vcpu_open(vcpu, why))
        return false;
    *why = "KVM takes neither RAM nor CPUID";
    if (vcpu_ram_map(vcpu, 0, 0, exits->ram.bytes, ram->size_bytes) ||
        vcpu_cpuid_of_model(vcpu, exits->cpu, vcpu_set_tsc_khz(vcpu, CLOCK_HZ / 1000)))
        return false;
    vcpu_filter_msrs(vcpu);
    return true;
}

struct exits *exits_open(struct cpu *cpu, bool (*advance)(void *context), void *context, FILE *report, const char **why)
{
    struct exits *exits = calloc(1, sizeof(*exits));
    *why = "no memory";
    if (!exits)
        return NULL;
    exits->vcpu.system = exits->vcpu.vm = exits->vcpu.fd = -1;
    exits->cpu = cpu;
    exits->advance = advance;
    exits->context = context;
    exits->report = report;
    exits->behind = exits->alive = true;
    exits->slice_ns = SLICE_MIN_NS;
    if (!exits_host_open(&exits->host, why) || !open_parts(exits, why)) {
        exits_close(exits);
        return NULL;
    }
    cpu->board->bus.seen = see;
    cpu->board->bus.spectator = exits;
    return exits;
}

void exits_close(struct exits *exits)
{
    if (!exits)
        return;
    exits->cpu->board->bus.seen = NULL;
    vcpu_close(&exits->vcpu);
    cosim_ram_close(&exits->ram);
    free(exits);
}

const struct exits_totals *exits_totals(const struct exits *exits)
{
    return &exits->totals;
}

/* --- counts --- */

static uint64_t leg_length(const struct exits *exits)
{
    return exits->cpu->retired - exits->leg_start;
}

static void begin_leg(struct exits *exits)
{
    exits->leg_start = exits->cpu->retired;
    exits->leg_rip = cpu_rip(exits->cpu);
}

/* The leg gives no verdict: KVM's part of it is taken back. */
static void without_verdict(struct exits *exits, const char *reason, const char *mnemonic)
{
    struct exits_totals *totals = &exits->totals;
    unsigned i = 0;
    while (i < totals->reason_count &&
           (strcmp(totals->reasons[i].reason, reason) != 0 || strcmp(totals->reasons[i].mnemonic, mnemonic) != 0))
        i++;
    if (i == totals->reason_count && i < EXITS_REASONS) {
        totals->reasons[i].reason = reason;
        snprintf(totals->reasons[i].mnemonic, sizeof(totals->reasons[i].mnemonic), "%s", mnemonic);
        totals->reason_count++;
    }
    if (i < EXITS_REASONS)
        totals->reasons[i].instructions += leg_length(exits);
    totals->unchecked += leg_length(exits);
    exits->behind = true;
    if (exits->slice_ns > SLICE_MIN_NS)
        exits->slice_ns /= 2;
}

static const char *mnemonic_of(const struct cosim_insn *at)
{
    return at->decoded ? at->insn.row->mnemonic : "";
}

void exits_print(const struct exits_totals *totals, FILE *out)
{
    static const char *const kinds[] = { "port", "MMIO", "MSR", "HLT" };
    uint64_t all = totals->agreed + totals->unchecked;
    fprintf(out, "by exits: %" PRIu64 " instructions\n", all);
    for (unsigned i = 0; i < EXITS_KINDS; i++)
        fprintf(out, "  %-34s %10" PRIu64 "\n", kinds[i], totals->exits[i]);
    fprintf(out, "  %-34s %10" PRIu64 "\n", "checkpoints between exits", totals->checkpoints);
    fprintf(out, "  %-34s %10" PRIu64 "\n", "events, the interpreter's alone", totals->events);
    fprintf(out, "  %-34s %10" PRIu64 "  %6.2f %%\n", "instructions equal", totals->agreed,
            all ? 100.0 * (double)totals->agreed / (double)all : 0);
    fprintf(out, "  %-34s %10" PRIu64 "  %6.2f %%\n", "instructions without a verdict", totals->unchecked,
            all ? 100.0 * (double)totals->unchecked / (double)all : 0);
    fprintf(out, "  %-34s %10" PRIu64 "\n", "differing", totals->differing);
    for (unsigned i = 0; i < totals->reason_count; i++)
        fprintf(out, "    %-10s %-60s %8" PRIu64 "\n", totals->reasons[i].mnemonic, totals->reasons[i].reason,
                totals->reasons[i].instructions);
}

/* --- the common state --- */

static void take_over(struct exits *exits)
{
    /* an exit that nobody answered is got out of the way first, or KVM would complete it in the new state */
    while (exits->unanswered && vcpu_run(&exits->vcpu, 0) != KVM_EXIT_INTR)
        ;
    exits->unanswered = false;
    vcpu_ram_written(&exits->vcpu, 0, exits->ram.size_bytes, exits->ram.written);
    cosim_ram_take(&exits->ram, true);
    exits->state = *exits->cpu;
    exits->state.shadow = 0; /* it only delays interrupts, and those are the interpreter's */
    vcpu_load(&exits->vcpu, &exits->state, NULL);
    exits->undefined = 0;
    exits->behind = false;
}

/* A REP instruction has run out, and KVM only has yet to find the count at zero. */
static bool ran_out(const struct exits *exits, uint64_t rip, uint64_t rcx)
{
    const struct cosim_insn *at = &exits->at;
    return at->decoded && at->insn.rep && rip == at->rip && cpu_rip(exits->cpu) == at->rip + at->insn.length && !rcx;
}

/* What KVM has, as far as it can be compared. */
static bool fetch(struct exits *exits)
{
    const struct cpu *cpu = exits->cpu;
    struct cpu *state = &exits->state;
    uint64_t ignored = FLAGS_DEBUGGERS | exits->undefined;
    *state = *cpu;
    if (vcpu_store(&exits->vcpu, state, NULL))
        return false;
    if (cpu->cpl == 3 && exits->host.user_differs)
        ignored |= FLAGS_KERNELS;
    if (ran_out(exits, state->gpr[GPR_RIP], state->gpr[RCX])) {
        state->gpr[GPR_RIP] = cpu_rip(cpu);
        exits->behind = true;
    }
    state->rflags = (state->rflags & ~ignored) | (cpu->rflags & ignored);
    if (exits->host.user_differs && cpu->mode & MODE_CODE64) /* nothing depends on it there */
        state->segment[SS].attributes =
            (state->segment[SS].attributes & ~SEG_TYPE_ACCESSED) | (cpu->segment[SS].attributes & SEG_TYPE_ACCESSED);
    state->shadow = cpu->shadow;
    state->nmi_blocked = cpu->nmi_blocked;
    state->pending_db = cpu->pending_db;
    return true;
}

static void differ(struct exits *exits, const char *what)
{
    char text[160] = "no instruction";
    const struct cosim_insn *at = &exits->at;
    exits->totals.differing++;
    exits->behind = true;
    if (!exits->report)
        return;
    if (at->decoded)
        insn_format(&at->insn, at->rip, text, sizeof(text));
    fprintf(exits->report, "%s\n  at cycle %" PRIu64 ", behind RIP %016" PRIx64 ", CPL %u: %s\n", what, at->cycle,
            at->rip, at->cpl, text);
    fprintf(exits->report, "  %" PRIu64 " instructions since both were equal, at RIP %016" PRIx64 "\n",
            leg_length(exits), exits->leg_rip);
}

/* Both are to be in the same state now: whether they are. */
static bool agree(struct exits *exits)
{
    const struct cpu *cpu = exits->cpu;
    uint64_t length = leg_length(exits);
    vcpu_ram_written(&exits->vcpu, 0, exits->ram.size_bytes, exits->ram.written);
    bool equal = fetch(exits) && !cosim_compare_state(cpu, &exits->state, NULL);
    if (cosim_ram_compare(&exits->ram, exits->report) || !equal) {
        differ(exits, "the states differ");
        if (exits->report)
            cosim_compare_state(cpu, &exits->state, exits->report);
        return false;
    }
    exits->totals.agreed += length;
    begin_leg(exits);
    if (exits->undefined)
        exits->behind = true; /* the flags that KVM has may be others */
    if (length < LEG_INSNS && exits->slice_ns < SLICE_MAX_NS)
        exits->slice_ns *= 2;
    else if (length > 4 * LEG_INSNS && exits->slice_ns > SLICE_MIN_NS)
        exits->slice_ns /= 2;
    return true;
}

/* Whether the interpreter stands where KVM has stopped: at the same place with the same registers, and not on one of
 * the other ways there. */
static bool meets(struct exits *exits, const struct kvm_regs *regs)
{
    struct kvm_regs ours;
    unsigned offset;
    vcpu_put_regs(exits->cpu, &ours);
    ours.rflags = regs->rflags;
    if (ran_out(exits, regs->rip, regs->rcx))
        ours.rip = regs->rip;
    if (memcmp(&ours, regs, sizeof(ours)) != 0 || !fetch(exits))
        return false;
    if (!cosim_compare_state(exits->cpu, &exits->state, NULL) &&
        cosim_ram_difference(&exits->ram, &offset) == RAM_NO_PAGE)
        return true;
    exits->nearly = *exits->cpu;
    exits->near_page = cosim_ram_difference(&exits->ram, &exits->near_offset);
    exits->came_near = true;
    return false;
}

/* The two never met: what was different where they came nearest. */
static void differ_in_place(struct exits *exits, const char *what)
{
    differ(exits, what);
    if (!exits->report)
        return;
    fprintf(exits->report, "  KVM stands at RIP %016" PRIx64 "\n", exits->kvm_rip);
    if (!exits->came_near || cosim_compare_state(&exits->nearly, &exits->state, exits->report))
        return;
    fputs("  where the registers are equal RAM is not:\n", exits->report);
    cosim_ram_print(&exits->ram, exits->near_page, exits->near_offset, exits->report);
}

/* --- exits --- */

/* KVM's view of an access, byte by byte beside the interpreter's: KVM may cut it into other pieces. */
struct match {
    struct exits *exits;
    unsigned access, byte; /* the next of the interpreter's */
};

/* The interpreter goes on in a REP instruction of which KVM has run more iterations. */
static bool more_accesses(struct exits *exits)
{
    unsigned before = exits->access_count;
    if (!exits->alive || !exits->at.decoded || !exits->at.insn.rep || cpu_rip(exits->cpu) != exits->at.rip ||
        cosim_event_due(exits->cpu))
        return false;
    exits->alive = exits->advance(exits->context);
    return exits->access_count > before;
}

/* One byte that KVM reads or writes. False: the interpreter did otherwise. */
static bool match_byte(struct match *match, bool is_port, bool is_write, uint64_t address, uint8_t *byte)
{
    struct exits *exits = match->exits;
    if (match->access == ACCESSES_MAX) /* all of them are done with */
        match->access = exits->access_count = 0;
    if (match->access == exits->access_count && !more_accesses(exits))
        return false;
    const struct bus_access *access = &exits->accesses[match->access];
    if (access->is_port != is_port || access->is_write != is_write ||
        access->address + (is_port ? 0 : match->byte) != address)
        return false;
    uint8_t ours = (uint8_t)(access->value >> (8 * match->byte));
    if (is_write && ours != *byte)
        return false;
    *byte = ours;
    if (++match->byte == access->bytes) {
        match->byte = 0;
        match->access++;
    }
    return true;
}

static bool match_port(struct match *match, struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned bytes = run->io.size * run->io.count;
    for (unsigned i = 0; i < bytes; i++)
        if (!match_byte(match, true, run->io.direction == KVM_EXIT_IO_OUT, run->io.port, data + i))
            return false;
    return true;
}

static bool match_mmio(struct match *match, struct kvm_run *run)
{
    for (unsigned i = 0; i < run->mmio.len && i < sizeof(run->mmio.data); i++)
        if (!match_byte(match, false, run->mmio.is_write, run->mmio.phys_addr + i, &run->mmio.data[i]))
            return false;
    return true;
}

static bool match_msr(struct exits *exits, struct kvm_run *run, bool is_write)
{
    const struct cpu *cpu = exits->cpu;
    bool faulted = exits->at.faulted;
    uint32_t index = (uint32_t)cpu->gpr[RCX];
    if (strcmp(mnemonic_of(&exits->at), is_write ? "WRMSR" : "RDMSR") != 0)
        return false;
    if (!faulted && run->msr.index != index)
        return false;
    if (is_write && run->msr.data != exits->edx_eax_before)
        return false;
    run->msr.error = faulted;
    if (!is_write)
        run->msr.data = cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
    else if (!faulted)
        vcpu_put_msr(&exits->vcpu, run->msr.index, run->msr.data);
    return true;
}

static bool match_exit(struct match *match, int exit, enum exits_kind *kind)
{
    struct exits *exits = match->exits;
    struct kvm_run *run = exits->vcpu.run;
    switch (exit) {
    case KVM_EXIT_IO:
        *kind = EXITS_PORT;
        return match_port(match, run);
    case KVM_EXIT_MMIO:
        *kind = EXITS_MMIO;
        return match_mmio(match, run);
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        *kind = EXITS_MSR;
        return match_msr(exits, run, exit == KVM_EXIT_X86_WRMSR);
    case KVM_EXIT_HLT:
        *kind = EXITS_HLT;
        return exits->cpu->activity == HALTED;
    default:
        return false;
    }
}

static void print_accesses(struct exits *exits, int exit)
{
    const struct kvm_run *run = exits->vcpu.run;
    FILE *out = exits->report;
    if (!out)
        return;
    for (unsigned i = 0; i < exits->access_count; i++) {
        const struct bus_access *access = &exits->accesses[i];
        fprintf(out, "  sim: %s %u bytes %s %s %" PRIx64 ": %" PRIx64 "\n", access->is_write ? "writes" : "reads",
                access->bytes, access->is_write ? "to" : "from", access->is_port ? "port" : "memory", access->address,
                access->value);
    }
    fprintf(out, "  KVM: %s at RIP %" PRIx64, vcpu_exit_name(exit), exits->kvm_rip);
    if (exit == KVM_EXIT_IO)
        fprintf(out, ", port %x, %u bytes x%u, %s", run->io.port, run->io.size, run->io.count,
                run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in");
    else if (exit == KVM_EXIT_MMIO)
        fprintf(out, ", %" PRIx64 ", %u bytes, %s", (uint64_t)run->mmio.phys_addr, run->mmio.len,
                run->mmio.is_write ? "write" : "read");
    else if (exit == KVM_EXIT_X86_RDMSR || exit == KVM_EXIT_X86_WRMSR)
        fprintf(out, ", MSR %x", run->msr.index);
    fputc('\n', out);
    if (fetch(exits))
        cosim_compare_state(exits->cpu, &exits->state, out);
}

/* The interpreter has left: KVM's exit is to be the same, and so all that completing it brings. */
static bool meet(struct exits *exits, int exit)
{
    struct match match = { .exits = exits };
    enum exits_kind kind = EXITS_PORT;
    while (exit != KVM_EXIT_INTR) {
        if (!match_exit(&match, exit, &kind)) {
            differ(exits, "the exits differ");
            print_accesses(exits, exit);
            return false;
        }
        if (exit == KVM_EXIT_HLT)
            break;
        if (kind == EXITS_MSR && exits->at.faulted) { /* KVM delivers the #GP as it goes on */
            exits->totals.exits[kind]++;
            return true;
        }
        exit = vcpu_run(&exits->vcpu, 0); /* completes it, and enters no further */
        exits->unanswered = exit != KVM_EXIT_INTR;
    }
    if (match.access != exits->access_count) {
        differ(exits, "KVM has not made all accesses");
        print_accesses(exits, exit);
        return false;
    }
    if (!agree(exits))
        return false;
    exits->totals.exits[kind]++;
    return true;
}

/* --- legs --- */

static void note_undefined(struct exits *exits)
{
    const struct cosim_insn *at = &exits->at;
    if (!at->decoded || at->faulted)
        return;
    exits->undefined &= ~at->insn.row->flags_written;
    exits->undefined |= at->insn.row->flags_undefined;
}

/* The interpreter goes on by one boundary. */
static void go_on(struct exits *exits)
{
    struct cpu *cpu = exits->cpu;
    uint64_t retired = cpu->retired;
    exits->access_count = 0;
    exits->edx_eax_before = cpu->gpr[RDX] << 32 | (uint32_t)cpu->gpr[RAX];
    exits->alive = exits->advance(exits->context);
    exits->at.faulted = cpu->retired == retired;
    note_undefined(exits);
}

/* Whether the instruction made KVM leave, by what it did. */
static bool has_left(const struct exits *exits)
{
    const char *mnemonic = mnemonic_of(&exits->at);
    bool reads = strcmp(mnemonic, "RDMSR") == 0, writes = strcmp(mnemonic, "WRMSR") == 0;
    if (exits->access_count || exits->cpu->activity == HALTED)
        return true;
    return (reads || writes) && exits->at.cpl == 0 &&
           (exits->at.faulted || vcpu_msr_exits((uint32_t)exits->cpu->gpr[RCX], writes));
}

/* KVM gave up in front of this instruction: it has no verdict. */
static bool step_over(struct exits *exits)
{
    cosim_look(exits->cpu, &exits->at);
    exits_host_learn(&exits->host, &exits->at);
    go_on(exits);
    without_verdict(exits, "KVM's emulator gave up on it", mnemonic_of(&exits->at));
    return exits->alive;
}

/* The interpreter follows KVM, which has left with this exit. False: the run is over, or they differ. */
static bool follow(struct exits *exits, int exit)
{
    struct cpu *cpu = exits->cpu;
    struct kvm_regs regs;
    bool left = exit == KVM_EXIT_IO || exit == KVM_EXIT_MMIO || exit == KVM_EXIT_X86_RDMSR ||
                exit == KVM_EXIT_X86_WRMSR || exit == KVM_EXIT_HLT || exit == KVM_EXIT_SHUTDOWN;
    if (ioctl(exits->vcpu.fd, KVM_GET_REGS, &regs)) {
        differ(exits, "KVM does not give its registers");
        return false;
    }
    exits->kvm_rip = regs.rip;
    exits->unanswered = left;
    exits->came_near = false;
    vcpu_ram_written(&exits->vcpu, 0, exits->ram.size_bytes, exits->ram.written);
    while (exits->alive) {
        if (!left && meets(exits, &regs)) {
            if (!agree(exits))
                return false;
            exits->totals.checkpoints++;
            return exit == KVM_EXIT_INTR || step_over(exits);
        }
        if (cosim_event_due(cpu)) {
            without_verdict(exits, "an event between exits", "");
            return true;
        }
        cosim_look(cpu, &exits->at);
        const char *reason = exits_host_doubts(&exits->host, cpu, &exits->at);
        go_on(exits);
        if (!reason)
            reason = exits_host_doubts_result(&exits->host, cpu, &exits->at);
        if (reason) {
            without_verdict(exits, reason, mnemonic_of(&exits->at));
            return exits->alive;
        }
        if (has_left(exits) && left)
            return meet(exits, exit);
        if (has_left(exits)) {
            differ_in_place(exits, "the interpreter leaves, and never came to where KVM stands");
            return false;
        }
        if (leg_length(exits) > LEG_INSNS_MAX) {
            differ_in_place(exits, "the interpreter does not come to where KVM stands");
            return false;
        }
    }
    if (exit == KVM_EXIT_SHUTDOWN && cpu->activity == SHUTDOWN)
        exits->totals.agreed += leg_length(exits);
    else
        without_verdict(exits, "the run ended between exits", "");
    return false;
}

/* Events are the interpreter's alone. */
static void settle_events(struct exits *exits)
{
    while (exits->alive && cosim_event_due(exits->cpu)) {
        exits->alive = exits->advance(exits->context);
        exits->totals.events++;
        exits->behind = true;
    }
}

void exits_run(struct exits *exits)
{
    for (;;) {
        settle_events(exits);
        if (!exits->alive)
            return;
        begin_leg(exits);
        const char *reason = exits_host_doubts_mode(&exits->host, exits->cpu);
        if (reason) {
            cosim_look(exits->cpu, &exits->at);
            go_on(exits);
            without_verdict(exits, reason, "");
            continue;
        }
        if (exits->behind)
            take_over(exits);
        int exit = vcpu_run(&exits->vcpu, exits->slice_ns);
        if (!follow(exits, exit) && (exits->totals.differing || !exits->alive))
            return;
    }
}
