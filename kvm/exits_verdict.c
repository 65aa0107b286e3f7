/*
 * What hardware may choose, and what a page-table-based KVM does otherwise (exits_verdict.h, docs/kvm.md).
 */
#include "kvm/exits_verdict.h"

#include "cpu/op.h"

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

/* CPL 0, and 16- and 32-bit code, in the kernel's software emulator. */
static const char *emulator_doubts(const struct exits_host *host, const struct cosim_insn *at)
{
    static const char *const others[] = { "LZCNT", "TZCNT", "MOVBE", "RDPID", NULL };
    if (is_one_of(at, others) || cosim_two_segments(at))
        return "KVM's emulator executes something else";
    if (host->gave_up[at->insn.has_memory][at->insn.row - isa_rows])
        return "KVM's emulator gave up on it";
    return NULL;
}

/* 64-bit CPL 3, which runs on the processor under the host's own tables. */
static const char *user_doubts(const struct exits_host *host, const struct cpu *cpu, const struct cosim_insn *at)
{
    static const char *const kernel[] = { "SYSCALL", "SYSENTER", "INT",  "INT1", "INTO",
                                          "IRET",    "CALLF",    "JMPF", "RETF", NULL };
    static const char *const tables[] = { "SGDT", "SIDT", "SLDT", "STR", "SMSW", "LAR", "LSL", "VERR", "VERW", NULL };
    static const char *const flags[] = { "PUSHF", "PUSHFQ", "PUSHFD", "POPF", "POPFQ", "POPFD", NULL };
    static const char *const ports[] = { "IN", "OUT", "INS", "OUTS", NULL };
    if (is_one_of(at, kernel))
        return "enters the kernel otherwise on a page-table-based KVM";
    if (is_one_of(at, tables) || at->insn.row->operand[0].cls == CLASS_SEG || at->insn.row->operand[1].cls == CLASS_SEG)
        return "shows the host's tables on a page-table-based KVM";
    if (is_one_of(at, flags))
        return "shows IF and IOPL of the host on a page-table-based KVM";
    if (is_one_of(at, ports) && !host->kvm.probes[HOST_CPL3_IOPL])
        return "IOPL is lost on a page-table-based KVM";
    if (at->insn.row->isa_class != ISA_CLASS_NONE && cpu->cr0 & (CR0_TS | CR0_EM) && !host->kvm.probes[HOST_CPL3_TS])
        return "CR0.TS and CR0.EM have no effect at CPL 3 on this KVM";
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
    return at->cpl == 3 && at->insn.mode_bits == 64 ? user_doubts(host, cpu, at) : emulator_doubts(host, at);
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
    if (!host->user_differs)
        return NULL;
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
