/*
 * Writes to the control registers: reserved bits, legal transitions, and what follows from a change (SDM vol. 3A, 2.5
 * and 4.1).
 *
 * false: #GP(0) in cpu->fault, nothing changed. On success mode and TLB fit the new value.
 */
#ifndef CPU_CONTROL_H
#define CPU_CONTROL_H

#include "cpu/cpu.h"

bool control_write_cr0(struct cpu *cpu, uint64_t value);
bool control_write_cr3(struct cpu *cpu, uint64_t value);
bool control_write_cr4(struct cpu *cpu, uint64_t value);
bool control_write_efer(struct cpu *cpu, uint64_t value);
bool control_write_xcr0(struct cpu *cpu, uint64_t value);
/* DR0..DR3, DR6, DR7 by number. */
bool control_write_dr(struct cpu *cpu, unsigned number, uint64_t value);

#endif
