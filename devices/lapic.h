/*
 * Local APIC (SDM vol. 3A, chapter 11): xAPIC and x2APIC, timer with one-shot, periodic and TSC-deadline modes.
 *
 * One per vCPU. The timer counts at the crystal's rate that CPUID leaf 15H names (divided as the DCR says). The 8259's
 * INTR line enters at LINT0 (virtual wire).
 */
#ifndef DEVICES_LAPIC_H
#define DEVICES_LAPIC_H

#include "devices/board.h"

#define LAPIC_CRYSTAL_HZ   25000000ull /* CPUID.15H:ECX; 40 cycles a tick */
#define LAPIC_DEFAULT_BASE 0xFEE00000ull

struct lapic; /* lapic_state.h has the struct, for the machine that embeds it and for tests */

/* True if an interrupt would be delivered now, were RFLAGS.IF set: a fixed one above PPR, or the 8259's through LINT0.
 */
bool lapic_interrupt_pending(const struct lapic *lapic);
/* Takes that interrupt (IRR to ISR, or the 8259's INTA cycle) and returns its vector. */
uint8_t lapic_acknowledge(struct lapic *lapic);

/* NMI, INIT and start-up requests waiting for the vCPU; taking one clears it. */
bool lapic_take_nmi(struct lapic *lapic);
bool lapic_take_init(struct lapic *lapic);
bool lapic_take_sipi(struct lapic *lapic, uint8_t *vector);
/* True if any of lapic_interrupt_pending or the three above would say yes: wakes a halted vCPU (with the proper masks).
 */
bool lapic_has_request(const struct lapic *lapic);

/* CR8: the upper four bits of the TPR. */
uint8_t lapic_cr8(const struct lapic *lapic);
void lapic_set_cr8(struct lapic *lapic, uint8_t value);

/* IA32_APIC_BASE (1BH). Setting returns false for a reserved bit or an illegal transition (SDM figure 11-27): #GP. */
uint64_t lapic_base_msr(const struct lapic *lapic);
bool lapic_set_base_msr(struct lapic *lapic, uint64_t value);

/* x2APIC registers, MSR 800H to 8FFH. false: #GP (not in x2APIC mode, reserved register or bit). */
bool lapic_x2apic_read(struct lapic *lapic, uint32_t msr, uint64_t *value);
bool lapic_x2apic_write(struct lapic *lapic, uint32_t msr, uint64_t value);

/* IA32_TSC_DEADLINE (6E0H). tsc_offset: TSC minus cycle counter, which the vCPU owns; tell every change of it. */
uint64_t lapic_tsc_deadline(const struct lapic *lapic);
void lapic_set_tsc_deadline(struct lapic *lapic, uint64_t value);
void lapic_set_tsc_offset(struct lapic *lapic, uint64_t tsc_offset);

/* INIT: all registers to their reset values but the APIC id and IA32_APIC_BASE (SDM 11.4.7.3). */
void lapic_init_reset(struct lapic *lapic);

#endif
