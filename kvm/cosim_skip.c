/*
 * The explained list of lockstep (cosim_skip.h).
 */
#include "kvm/cosim_skip.h"

#include "cpu/isa.h"

#include <string.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* --- conditions --- */

static bool is_far(const struct cosim_skip_case *now)
{
    const struct isa_row *row = now->at->insn.row;
    return strcmp(row->operands, "Mp") == 0;
}

static bool names_segment(const struct cosim_skip_case *now)
{
    const struct insn *insn = &now->at->insn;
    for (unsigned i = 0; i < insn->row->operand_count; i++)
        if (insn->row->operand[i].cls == CLASS_SEG)
            return true;
    return false;
}

static bool has_two_segments(const struct cosim_skip_case *now)
{
    return cosim_two_segments(now->at);
}

/* A register of 32 bits that does not equal EAX: the manual's pseudocode writes it back, processors do not. */
static bool is_cmpxchg_of_register(const struct cosim_skip_case *now)
{
    return !now->at->insn.has_memory && now->at->insn.operand[0].bytes == 4;
}

static bool has_tf(const struct cosim_skip_case *now)
{
    return now->cpu->rflags & FLAG_TF;
}

static bool pushes_segment_wide(const struct cosim_skip_case *now)
{
    return names_segment(now) && now->at->insn.mode_bits != 64;
}

static bool faulted(const struct cosim_skip_case *now)
{
    return now->at->faulted;
}

static bool pages_outside_long_mode(const struct cosim_skip_case *now)
{
    return now->cpu->cr0 & CR0_PG && !(now->cpu->efer & EFER_LMA) && !now->host->probes[HOST_LEGACY_PAGING];
}

static bool is_cpl3(const struct cosim_skip_case *now)
{
    return now->at->cpl == 3;
}

static bool uses_pcid(const struct cosim_skip_case *now)
{
    const struct insn *insn = &now->at->insn;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].cls == CLASS_CR && (insn->operand[i].number == 3 || insn->operand[i].number == 4))
            return now->cpu->cr4 & CR4_PCIDE;
    return false;
}

static bool host_lacks(const struct cosim_skip_case *now)
{
    unsigned feature = now->at->insn.row->feature;
    return !(now->features[feature / 64] >> (feature % 64) & 1);
}

static bool needs_ts(const struct cosim_skip_case *now)
{
    return now->at->insn.row->isa_class != ISA_CLASS_NONE && now->cpu->cr0 & (CR0_TS | CR0_EM) &&
           !now->host->probes[HOST_CPL3_TS];
}

static bool met_protection_key(const struct cosim_skip_case *now)
{
    return now->at->faulted && now->cpu->fault.vector == VEC_PF && now->cpu->fault.error & PF_PK;
}

static bool met_privilege(const struct cosim_skip_case *now)
{
    return now->at->faulted && now->cpu->fault.vector == VEC_GP && now->at->insn.row->attributes & ISA_CPL0 &&
           !now->host->probes[HOST_CPL3_GP];
}

static bool met_kernel_half(const struct cosim_skip_case *now)
{
    return now->at->faulted && now->cpu->fault.vector == VEC_PF && now->cpu->fault.cr2 >> 47;
}

/* --- the list --- */

