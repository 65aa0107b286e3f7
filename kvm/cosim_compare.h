/*
 * The state of a vCPU as two sides have it, compared over its field table.
 */
#ifndef KVM_COSIM_COMPARE_H
#define KVM_COSIM_COMPARE_H

#include "cpu/cpu.h"

#include <stdio.h>

/*
 * The number of state fields (elements of arrays) that differ; a line each in `text` unless NULL. What the hidden part
 * of a null segment register says is the processor's own business: theirs takes ours there.
 */
unsigned cosim_compare_state(const struct cpu *ours, struct cpu *theirs, FILE *text);

#endif
