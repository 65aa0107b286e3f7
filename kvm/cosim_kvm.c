/*
 * KVM as the reference of a co-simulation (cosim.h).
 *
 * One vCPU holds the whole machine's state over a copy of its RAM and single-steps. Where the host's KVM does not step
 * at CPL 3 (a page-table-based one), user code runs in a guest of its own (cosim_user.h). What the software emulator of
 * such a KVM does not know, or does wrongly, is skipped with the reason.
 */
#include "kvm/cosim.h"

#include "cpu/flags.h"
#include "cpu/isa.h"
#include "cpu/mem.h"
#include "kvm/cosim_compare.h"
#include "kvm/cosim_ram.h"
#include "kvm/cosim_skip.h"
#include "kvm/cosim_user.h"
#include "kvm/difftest.h"
#include "kvm/host.h"
#include "kvm/vcpu_ram.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define LIMIT_NS 2000000000ull

enum refusal { NOT_REFUSED, REFUSED_UNKNOWN, REFUSED_RUNS_ON };
static const char *const refusals[] = { NULL, "KVM's emulator does not know it",
                                        "KVM's emulator does not stop behind it" };

struct kvm_cosim {
    struct cpu *cpu;
    struct host_kvm host;
    struct vcpu vcpu;
    struct cosim_user *user; /* NULL: vcpu steps at every CPL */
    bool at_user;            /* user's guest holds the state */
    struct cosim_ram ram;
    struct cpu state;                  /* what the reference has, for comparisons */
    uint8_t refused[2][ISA_ROW_COUNT]; /* rows KVM gave up on, with and without a memory operand: enum refusal */
    uint64_t features[2];              /* of the host's processor */
    const char *unskipped;             /* an entry of the explained list that is left out (cosim_kvm_unskip) */
    bool tainted; /* the reference has run where the interpreter has not: what it wrote is to be taken back */
};

/* --- opening --- */

static void kvm_close(void *reference)
{
    struct kvm_cosim *kvm = reference;
    cosim_user_close(kvm->user);
    vcpu_close(&kvm->vcpu);
    cosim_ram_close(&kvm->ram);
    free(kvm);
}