const struct cosim_skip cosim_skips[] = {
    { "counts-zeros", "KVM's emulator executes something else", COSIM_SKIP_EMULATOR, LIST("LZCNT", "TZCNT", "MOVBE"),
      NULL, true },
    { "two-segments", "KVM's emulator takes the last segment prefix", COSIM_SKIP_EMULATOR, NULL, has_two_segments,
      true },
    { "cmpxchg-writes-back", "KVM's emulator clears the upper half of a register that is not written",
      COSIM_SKIP_EMULATOR, LIST("CMPXCHG"), is_cmpxchg_of_register, true },
    { "adjust-flags", "KVM's emulator sets SF and ZF by more than AL", COSIM_SKIP_EMULATOR, LIST("AAM", "AAD"), NULL,
      true },
    { "push-segment", "KVM's emulator leaves the upper half of the place as it was, which the manual allows",
      COSIM_SKIP_EMULATOR, LIST("PUSH"), pushes_segment_wide, true },
    { "runs-on", "KVM's emulator does not stop behind it", COSIM_SKIP_EMULATOR,
      LIST("MFENCE", "LFENCE", "SFENCE", "IRET", "SWAPGS", "SYSRET", "FXSAVE", "FXRSTOR", "RDFSBASE", "RDGSBASE",
           "WRFSBASE", "WRGSBASE", "ENDBR32", "ENDBR64"),
      NULL, false },
    { "legacy-paging", "this KVM has no paging outside of long mode", COSIM_SKIP_EMULATOR, NULL,
      pages_outside_long_mode, false },
    { "legacy-user", "16- and 32-bit user code: KVM's emulator makes #UD of what it does not know", COSIM_SKIP_EMULATOR,
      NULL, is_cpl3, false },
    { "exception", "an exception at CPL 0: single-step does not show it", COSIM_SKIP_VCPU, NULL, faulted, false },
    { "tf-hidden", "single-step hides TF", COSIM_SKIP_VCPU, LIST("PUSHF", "PUSHFD", "PUSHFQ"), has_tf, false },
    { "pcid", "KVM has no process-context identifiers here", COSIM_SKIP_VCPU, LIST("MOV"), uses_pcid, false },

    { "kernel-entry", "enters the kernel, which is not in the user guest", COSIM_SKIP_USER,
      LIST("SYSCALL", "SYSENTER", "INT", "INT1", "INT3", "IRET"), NULL, false },
    { "host-tables", "shows the host's tables on a page-table-based KVM", COSIM_SKIP_USER,
      LIST("SGDT", "SIDT", "SLDT", "STR", "SMSW", "LAR", "LSL", "VERR", "VERW"), NULL, true },
    { "tf-seen", "sees the TF that steps it", COSIM_SKIP_USER, LIST("PUSHF", "PUSHFQ"), NULL, false },
    { "segment-base", "changes a segment register", COSIM_SKIP_USER, LIST("WRFSBASE", "WRGSBASE"), NULL, false },
    { "far", "changes a segment register", COSIM_SKIP_USER, LIST("RETF", "LSS", "LFS", "LGS"), NULL, true },
    { "far-transfer", "changes CS by the host's tables", COSIM_SKIP_USER, LIST("JMP", "CALL"), is_far, true },
    { "selectors", "selectors are those of the user guest", COSIM_SKIP_USER, LIST("MOV", "PUSH", "POP"), names_segment,
      true },
    { "iopl", "IF is the kernel's, whatever IOPL says", COSIM_SKIP_USER, LIST("CLI", "STI"), NULL, true },
    { "no-ts", "CR0.TS and CR0.EM have no effect at CPL 3 on this KVM", COSIM_SKIP_USER, NULL, needs_ts, true },
    { "gp-emulated", "KVM's emulator makes another fault of a #GP", COSIM_SKIP_USER, NULL, met_privilege, true },
    { "protection-key", "protection keys do not hold in the user guest", COSIM_SKIP_USER, NULL, met_protection_key,
      false },
    { "kernel-half", "the kernel's half of the addresses is the user guest's own", COSIM_SKIP_USER, NULL,
      met_kernel_half, false },
    { "host-lacks", "the host's processor does not have it", COSIM_SKIP_USER, NULL, host_lacks, false },
};
const unsigned cosim_skip_count = sizeof(cosim_skips) / sizeof(cosim_skips[0]);

static bool is_about(const struct cosim_skip *skip, const struct cosim_skip_case *now)
{
    if (skip->mnemonics) {
        const char *const *name = skip->mnemonics;
        while (*name && strcmp(*name, now->at->insn.row->mnemonic) != 0)
            name++;
        if (!*name)
            return false;
    }
    return !skip->applies || skip->applies(now);
}

bool cosim_skip_on_host(enum cosim_skip_where where, const struct host_kvm *host)
{
    switch (where) {
    case COSIM_SKIP_USER:
        return !host->probes[HOST_CPL3_STEP];
    case COSIM_SKIP_EMULATOR:
        return !host->probes[HOST_CPL0_NATIVE];
    default:
        return true;
    }
}

static bool holds(const struct cosim_skip *skip, const struct cosim_skip_case *now, bool user)
{
    return (skip->where == COSIM_SKIP_USER) == user && cosim_skip_on_host(skip->where, now->host) &&
           is_about(skip, now);
}

const struct cosim_skip *cosim_skip_find_freely(const struct cosim_skip_case *now, bool user)
{
    for (unsigned i = 0; i < cosim_skip_count; i++)
        if (cosim_skips[i].freely && holds(&cosim_skips[i], now, user))
            return &cosim_skips[i];
    return NULL;
}

const struct cosim_skip *cosim_skip_find(const struct cosim_skip_case *now, bool user, const char *except)
{
    for (unsigned i = 0; i < cosim_skip_count; i++) {
        const struct cosim_skip *skip = &cosim_skips[i];
        if (!(except && strcmp(except, skip->name) == 0) && holds(skip, now, user))
            return skip;
    }
    return NULL;
}
