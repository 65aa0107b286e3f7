/*
 * I/O APIC (Intel 82093AA data sheet 290566, with the EOI register of later chip sets): 24 inputs.
 */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "devices/apic_bus.h"
#include "devices/board.h"

#define IOAPIC_DEFAULT_BASE 0xFEC00000ull
#define IOAPIC_INPUTS       24u

struct ioapic {
    uint64_t redirection[IOAPIC_INPUTS];
    uint32_t lines; /* levels of the inputs, a bit each */
    uint8_t id;     /* 4 bits */
    uint8_t index;  /* IOREGSEL */
    uint8_t reserved[2];

    /* wiring */
    struct board *board;
    struct apic_bus *bus;
};

extern const struct field ioapic_fields[];
extern const unsigned ioapic_field_count;

/* Joins an I/O APIC to board and bus, whose EOIs it receives from now on. base: of its window of 4 KiB. */
void ioapic_attach(struct board *board, struct apic_bus *bus, struct ioapic *ioapic, uint64_t base, uint8_t id);

/* A wire's end: context is the struct ioapic, line 0 to 23; level: asserted, whatever polarity the input has. */
void ioapic_set_line(void *context, unsigned line, bool level);

#endif
