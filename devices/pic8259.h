/*
 * The pair of 8259A interrupt controllers of a PC (Intel data sheet 231468), with the edge/level control registers of
 * later chip sets. The slave sits at input 2 of the master.
 */
#ifndef DEVICES_PIC8259_H
#define DEVICES_PIC8259_H

#include "devices/board.h"

#define PIC_MASTER_PORT 0x20u
#define PIC_SLAVE_PORT  0xA0u
#define PIC_ELCR_PORT   0x4D0u
#define PIC_CASCADE     2u

struct pic_chip {
    uint8_t lines;   /* levels of the inputs */
    uint8_t latches; /* edge-triggered requests: set by a rising edge, cleared by a falling one or by INTA */
    uint8_t imr;
    uint8_t isr;
    uint8_t elcr; /* 1: level-triggered */
    uint8_t icw2; /* bits 7:3 of the vectors */
    uint8_t icw4;
    uint8_t expected_icw;    /* 2, 3 or 4 in the middle of an initialization, else 0 */
    uint8_t lowest_priority; /* the input that has it; 7 after initialization */
    bool ltim;               /* ICW1: all inputs level-triggered */
    bool single;             /* ICW1: no ICW3 follows */
    bool needs_icw4;         /* ICW1 */
    bool special_mask;
    bool rotate_on_aeoi;
    bool read_isr; /* OCW3: what a read at the even port gives */
    bool poll;     /* OCW3: the next read is an INTA */
};

struct pic {
    struct pic_chip chip[2]; /* master, slave */

    /* wiring */
    struct board *board;
    struct wire intr;
};

extern const struct field pic_fields[];
extern const unsigned pic_field_count;

/*
 * Joins the pair. intr: the master's INT. At power-up the chips stand as the firmware of a PC leaves them: vectors 08H
 * and 70H, all inputs masked.
 */
void pic_attach(struct board *board, struct pic *pic, struct wire intr);

/* A wire's end: context is the struct pic, line 0 to 15 (2 is the cascade and has no pin). */
void pic_set_line(void *context, unsigned line, bool level);

/* The master's INT pin. */
bool pic_intr(const struct pic *pic);

/* The CPU's INTA cycles: the vector, which is that of input 7 if the request went away meanwhile. */
uint8_t pic_acknowledge(struct pic *pic);

#endif
