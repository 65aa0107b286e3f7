/*
 * A vCPU for people: registers in the manual's order with their bits by name, and the instruction at RIP.
 * Looking changes nothing: addresses are looked up without touching the guest's tables.
 */
#ifndef REPLAY_SHOW_H
#define REPLAY_SHOW_H

#include "cpu/cpu.h"

#include <stdio.h>

#define SHOW_INSTRUCTION_BYTES 200

/*
 * "RIP  bytes  disassembly" of the instruction at RIP as the vCPU would decode it now, or why there is none.
 * The vCPU stands at a boundary.
 */
void show_instruction(struct cpu *cpu, char out[SHOW_INSTRUCTION_BYTES]);

/* Registers, flags, control registers, segments, descriptor tables, a few lines each. */
void show_cpu(const struct cpu *cpu, FILE *out);

/* "#GP", "#PF", ...; "interrupt" for vectors without a name of their own. */
const char *show_vector(unsigned vector);

/* Vector, error code and address of a fault, for instance "#PF(0002) at ffff888000000000". Returns as snprintf does. */
int show_fault(const struct fault *fault, char *out, size_t out_bytes);

/*
 * For each vCPU that a triple fault has shut down: the title and the chain of faults ("a -> b": the delivery of a met
 * b), then lines of where it stood.
 */
void show_shutdowns(const struct board *board, const char *title, FILE *out);

/* The vCPU with this number on the board, NULL if there is none. */
struct cpu *show_find_cpu(const struct board *board, unsigned number);

#endif
