/*
 * Which instructions have no verdict when guests run freely on this host's KVM (exits.h), and why.
 */
#ifndef KVM_EXITS_VERDICT_H
#define KVM_EXITS_VERDICT_H

#include "cpu/isa.h"
#include "kvm/cosim.h"
#include "kvm/host.h"

struct exits_host {
    struct host_kvm kvm;
    bool user_differs;              /* CPL 3 is entered past KVM: flags of the kernel show the host's */
    bool gave_up[2][ISA_ROW_COUNT]; /* rows that KVM gave up on, with and without a memory operand */
};

/* Looks at the host. False with a text in *why: it cannot compare. */
bool exits_host_open(struct exits_host *host, const char **why);
/* Why the instruction that the interpreter is about to run gives no verdict, a constant text; NULL: it does. */
const char *exits_host_doubts(const struct exits_host *host, const struct cpu *cpu, const struct cosim_insn *at);
/* The same of what it has come to, once the interpreter has run it. */
const char *exits_host_doubts_result(const struct exits_host *host, const struct cpu *cpu, const struct cosim_insn *at);
/* Why nothing has a verdict in the mode that the vCPU is in; NULL: it has. */
const char *exits_host_doubts_mode(const struct exits_host *host, const struct cpu *cpu);
/* KVM gave up in front of it. */
void exits_host_learn(struct exits_host *host, const struct cosim_insn *at);

#endif
