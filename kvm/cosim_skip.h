/*
 * The explained list of lockstep: what a KVM cannot step, or does otherwise than a processor for a good reason of its
 * own (docs/kvm.md). Each entry has a name; unit/test_cosim_skip proves that it is still needed where it applies.
 */
#ifndef KVM_COSIM_SKIP_H
#define KVM_COSIM_SKIP_H

#include "kvm/cosim.h"
#include "kvm/host.h"

/* Which part of the reference an entry is about. */
enum cosim_skip_where {
    COSIM_SKIP_USER,     /* 64-bit user code in a guest of its own (cosim_user.h): no single-step at CPL 3 */
    COSIM_SKIP_EMULATOR, /* the machine's vCPU in a software emulator */
    COSIM_SKIP_VCPU,     /* the machine's vCPU, whatever runs it */
};

/* An instruction which the interpreter has run. */
struct cosim_skip_case {
    const struct cpu *cpu; /* as it is now, behind the instruction */
    const struct host_kvm *host;
    const uint64_t *features; /* of the host's processor: bit set of enum isa_feature */
    const struct cosim_insn *at;
};

struct cosim_skip {
    const char *name;
    const char *reason;
    enum cosim_skip_where where;
    const char *const *mnemonics;                       /* ended by NULL; NULL: any */
    bool (*applies)(const struct cosim_skip_case *now); /* of these mnemonics; NULL: always */
    bool freely; /* it also holds where the guest runs freely (exits.h), not only where it is stepped */
};

extern const struct cosim_skip cosim_skips[];
extern const unsigned cosim_skip_count;

/* The first entry that is about this instruction, or NULL. user: it is to run in the user guest. except: the name of an
 * entry that is taken as absent, or NULL. */
const struct cosim_skip *cosim_skip_find(const struct cosim_skip_case *now, bool user, const char *except);
/* The same for a guest that runs freely. */
const struct cosim_skip *cosim_skip_find_freely(const struct cosim_skip_case *now, bool user);
/* True if entries of this kind are of any use on this host. */
bool cosim_skip_on_host(enum cosim_skip_where where, const struct host_kvm *host);

#endif
