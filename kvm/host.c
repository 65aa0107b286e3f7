/*
 * What follows from what this host's KVM can do (host.h; host_probe.c finds it), in words.
 */
#include "kvm/host.h"

#include <string.h>

const char *const host_capability_names[HOST_CAPABILITIES] = {
    "USER_MEMORY",
    "SET_GUEST_DEBUG",
    "SET_GUEST_DEBUG2",
    "VCPU_EVENTS",
    "DEBUGREGS",
    "XSAVE2",
    "XCRS",
    "SREGS2",
    "IMMEDIATE_EXIT",
    "SYNC_REGS",
    "X86_USER_MSR",
    "X86_MSR_FILTER",
    "EXCEPTION_PAYLOAD",
    "TSC_CONTROL",
    "DIRTY_LOG_RING",
    "EXIT_ON_FAILURE",
};

const char *const host_probe_texts[HOST_PROBES] = {
    [HOST_CPL0_NATIVE] = "SSE arithmetic executes at CPL 0",
    [HOST_CPL0_LZCNT] = "LZCNT at CPL 0 is no BSR",
    [HOST_CPL3_NATIVE] = "SSE arithmetic executes at 64-bit CPL 3",
    [HOST_CPL3_IOPL] = "IOPL 3 permits OUT at CPL 3",
    [HOST_CPL3_BITMAP] = "the TSS bitmap permits OUT at CPL 3",
    [HOST_CPL3_STEP] = "single-step exits at CPL 3",
    [HOST_CPL3_TF] = "RFLAGS.TF at CPL 3 raises #DB in the guest",
    [HOST_CPL3_GP] = "#GP at CPL 3 is delivered as it is",
    [HOST_CPL3_TS] = "CR0.TS raises #NM at CPL 3",
    [HOST_SYSCALL_CPL0] = "SYSCALL ends at CPL 0",
    [HOST_CPL3_CPUID] = "CPUID at CPL 3 answers what we set",
    [HOST_LEGACY_PAGING] = "there is paging outside of long mode",
    [HOST_CPL0_STEP] = "single-step exits at CPL 0",
    [HOST_INTERRUPTS] = "KVM_INTERRUPT is delivered",
};

/* --- what follows --- */

const char *const host_comparison_names[HOST_COMPARISONS] = {
    [HOST_INSTRUCTION_NATIVE] = "instructions, in this process",
    [HOST_INSTRUCTION_KVM] = "instructions, in a guest",
    [HOST_LOCKSTEP_CPL3] = "lockstep at 64-bit CPL 3",
    [HOST_LOCKSTEP_CPL0] = "lockstep at CPL 0",
    [HOST_LOCKSTEP_LEGACY] = "lockstep of 16- and 32-bit code",
    [HOST_EXITS] = "exit by exit",
    [HOST_KERNELS] = "kernels under --backend kvm",
};

enum host_trust host_can(const struct host_kvm *host, enum host_comparison comparison, const char **reason)
{
    const bool *is = host->probes;
    *reason = "";
    if (comparison == HOST_INSTRUCTION_NATIVE) {
#if defined(__x86_64__) && defined(__linux__)
        return HOST_YES;
#else
        *reason = "the host is no x86-64 Linux";
        return HOST_NO;
#endif
    }
    if (host->kind == HOST_WITHOUT_KVM) {
        *reason = host->why_not;
        return HOST_NO;
    }
    switch (comparison) {
    case HOST_INSTRUCTION_KVM:
        if (is[HOST_CPL3_NATIVE])
            return HOST_YES;
        *reason = "64-bit CPL 3 code does not run on the processor";
        return HOST_NO;
    case HOST_LOCKSTEP_CPL3:
        if (is[HOST_CPL3_STEP] && is[HOST_CPL0_NATIVE])
            return HOST_YES;
        *reason = is[HOST_CPL3_TF] ? "single-step never exits there: by RFLAGS.TF and a handler of ours"
                                   : "neither single-step nor RFLAGS.TF works there";
        return is[HOST_CPL3_TF] ? HOST_YES : HOST_NO;
    case HOST_LOCKSTEP_CPL0:
    case HOST_LOCKSTEP_LEGACY:
    case HOST_EXITS:
        if (is[HOST_CPL0_NATIVE])
            return HOST_YES;
        *reason = "runs in the kernel's software emulator: a second opinion for what it knows, no verdict on the rest";
        return is[HOST_CPL0_STEP] ? HOST_ADVISORY : HOST_NO;
    default:
        if (is[HOST_CPL0_NATIVE])
            return HOST_YES;
        *reason =
            "CPL 0 runs in the kernel's software emulator, which lacks what every kernel needs (SSE, XSAVE, STAC)";
        return HOST_NO;
    }
}

void host_print(const struct host_kvm *host, FILE *out)
{
    static const char *const kinds[] = { "none", "hardware (VMX or SVM)",
                                         "page-table-based (PVM): CPL 0 in software, 64-bit CPL 3 on the processor",
                                         "of an unknown kind" };
    static const char *const trusts[] = { "no ", "advisory", "yes" };
    if (host->kind == HOST_WITHOUT_KVM && host->error) {
        fprintf(out, "KVM: none (%s: %s)\n", host->why_not, strerror(-host->error));
    } else {
        fprintf(out, "KVM: %s, API %d\n", kinds[host->kind], host->api);
        fputs("capabilities:\n", out);
        for (unsigned i = 0; i < HOST_CAPABILITIES; i++) {
            fprintf(out, "  %-18s ", host_capability_names[i]);
            fprintf(out,
                    host->capabilities[i] > 1 ? "%#x\n"
                    : host->capabilities[i]   ? "yes\n"
                                              : "no\n",
                    (unsigned)host->capabilities[i]);
        }
        fputs("behaviour:\n", out);
        for (unsigned i = 0; i < HOST_PROBES; i++)
            fprintf(out, "  %-44s %s\n", host_probe_texts[i], host->probes[i] ? "yes" : "no");
    }
    fputs("comparisons:\n", out);
    for (unsigned i = 0; i < HOST_COMPARISONS; i++) {
        const char *reason;
        enum host_trust trust = host_can(host, (enum host_comparison)i, &reason);
        fprintf(out, "  %-32s %s%s%s\n", host_comparison_names[i], trusts[trust], *reason ? "  " : "", reason);
    }
}
