/*
 * Debug registers: breakpoints and what is reported in DR6 (SDM vol. 3B, 18.2 and 18.3).
 *
 * Instruction breakpoints are faults before the instruction; data and I/O breakpoints, single steps and task switches
 * are traps that wait in cpu->pending_db until the boundary.
 */
#ifndef CPU_DEBUG_H
#define CPU_DEBUG_H

#include "cpu/cpu.h"

#define DR6_B_MASK   0xFull
#define DR6_BD       (1ull << 13)
#define DR6_BS       (1ull << 14)
#define DR6_BT       (1ull << 15)
#define DR6_WRITABLE (DR6_B_MASK | DR6_BD | DR6_BS | DR6_BT)
#define DR6_FIXED    0xFFFF0FF0ull
#define DR7_ENABLES  0xFFull
#define DR7_GD       (1ull << 13)
#define DR7_WRITABLE 0xFFFF23FFull
#define DR7_FIXED    0x400ull

/* cpu->pending_db: B0 to B3 in bits 3:0, and: */
#define PENDING_DB_STEP    0x10u
#define PENDING_DB_TASK    0x20u
#define PENDING_DB_NO_STEP 0x80u /* SYSCALL has cleared TF: no single-step trap behind it */

/* In fault.error of a software interrupt: INT1, whose gate's DPL is not checked. fault.reserved[0] is the instruction's
 * length. */
#define FAULT_ICEBP 1u

/* True if an enabled instruction breakpoint is at this linear address; cpu->fault is then the #DB to raise. RF is the
 * caller's to look at. */
bool debug_match_execute(struct cpu *cpu, uint64_t linear);
/* Notes the data breakpoints that an access of bytes at linear touches, for delivery behind the instruction. */
void debug_match_data(struct cpu *cpu, uint64_t linear, unsigned bytes, bool write);
/* The same for I/O breakpoints (CR4.DE). */
void debug_match_port(struct cpu *cpu, uint16_t port, unsigned bytes);
/* The DR6 bits that pending_db stands for. */
uint64_t debug_pending_dr6(const struct cpu *cpu);
/* What entering the #DB handler does: reports `bits` in DR6 and clears DR7.GD. */
void debug_enter(struct cpu *cpu, uint64_t bits);

#endif
