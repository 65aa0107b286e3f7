/*
 * A small guest for KVM: a vCPU in 64-bit mode with tables of ours, for probes, for instruction tests and for stepping
 * through user code.
 *
 * Selectors are laid out like Linux's, and the TSS has an I/O permission bitmap, because a page-table-based KVM runs
 * CPL 3 under the host's own descriptor tables and ignores IOPL (docs/kvm.md). The guest's system structures lie in
 * the page that SMALL_GUEST_SYSTEM is the linear address of; callers map what else they need.
 */
#ifndef KVM_SMALL_GUEST_H
#define KVM_SMALL_GUEST_H

#include "kvm/vcpu.h"

enum {
    SMALL_GUEST_KERNEL_CS = 0x10,
    SMALL_GUEST_KERNEL_SS = 0x18,
    SMALL_GUEST_USER_SS = 0x2B,
    SMALL_GUEST_USER_CS = 0x33,
    SMALL_GUEST_TR = 0x40,
};

/* Linear address of physical 0 of the guest's own memory, for CPL 0 alone. */
#define SMALL_GUEST_KERNEL 0xFFFFFFFF80000000ull
/* The first physical address that is the caller's to use. */
#define SMALL_GUEST_FREE 0x10000ull

/* Flags of a mapping: the bits of a page-table entry (SDM vol. 3A, 4.5). */
#define SMALL_GUEST_WRITE      (1ull << 1)
#define SMALL_GUEST_USER       (1ull << 2)
#define SMALL_GUEST_NO_EXECUTE (1ull << 63)

struct small_guest {
    struct vcpu vcpu;
    uint8_t *memory; /* its own physical memory, from 0 on; owned */
    uint64_t memory_bytes;
    uint64_t next_free; /* physical */
};

/* memory_bytes: a multiple of 4096. 0, or a negative errno with a text in *why. */
int small_guest_open(struct small_guest *guest, uint64_t memory_bytes, const char **why);
void small_guest_close(struct small_guest *guest);

/* Takes zeroed pages of its memory; the physical address, or 0 if there are no more. */
uint64_t small_guest_take(struct small_guest *guest, unsigned pages);
/* Host address of its memory. */
static inline void *small_guest_at(struct small_guest *guest, uint64_t physical)
{
    return guest->memory + physical;
}

/* Maps a page, or takes the mapping away. False: no memory for the tables. */
bool small_guest_map(struct small_guest *guest, uint64_t linear, uint64_t physical, uint64_t flags);
bool small_guest_unmap(struct small_guest *guest, uint64_t linear);
/* Forgets every mapping of the lower half, and everything taken since next_free was `mark`. */
void small_guest_forget(struct small_guest *guest, uint64_t mark);

/* An interrupt gate (type EH); dpl 0 or 3. */
void small_guest_gate(struct small_guest *guest, unsigned vector, uint64_t handler, unsigned dpl);
/* The stack that exceptions from CPL 3 are delivered on: its end. */
void small_guest_stack(struct small_guest *guest, uint64_t end);
/* Ports in [first, first + count) may be used at CPL 3. */
void small_guest_allow_ports(struct small_guest *guest, unsigned first, unsigned count);

/* The system registers of 64-bit mode at CPL 0 or 3; for the caller to change and to set. */
void small_guest_sregs(const struct small_guest *guest, unsigned cpl, struct kvm_sregs *sregs);

#endif