static bool open_parts(struct kvm_cosim *kvm, const char **why)
{
    struct vcpu *vcpu = &kvm->vcpu;
    *why = "no memory";
    if (!cosim_ram_open(&kvm->ram, &kvm->cpu->board->ram))
        return false;
    if (vcpu_open(vcpu, why))
        return false;
    *why = "KVM takes neither RAM nor CPUID";
    if (vcpu_ram_map(vcpu, 0, 0, kvm->ram.bytes, kvm->ram.size_bytes) || vcpu_cpuid_of_host(vcpu) ||
        vcpu_single_step(vcpu, true))
        return false;
    vcpu->run->kvm_valid_regs = vcpu->sync_regs & (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
    *why = "KVM does not carry registers in its run structure";
    if (vcpu->run->kvm_valid_regs != (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS))
        return false;
    if (!kvm->host.probes[HOST_CPL3_STEP])
        kvm->user = cosim_user_open(kvm->ram.bytes, kvm->ram.size_bytes, why);
    return kvm->host.probes[HOST_CPL3_STEP] || kvm->user;
}

static void *kvm_init(struct cpu *cpu, const char **why)
{
    struct kvm_cosim *kvm = calloc(1, sizeof(*kvm));
    *why = "no memory";
    if (!kvm)
        return NULL;
    kvm->cpu = cpu;
    kvm->vcpu.vm = kvm->vcpu.system = kvm->vcpu.fd = -1;
    host_look(&kvm->host);
    difftest_host_features(kvm->features);
    if (host_can(&kvm->host, HOST_LOCKSTEP_CPL0, why) != HOST_NO && open_parts(kvm, why))
        return kvm;
    kvm_close(kvm);
    return NULL;
}

/* --- taking over --- */

/* The pages that the reference has written, into kvm->ram.written. */
static void collect_written(struct kvm_cosim *kvm)
{
    vcpu_ram_written(&kvm->vcpu, 0, kvm->ram.size_bytes, kvm->ram.written);
    if (kvm->user)
        cosim_user_written(kvm->user, kvm->ram.written);
}

static void copy_written(struct kvm_cosim *kvm)
{
    if (kvm->tainted)
        collect_written(kvm);
    cosim_ram_take(&kvm->ram, kvm->tainted);
    kvm->tainted = false;
}

static bool runs_as_user(const struct kvm_cosim *kvm, const struct cpu *cpu)
{
    return kvm->user && cpu->cpl == 3 && (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
}

/* What every KVM refuses or keeps for itself: process-context identifiers. */
static void make_loadable(struct cpu *state)
{
    if (state->cr4 & CR4_PCIDE)
        state->cr3 &= ~0xFFFull;
    state->cr4 &= ~(uint64_t)CR4_PCIDE;
    state->shadow = 0; /* it only delays interrupts, and those are the interpreter's */
}

static void kvm_override(void *reference)
{
    struct kvm_cosim *kvm = reference;
    copy_written(kvm);
    kvm->at_user = runs_as_user(kvm, kvm->cpu);
    if (kvm->at_user) {
        cosim_user_override(kvm->user, kvm->cpu);
        return;
    }
    kvm->state = *kvm->cpu;
    make_loadable(&kvm->state);
    kvm->vcpu.run->kvm_dirty_regs = 0;
    vcpu_load(&kvm->vcpu, &kvm->state, NULL);
}

/* --- stepping --- */

static struct cosim_step skipped(const char *reason)
{
    return (struct cosim_step){ .result = COSIM_SKIPPED, .reason = reason };
}

static uint8_t *refusal_of(struct kvm_cosim *kvm, const struct cosim_insn *at)
{
    return &kvm->refused[at->insn.has_memory][at->insn.row - isa_rows];
}

/* Why it cannot be stepped, before it was tried; NULL: it may be. */
static const char *refuses(struct kvm_cosim *kvm, const struct cosim_insn *at)
{
    const struct cosim_skip_case now = { kvm->cpu, &kvm->host, kvm->features, at };
    const struct cosim_skip *skip = cosim_skip_find(&now, kvm->at_user, kvm->unskipped);
    return skip ? skip->reason : NULL;
}

static struct cosim_step step_system(struct kvm_cosim *kvm, const struct cosim_insn *at)
{
    if (*refusal_of(kvm, at))
        return skipped(refusals[*refusal_of(kvm, at)]);
    for (;;) {
        int exit = vcpu_run(&kvm->vcpu, LIMIT_NS);
        kvm->tainted |= at->insn.rep != 0; /* it may have run iterations that the interpreter has not */
        if (exit == KVM_EXIT_DEBUG)
            return (struct cosim_step){ .result = COSIM_STEPPED };
        if (exit == KVM_EXIT_INTR && !kvm->vcpu.timed_out)
            continue;
        kvm->tainted = true;
        if (exit == KVM_EXIT_INTERNAL_ERROR) {
            bool stood = kvm->vcpu.run->s.regs.regs.rip == at->rip;
            *refusal_of(kvm, at) = stood ? REFUSED_UNKNOWN : REFUSED_RUNS_ON;
            return skipped(refusals[*refusal_of(kvm, at)]);
        }
        if (exit == KVM_EXIT_INTR)
            return skipped("KVM did not come back from it in time");
        return skipped(exit < 0 ? "KVM_RUN failed on it" : "KVM left the guest instead of stepping");
    }
}

static struct cosim_step kvm_step(void *reference, const struct cosim_insn *at)
{
    struct kvm_cosim *kvm = reference;
    const char *why;
    if (!at->decoded)
        return skipped("its bytes cannot be fetched or decoded");
    why = refuses(kvm, at);
    if (why)
        return skipped(why);
    if (!kvm->at_user)
        return step_system(kvm, at);
    struct cosim_step step = cosim_user_step(kvm->user, at->cr3);
    kvm->tainted |= step.result != COSIM_STEPPED;
    return step;
}

static void kvm_position(void *reference, uint64_t *rip, uint64_t *rcx)
{
    struct kvm_cosim *kvm = reference;
    *rip = kvm->vcpu.run->s.regs.regs.rip;
    *rcx = kvm->vcpu.run->s.regs.regs.rcx;
    if (kvm->at_user)
        cosim_user_position(kvm->user, rip, rcx);
}

/* --- comparing --- */

/* Flags that are compared: RF is the debugger's business, TF is stepping's. */
#define FLAGS_IGNORED ((uint64_t)FLAG_RF | FLAG_TF)

/* What the reference has, in kvm->state: a copy of the interpreter's state with everything the reference knows. */
static int fetch_state(struct kvm_cosim *kvm, const struct cosim_insn *at)
{
    struct cpu *state = &kvm->state;
    const struct cpu *cpu = kvm->cpu;
    const struct isa_row *row = at->insn.row;
    *state = *cpu;
    if (kvm->at_user)
        return cosim_user_store(kvm->user, state);
    int error = 0;
    if (row->isa_class != ISA_CLASS_NONE || row->attributes & ISA_CPL0)
        error = vcpu_store(&kvm->vcpu, state, NULL);
    vcpu_take_regs(&kvm->vcpu.run->s.regs.regs, state);
    vcpu_take_sregs(&kvm->vcpu.run->s.regs.sregs, state);
    if (cpu->cr4 & CR4_PCIDE) {
        state->cr4 |= CR4_PCIDE;
        state->cr3 |= cpu->cr3 & 0xFFF;
    }
    state->shadow = cpu->shadow;
    state->nmi_blocked = cpu->nmi_blocked;
    state->pending_db = cpu->pending_db;
    return error;
}

/* The bytes of the memory operand, and those at the top of the stack, in both copies of RAM. */
static unsigned differ_operand(const struct kvm_cosim *kvm, uint64_t linear, unsigned bytes, const char *what,
                               FILE *text)
{
    uint64_t physical;
    uint8_t a[64], b[64];
    if (bytes > sizeof(a) || (linear & 4095) + bytes > RAM_PAGE_BYTES || !mmu_peek(kvm->cpu, linear, &physical))
        return 0;
    uint64_t page = ram_page_at(&kvm->cpu->board->ram, physical);
    if (page == RAM_NO_PAGE)
        return 0;
    memcpy(a, kvm->ram.bytes + page * RAM_PAGE_BYTES + physical % RAM_PAGE_BYTES, bytes);
    memcpy(b, ram_page_bytes(&kvm->cpu->board->ram, page) + physical % RAM_PAGE_BYTES, bytes);
    if (memcmp(a, b, bytes) == 0)
        return 0;
    if (text) {
        fprintf(text, "  %s at %" PRIx64 ":", what, linear);
        for (unsigned i = 0; i < bytes; i++)
            fprintf(text, " %02x", a[i]);
        fputs(" in KVM,", text);
        for (unsigned i = 0; i < bytes; i++)
            fprintf(text, " %02x", b[i]);
        fputs(" in sim\n", text);
    }
    return 1;
}

static unsigned kvm_compare(void *reference, const struct cosim_insn *at, FILE *text)
{
    struct kvm_cosim *kvm = reference;
    struct cpu *cpu = kvm->cpu, *state = &kvm->state;
    if (fetch_state(kvm, at)) {
        if (text)
            fputs("  KVM does not give its state\n", text);
        return 1;
    }
    state->rflags = (state->rflags & ~FLAGS_IGNORED) | (cpu->rflags & FLAGS_IGNORED);
    uint64_t undefined = (state->rflags ^ cpu->rflags) & at->insn.row->flags_undefined;
    state->rflags ^= undefined;
    unsigned count = cosim_compare_state(cpu, state, text);
    kvm->tainted |= count != 0;
    if (at->has_address && at->bytes_there)
        count += differ_operand(kvm, at->linear, at->bytes_there, "memory operand", text);
    if (cpu->mode & MODE_LONG)
        count += differ_operand(kvm, cpu->gpr[RSP], 8, "top of the stack", text);
    if (!count && undefined && kvm->at_user) {
        cosim_user_put_flags(kvm->user, cpu);
    } else if (!count && undefined) {
        kvm->vcpu.run->s.regs.regs.rflags = cpu->rflags;
        kvm->vcpu.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
    }
    return count;
}

static unsigned kvm_compare_memory(void *reference, FILE *text)
{
    struct kvm_cosim *kvm = reference;
    collect_written(kvm);
    return cosim_ram_compare(&kvm->ram, text);
}

static void kvm_explain(void *reference, FILE *out)
{
    struct kvm_cosim *kvm = reference;
    fprintf(out, "  the reference was KVM's %s\n",
            kvm->at_user                         ? "user guest, on the processor"
            : kvm->host.probes[HOST_CPL0_NATIVE] ? "vCPU, on the processor"
                                                 : "vCPU, in the kernel's software emulator (advisory)");
}

static const struct cpu *kvm_state(void *reference)
{
    return &((struct kvm_cosim *)reference)->state;
}

static const uint64_t *kvm_written(void *reference)
{
    struct kvm_cosim *kvm = reference;
    collect_written(kvm);
    return kvm->ram.written;
}

static const uint8_t *kvm_page(void *reference, uint64_t page)
{
    return ((struct kvm_cosim *)reference)->ram.bytes + page * RAM_PAGE_BYTES;
}

void cosim_kvm_unskip(void *reference, const char *name)
{
    ((struct kvm_cosim *)reference)->unskipped = name;
}

const struct cosim_reference cosim_kvm = {
    .name = "kvm",
    .init = kvm_init,
    .close = kvm_close,
    .override = kvm_override,
    .step = kvm_step,
    .position = kvm_position,
    .compare = kvm_compare,
    .compare_memory = kvm_compare_memory,
    .explain = kvm_explain,
    .state = kvm_state,
    .written = kvm_written,
    .page = kvm_page,
};
