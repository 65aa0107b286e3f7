/*
 * Stepping 64-bit user code where KVM_GUESTDBG_SINGLESTEP does not: under RFLAGS.TF in a small guest, whose page tables
 * map the reference's RAM as the interpreter's tables map it, page by page as they are touched.
 *
 * Every exception ends in a handler of ours that leaves by OUT and returns when the guest goes on.
 */
#ifndef KVM_COSIM_USER_H
#define KVM_COSIM_USER_H

#include "kvm/cosim.h"
#include "kvm/vcpu.h"

struct cosim_user;

/* ram: the reference's copy, laid out as `struct ram` has it. NULL with a text in *why. */
struct cosim_user *cosim_user_open(uint8_t *ram, uint64_t ram_bytes, const char **why);
void cosim_user_close(struct cosim_user *user);
/* Takes over the state of a vCPU at 64-bit CPL 3, and forgets all mappings. 0 or a negative errno. */
int cosim_user_override(struct cosim_user *user, const struct cpu *cpu);
/* One instruction; cr3 is the root of the tables that hold. */
struct cosim_step cosim_user_step(struct cosim_user *user, uint64_t cr3);
void cosim_user_position(const struct cosim_user *user, uint64_t *rip, uint64_t *rcx);
/* Registers, vectors and x87 as they are now; flags that CPL 3 has no say in keep their values. */
int cosim_user_store(struct cosim_user *user, struct cpu *cpu);
/* The flags of cpu replace those of the guest: after bits that the manual leaves undefined came out differently. */
void cosim_user_put_flags(struct cosim_user *user, const struct cpu *cpu);
/* Adds the pages written since the last call to a bitmap over RAM pages. */
void cosim_user_written(struct cosim_user *user, uint64_t *bitmap);

#endif
