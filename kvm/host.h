/*
 * What this host's /dev/kvm can do, found by behaviour and never by name (docs/kvm.md).
 *
 * Hardware KVM (VMX, SVM) executes everything on the processor. A page-table-based KVM (PVM) executes 64-bit code at
 * CPL 3 on the processor and everything else in a software emulator of the kernel, which knows only a part of the
 * instructions.
 */
#ifndef KVM_HOST_H
#define KVM_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum host_kind {
    HOST_WITHOUT_KVM,
    HOST_HARDWARE,
    HOST_PVM,   /* CPL 0 in software, 64-bit CPL 3 on the processor */
    HOST_OTHER, /* probes gave an answer that fits neither */
};

/* One probe of behaviour. */
enum host_probe {
    HOST_CPL0_NATIVE,   /* ADDPS executes at CPL 0 */
    HOST_CPL0_LZCNT,    /* LZCNT at CPL 0 counts; a software emulator may take it for BSR */
    HOST_CPL3_NATIVE,   /* SSE arithmetic executes at 64-bit CPL 3 */
    HOST_CPL3_IOPL,     /* OUT at CPL 3 by IOPL 3 */
    HOST_CPL3_BITMAP,   /* OUT at CPL 3 by the I/O permission bitmap */
    HOST_CPL3_STEP,     /* KVM_GUESTDBG_SINGLESTEP exits at CPL 3 */
    HOST_CPL3_TF,       /* RFLAGS.TF at CPL 3 raises #DB in the guest */
    HOST_CPL3_GP,       /* #GP at CPL 3 comes as #GP, not as what a software emulator makes of the instruction */
    HOST_CPL3_TS,       /* CR0.TS raises #NM at CPL 3 */
    HOST_SYSCALL_CPL0,  /* SYSCALL ends at CPL 0 */
    HOST_CPL3_CPUID,    /* CPUID at CPL 3 answers what KVM_SET_CPUID2 says */
    HOST_LEGACY_PAGING, /* CR0.PG stays set outside of long mode */
    HOST_CPL0_STEP,     /* KVM_GUESTDBG_SINGLESTEP exits at CPL 0 */
    HOST_INTERRUPTS,    /* KVM_INTERRUPT is delivered */
    HOST_PROBES
};

#define HOST_CAPABILITIES 16u
struct host_kvm {
    enum host_kind kind;
    const char *why_not; /* HOST_WITHOUT_KVM: the reason */
    int error;           /* HOST_WITHOUT_KVM: negative errno */
    int api;
    int capabilities[HOST_CAPABILITIES]; /* in the order of host_capability_names; 0: absent */
    bool probes[HOST_PROBES];
};

extern const char *const host_capability_names[HOST_CAPABILITIES];
extern const char *const host_probe_texts[HOST_PROBES];

/* Opens /dev/kvm and runs the probes; takes some 20 ms. */
void host_look(struct host_kvm *host);

/* What a comparison of ours needs, and whether this host has it. */
enum host_comparison {
    HOST_INSTRUCTION_NATIVE, /* sim difftest --reference native */
    HOST_INSTRUCTION_KVM,    /* sim difftest --reference kvm */
    HOST_LOCKSTEP_CPL3,
    HOST_LOCKSTEP_CPL0,
    HOST_LOCKSTEP_LEGACY, /* 16- and 32-bit code */
    HOST_EXITS,           /* guests that are a function of their exits */
    HOST_KERNELS,         /* a general-purpose kernel under --backend kvm */
    HOST_COMPARISONS
};
enum host_trust { HOST_NO, HOST_ADVISORY, HOST_YES };
extern const char *const host_comparison_names[HOST_COMPARISONS];
/* *reason: why not, or why only advisory; "" for HOST_YES. */
enum host_trust host_can(const struct host_kvm *host, enum host_comparison comparison, const char **reason);

/* Everything above for people. */
void host_print(const struct host_kvm *host, FILE *out);

#endif
