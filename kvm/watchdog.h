/*
 * The watchdog of a vCPU: after some host time KVM_RUN is made to return with EINTR, whatever the guest does.
 *
 * A timer sends SIGALRM to the process; the handler sets kvm_run.immediate_exit of the vCPU that is being watched, so
 * that a signal that comes just before KVM_RUN is not lost. Signals are process-wide: one vCPU is watched at a time.
 */
#ifndef KVM_WATCHDOG_H
#define KVM_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_run;

/* Makes the timer and takes SIGALRM; the first call of the process does, later ones find it. 0 or a negative errno. */
int watchdog_open(void);
/* Watches a vCPU: after `ns` of host time its KVM_RUN returns. */
void watchdog_arm(struct kvm_run *run, uint64_t ns);
/* Ends it. True if the time was over. */
bool watchdog_disarm(struct kvm_run *run);

#endif
