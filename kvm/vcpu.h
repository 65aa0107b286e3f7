/*
 * A vCPU on /dev/kvm, by raw ioctls: a virtual machine of one vCPU and no chips, all of those being ours.
 *
 * vcpu.c opens, maps memory and runs; vcpu_state.c moves the state between `struct cpu` and the vCPU; vcpu_explain.c
 * says in words why a run ended. What KVM cannot hold stays in `struct cpu` (vcpu_state_lacks).
 */
#ifndef KVM_VCPU_H
#define KVM_VCPU_H

#include "cpu/cpu.h"
#include "kvm/xsave_image.h"

#include <linux/kvm.h>
#include <stdio.h>

#define VCPU_MSRS_MAX 64u

struct vcpu {
    int system, vm, fd; /* -1: not open */
    struct kvm_run *run;
    size_t run_bytes;
    struct xsave_layout xsave;
    uint32_t xsave_bytes; /* of KVM_GET_XSAVE2 */
    uint64_t sync_regs;   /* KVM_SYNC_X86_ bits that kvm_run carries */
    bool has_sregs2;      /* PDPTEs travel with the system registers */
    bool payload;         /* pending exceptions carry CR2 or DR6 */
    bool user_msrs;       /* unknown MSRs exit to us */
    bool msrs_probed;
    uint8_t accepts_msr[8]; /* bit set over the table in vcpu_state.c: KVM holds the MSR */
    bool timed_out;         /* the last run was ended by the watchdog */
};

/*
 * Opens /dev/kvm, makes the machine and its vCPU. 0; or a negative errno and a text for people in *why: -ENOENT,
 * -ENODEV (no such device), -EACCES (no permission), others. A failed vCPU needs no closing.
 */
int vcpu_open(struct vcpu *vcpu, const char **why);
void vcpu_close(struct vcpu *vcpu);

/* Guest-physical memory: `bytes` at `host` from `physical` on; a second call for a slot replaces it, 0 bytes removes
 * it. `flags`: KVM_MEM_ bits. 0 or a negative errno. */
int vcpu_map(struct vcpu *vcpu, unsigned slot, uint64_t physical, void *host, uint64_t bytes, uint32_t flags);

/* Gives the vCPU the CPUID of the host as KVM offers it. 0 or a negative errno. */
int vcpu_cpuid_of_host(struct vcpu *vcpu);
/* The rate of the vCPU's time-stamp counter in kHz: the one asked for, or what the host can do; 0 if it is unknown. */
uint32_t vcpu_set_tsc_khz(struct vcpu *vcpu, uint32_t khz);
/*
 * The CPUID leaves of a vCPU of ours, as its model answers; but leaves 15H and 16H name this rate of the counter, and
 * where it is not the clock's there is no TSC-deadline timer, since its deadlines would be off. 0 or a negative errno.
 */
int vcpu_cpuid_of_model(struct vcpu *vcpu, const struct cpu *cpu, uint32_t tsc_khz);

/*
 * Enters the guest until it exits, for `limit_ns` of host time at most. Returns KVM_EXIT_ of run->exit_reason;
 * KVM_EXIT_INTR when the time was over (timed_out is set) or a signal came; -errno if KVM_RUN itself failed.
 */
int vcpu_run(struct vcpu *vcpu, uint64_t limit_ns);

/* Single-steps the next run, or no longer. 0 or a negative errno. */
int vcpu_single_step(struct vcpu *vcpu, bool on);

/* --- state (vcpu_state.c) --- */

/*
 * Moves the whole state. What the kernel refuses or has no place for is left out; a field of this kind keeps what
 * `struct cpu` has when it is stored back. 0 or a negative errno of an ioctl that ought to work, with its name in *what
 * (may be NULL).
 */
int vcpu_load(struct vcpu *vcpu, const struct cpu *cpu, const char **what);
int vcpu_store(struct vcpu *vcpu, struct cpu *cpu, const char **what);

/* General registers, RIP and RFLAGS alone. */
void vcpu_put_regs(const struct cpu *cpu, struct kvm_regs *regs);
void vcpu_take_regs(const struct kvm_regs *regs, struct cpu *cpu);
/* Segments, tables and control registers alone; PDPTEs not. cpu_update_mode() is the caller's. */
void vcpu_put_sregs(const struct cpu *cpu, struct kvm_sregs *sregs);
void vcpu_take_sregs(const struct kvm_sregs *sregs, struct cpu *cpu);

/* From now on all MSRs exit but those that instructions use or that KVM must know, where this kernel has filters. */
void vcpu_filter_msrs(struct vcpu *vcpu);
/* Whether an access by the guest exits then. */
bool vcpu_msr_exits(uint32_t index, bool writes);

/* Gives KVM the value of one MSR. False: this kernel has no place for it, or refuses the value. */
bool vcpu_put_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);

/* Fields of struct cpu that a KVM vCPU has no place for by its nature: NULL-terminated names as in cpu_fields. */
extern const char *const vcpu_state_lacks[];
/* The same for this host: an MSR field that its kernel does not hold. */
bool vcpu_holds_field(const struct vcpu *vcpu, const char *field);

/* --- explanation (vcpu_explain.c) --- */

/* A line or two on why the last vcpu_run() came back, `result` being what it returned: the reason in words, and for
 * INTERNAL_ERROR, FAIL_ENTRY and SHUTDOWN registers and code bytes. `prefix` stands in front of each line. */
void vcpu_explain(struct vcpu *vcpu, int result, const char *prefix, FILE *out);
/* A KVM_EXIT_ number by name. */
const char *vcpu_exit_name(int reason);

#endif
