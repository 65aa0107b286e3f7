/*
 * i8042 keyboard controller (IBM PC/AT Technical Reference, keyboard controller) with nothing plugged in.
 *
 * Software probes it, resets the machine through it and opens the A20 gate with it. A device that is not there is
 * reported as the controller does: at once with FEH and the time-out bit, so a driver gives up quickly.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "devices/board.h"

struct i8042 {
    uint8_t status;      /* 64H, see i8042.c; bits that never change included */
    uint8_t output;      /* 60H, the output buffer */
    uint8_t pending;     /* the command that waits for its parameter at 60H, 0 if none */
    uint8_t output_port; /* reset 0 (low active), A20 1 */
    uint8_t ram[32];     /* byte 0 is the command byte */
    uint8_t reserved[4];

    /* wiring */
    struct board *board;
    struct wire keyboard_irq; /* IRQ 1 */
    struct wire aux_irq;      /* IRQ 12 */
};

extern const struct field i8042_fields[];
extern const unsigned i8042_field_count;

void i8042_attach(struct board *board, struct i8042 *kbc, struct wire keyboard_irq, struct wire aux_irq);

#endif
