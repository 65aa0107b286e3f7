/*
 * The APIC bus: carries interrupt messages from I/O APIC and local APICs to the local APICs they address, and EOIs
 * back.
 *
 * It also holds the window at FEE00000H, in which each vCPU sees its own local APIC. Wiring only; no state of its own.
 */
#ifndef DEVICES_APIC_BUS_H
#define DEVICES_APIC_BUS_H

#include "devices/board.h"

#define APIC_BUS_LAPICS_MAX 16
#define APIC_BROADCAST      UINT32_MAX /* destination: all */

/* SDM vol. 3A, 11.6.1: the values of the delivery mode field. */
enum apic_delivery_mode {
    APIC_FIXED,
    APIC_LOWEST_PRIORITY,
    APIC_SMI,
    APIC_NMI = 4,
    APIC_INIT,
    APIC_STARTUP,
    APIC_EXTINT,
};

struct lapic;

struct apic_bus {
    struct lapic *lapics[APIC_BUS_LAPICS_MAX]; /* in the order of attachment */
    uint32_t count;
    uint32_t current; /* the vCPU whose turn it is: index of the local APIC behind the window */
    /* The EOI of a level-triggered interrupt, for the I/O APIC; set by ioapic_attach. */
    void (*eoi)(void *context, uint8_t vector);
    void *eoi_context;
    /* The 8259's INTA cycle, for interrupts of type ExtINT; set by the machine. */
    uint8_t (*extint_acknowledge)(void *context);
    void *extint_context;
};

/*
 * Sends a message. destination: an APIC id, a logical destination, or APIC_BROADCAST (a sender of 8-bit destinations
 * turns a physical FFH into it). level: trigger mode. True if at least one local APIC took it.
 */
bool apic_bus_deliver(struct apic_bus *bus, uint32_t destination, bool logical, enum apic_delivery_mode mode,
                      uint8_t vector, bool level);

/* The same, physical and edge-triggered, to all but the sender. */
bool apic_bus_deliver_others(struct apic_bus *bus, const struct lapic *sender, enum apic_delivery_mode mode,
                             uint8_t vector);

/* A wire's end: the 8259's INTR (line 0) or an NMI source (line 1), at LINT0 or LINT1 of all local APICs. */
void apic_bus_set_lint(void *context, unsigned line, bool level);

#endif
