/*
 * What the two halves of the generator share: choices, at random or each in its turn, and addresses.
 *
 * A plan takes a series of choices from one number, so that consecutive numbers go through all combinations: the first
 * choice changes fastest, and what is chosen later may depend on it. `combinations` is how many consecutive numbers
 * reach every combination on this path; the greatest of all paths is enough for the whole.
 */
#ifndef KVM_DIFFTEST_CHOICE_H
#define KVM_DIFFTEST_CHOICE_H

#include "kvm/difftest.h"

struct difftest_plan {
    uint64_t left, combinations;
};

static inline unsigned difftest_choose(struct difftest_plan *plan, unsigned among)
{
    unsigned choice = (unsigned)(plan->left % among);
    plan->left /= among;
    plan->combinations *= among;
    return choice;
}
/* One of the bits set in a mask that is not 0, as its number. */
static inline unsigned difftest_choose_bit(struct difftest_plan *plan, unsigned mask)
{
    unsigned skip = difftest_choose(plan, (unsigned)__builtin_popcount(mask));
    while (skip--)
        mask &= mask - 1;
    return (unsigned)__builtin_ctz(mask);
}

static inline unsigned difftest_below(struct difftest_random *random, unsigned limit)
{
    return (unsigned)((difftest_random(random) >> 32) * limit >> 32);
}
static inline bool difftest_percent(struct difftest_random *random, unsigned chance)
{
    return difftest_below(random, 100) < chance;
}

/* An address where a memory operand of so many bytes is worth being; `where` below DIFFTEST_PLACES, or that at random.
 */
#define DIFFTEST_PLACES 24u
uint64_t difftest_pick_address(struct difftest_random *random, unsigned bytes, unsigned where);
/* Bytes of the memory operand; 64 if it has no size, 8 if there is none. */
unsigned difftest_memory_bytes(const struct insn *insn);

#endif
