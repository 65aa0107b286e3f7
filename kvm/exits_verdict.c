/*
 * What hardware may choose, and what a page-table-based KVM does otherwise (exits_verdict.h, docs/kvm.md).
 */
#include "kvm/exits_verdict.h"

#include "cpu/op.h"
#include "kvm/cosim_skip.h"

#include <string.h>

#define MSR_TSC 0x10u

bool exits_host_open(struct exits_host *host, const char **why)
{
    host_look(&host->kvm);
    host->user_differs = !host->kvm.probes[HOST_CPL0_NATIVE];
    return host_can(&host->kvm, HOST_EXITS, why) != HOST_NO;
}

static bool is_one_of(const struct cosim_insn *at, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(at->insn.row->mnemonic, *names) == 0)
            return true;
    return false;
}

/* What leaves KVM is compared there, whatever cosim_free_choice() says of it. */
static bool leaves(const struct cosim_insn *at)
{
    static const char *const names[] = { "IN", "OUT", "INS", "OUTS", "RDMSR", "WRMSR", "HLT", NULL };
    return at->is_mmio || is_one_of(at, names);
}

/* 64-bit CPL 3 runs on the processor under the host's own tables. */
static const char *user_doubts(const struct exits_host *host, const struct cosim_insn *at)
{
    static const char *const kernel[] = { "SYSCALL", "SYSENTER", "INT", "INT1", "INTO", "IRET", NULL };
    static const char *const flags[] = { "PUSHF", "PUSHFQ", "POPF", "POPFQ", NULL };
    static const char *const ports[] = { "IN", "OUT", "INS", "OUTS", NULL };
    if (is_one_of(at, kernel))
        return "enters the kernel otherwise on a page-table-based KVM";
    if (is_one_of(at, flags))
        return "shows IF and IOPL of the host on a page-table-based KVM";
    if (is_one_of(at, ports) && !host->kvm.probes[HOST_CPL3_IOPL])
        return "IOPL is lost on a page-table-based KVM";
    return NULL;
}

const char *exits_host_doubts(const struct exits_host *host, const struct cpu *cpu, const struct cosim_insn *at)
{
    const char *choice = cosim_free_choice(at);
    if (!at->decoded)
        return NULL; /* an exception, on both sides */
    if (choice && !leaves(at))
        return choice;
    if (strcmp(at->insn.row->mnemonic, "RDMSR") == 0 && (uint32_t)cpu->gpr[RCX] == MSR_TSC)
        return "time";
    if (!host->user_differs)
        return NULL;
    bool user = at->cpl == 3 && at->insn.mode_bits == 64;
    const struct cosim_skip_case now = { .cpu = cpu, .host = &host->kvm, .at = at };
    const struct cosim_skip *skip = cosim_skip_find_freely(&now, user);
    if (skip)
        return skip->reason;
    if (user)
        return user_doubts(host, at);
    return host->gave_up[at->insn.has_memory][at->insn.row - isa_rows] ? "KVM's emulator gave up on it" : NULL;
}

const char *exits_host_doubts_mode(const struct exits_host *host, const struct cpu *cpu)
{
    if (!host->user_differs)
        return NULL;
    if (cpu->cr0 & CR0_PG && !(cpu->efer & EFER_LMA) && !host->kvm.probes[HOST_LEGACY_PAGING])
        return "this KVM has no paging outside of long mode";
    if (cpu->rflags & FLAG_VM)
        return "this KVM has no virtual-8086 mode";
    if (cpu->cpl == 3 && (cpu->mode & MODE_CODE_MASK) != MODE_CODE64)
        return "16- and 32-bit user code: KVM's emulator makes #UD of what it does not know";
    return NULL;
}

const char *exits_host_doubts_result(const struct exits_host *host, const struct cpu *cpu, const struct cosim_insn *at)
{
    static const char *const flushes[] = { "CLFLUSH", "CLFLUSHOPT", "CLWB", NULL };
    if (!host->user_differs)
        return NULL;
    if (at->decoded && at->faulted && at->insn.rep)
        return "a fault in REP: KVM's emulator forgets the iterations before it, or has read the port";
    if (at->decoded && at->faulted && is_one_of(at, flushes))
        return "KVM's emulator does not look at the address";
    if (at->faulted && cpu->fault.vector == VEC_DB)
        return "KVM pushes other flags for #DB";
    if (at->cpl == 3 && cpu->cpl != 3)
        return "an exception at CPL 3: its frame shows flags and selectors of the host";
    if (at->cpl != 3 && cpu->cpl == 3)
        return "an outer return: KVM's emulator leaves data segments and flags as they are";
    return exits_host_doubts_mode(host, cpu);
}

void exits_host_learn(struct exits_host *host, const struct cosim_insn *at)
{
    if (at->decoded)
        host->gave_up[at->insn.has_memory][at->insn.row - isa_rows] = true;
}
