/*
 * sim run --profile-ops: which instruction forms, pairs of them and slow paths matter.
 *
 * While a profile is taken, lowering puts an op at the head of each block that counts how often the block is entered,
 * and notes the block's forms. Nothing is counted while the guest runs but these entries, and nothing at all without a
 * profile. The profile is no state: runs with and without it are equal. A block that is left in its middle, by a fault
 * or an event, counts as a whole; single steps and REP iterations behind the first are not among the forms.
 */
#ifndef CPU_PROFILE_H
#define CPU_PROFILE_H

#include "cpu/engine.h"
#include "cpu/insn.h"

#include <stdio.h>

/* Begins a profile on a vCPU that has not run yet. 0 or -ENOMEM. */
int profile_begin(struct cpu *cpu);
void profile_end(struct cpu *cpu);

/*
 * Makes the counting op of a block. insns: its instructions in order; ops: their ops, of which the last stands for two
 * instructions if `fused`. Without memory the block goes uncounted: op->run counts nothing then.
 */
void profile_block(struct profile *profile, const struct insn *insns, const struct op *ops, unsigned count, bool fused,
                   struct op *op);

/* The busiest `top` forms and pairs of forms, and how often the slow paths were taken. */
void profile_print(const struct cpu *cpu, unsigned top, FILE *to);

#endif
