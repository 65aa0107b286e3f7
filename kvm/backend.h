/*
 * A vCPU of the machine on /dev/kvm: the same board, chips and loaders, another engine (docs/kvm.md).
 *
 * KVM runs the guest on the board's own RAM and comes back for what is ours: ports, MMIO, MSRs, CR8, HLT. It counts no
 * cycles: the virtual clock follows the host's, looked at whenever the guest exits. So a run on KVM is not repeatable,
 * `struct cpu` counts no instructions, and a log made on it says that it is not exact.
 *
 * Between backend_sync() and the next backend_run(), `struct cpu` and the epochs of RAM are as if the interpreter had
 * run.
 */
#ifndef KVM_BACKEND_H
#define KVM_BACKEND_H

#include "cpu/cpu.h"

#include <stdio.h>

struct backend;

/*
 * Takes the vCPU and its board over to KVM in the state they are in. 0; or a negative errno and a text for people in
 * *why. The vCPU outlives the backend.
 */
int backend_open(struct backend **backend, struct cpu *cpu, const char **why);
/* NULL is allowed. The vCPU's state is that of the last backend_sync(). */
void backend_close(struct backend *backend);

/*
 * At a boundary: takes INIT, NMI or an external interrupt to KVM, if one is due and admitted, and wakes a halted vCPU
 * by it. What KVM cannot take yet is taken at a later call.
 */
void backend_take_interrupts(struct backend *backend);

/*
 * Enters the guest once, until it exits, the next event of the board or stop_cycle is due, or a signal came; serves the
 * exit. The clock has followed. False: KVM cannot go on with this guest (backend_explain).
 */
bool backend_run(struct backend *backend, uint64_t stop_cycle);

/* Brings all that KVM holds to `struct cpu` and the pages it has written to RAM's epochs. False: as above. */
bool backend_sync(struct backend *backend);

/* Cycles that the guest was inside KVM: what stands for retired instructions in "does it idle?". */
uint64_t backend_busy_cycles(const struct backend *backend);

/* Why backend_run() gave up, with registers and code bytes, and what to use instead. Lines begin with `prefix`. */
void backend_explain(struct backend *backend, const char *prefix, FILE *out);

#endif
