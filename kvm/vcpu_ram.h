/*
 * Guest RAM as memory slots of a KVM machine, with dirty logs: the board's own, or a reference's copy of it.
 *
 * The bytes have the layout of `struct ram`: a page number means the same in both. The legacy hole is no slot, so that
 * an access to it exits.
 */
#ifndef KVM_VCPU_RAM_H
#define KVM_VCPU_RAM_H

#include "kvm/vcpu.h"

/* Maps RAM from slot `first_slot` on, every physical address moved up by `base`. 0 or a negative errno. */
int vcpu_ram_map(struct vcpu *vcpu, unsigned first_slot, uint64_t base, uint8_t *ram, uint64_t ram_bytes);
/* Adds the pages that the guest has written since the last call to a bitmap over RAM pages. */
void vcpu_ram_written(struct vcpu *vcpu, unsigned first_slot, uint64_t ram_bytes, uint64_t *bitmap);

#endif
