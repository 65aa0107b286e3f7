/*
 * From divergence to test: each difference that a co-simulation finds becomes a system vector (system_vector.h), a file
 * of its own, which `sim difftest --replay` runs without the reference.
 *
 * The state before each step is kept, RAM included. After a difference the step is run again in a machine that has
 * only the pages which it touches, on the interpreter and on a second instance of the reference; what the difference
 * does not need is taken away, and what the reference makes of the rest is what the vector expects.
 */
#ifndef KVM_COSIM_VECTOR_H
#define KVM_COSIM_VECTOR_H

#include "kvm/cosim.h"

struct cosim_vectors;

/*
 * Watches a co-simulation, whose cpu, kind and report are set, from before its first step to its end. folder: exists,
 * outlives it. step: one boundary of the interpreter, as struct system_bench has it; NULL: its own. NULL: no memory.
 */
struct cosim_vectors *cosim_vectors_open(struct cosim *cosim, const char *folder, void (*step)(struct cpu *cpu));
/* How many were written so far. */
unsigned cosim_vectors_written(const struct cosim_vectors *vectors);
/* Before the co-simulation is closed, or after. */
void cosim_vectors_close(struct cosim_vectors *vectors);

#endif
