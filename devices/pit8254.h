/*
 * 8254 programmable interval timer (Intel data sheet 231164): three counters, all six modes, read-back, BCD.
 *
 * The counters run at PIT_HZ, an exact fraction of the cycle counter. The output of counter 0 is a wire; counter 2 has
 * its gate and its output at port 61H.
 */
#ifndef DEVICES_PIT8254_H
#define DEVICES_PIT8254_H

#include "devices/board.h"

#define PIT_HZ   1193182ull
#define PIT_PORT 0x40u /* counters 0 to 2, then the control word */

enum pit_phase {
    PIT_WAITING,  /* for a count, or for a trigger; the counting element stands still */
    PIT_LOADING,  /* the counting element is loaded at origin_tick, the next CLK pulse */
    PIT_COUNTING, /* it held start_count at origin_tick */
    PIT_HALTED,   /* by its gate; it stands at start_count */
};

struct pit_channel {
    uint64_t origin_tick;    /* absolute tick of PIT_HZ since cycle 0 */
    uint64_t strobe_tick;    /* modes 4 and 5: the one tick at which OUT is low */
    uint32_t start_count;    /* 0..65536 */
    uint16_t count_register; /* as written: binary or BCD, 0 is the largest count */
    uint16_t latched_count;  /* as read: binary or BCD */
    uint8_t mode;            /* 0..5 */
    bool bcd;
    uint8_t access; /* 1 LSB, 2 MSB, 3 LSB then MSB */
    uint8_t phase;  /* enum pit_phase */
    bool gate;
    bool second_half; /* mode 3: OUT is low */
    bool expired;     /* modes 0, 1, 4, 5: the count was reached */
    bool null_count;
    bool write_msb;
    bool read_msb;
    bool count_latched;
    bool status_latched;
    uint8_t latched_status;
    uint8_t reserved[3];
};

struct pit {
    uint64_t deadline_cycles; /* next change of counter 0's OUT */
    struct pit_channel channel[3];

    /* wiring */
    struct board *board;
    struct wire irq0;
};

extern const struct field pit_fields[];
extern const unsigned pit_field_count;

/*
 * Joins the timer at ports 40H to 43H. irq0: OUT of counter 0; attach what it drives first, for OUT is high from the
 * start. At power-up, where the data sheet leaves all open, the counters wait for a count in mode 3.
 */
void pit_attach(struct board *board, struct pit *pit, struct wire irq0);

/* The gate of counter 2: bit 0 of port 61H. Those of counters 0 and 1 are tied high. */
void pit_set_gate2(struct pit *pit, bool level);
/* OUT of counter 2: bit 5 of port 61H. */
bool pit_out2(struct pit *pit);

#endif
