/*
 * 16550A UART (National Semiconductor PC16550D data sheet). It transmits at once; bytes received enter through one
 * door.
 */
#ifndef DEVICES_UART16550_H
#define DEVICES_UART16550_H

#include "devices/board.h"

#define UART_FIFO_BYTES 16u
#define UART_CLOCK_HZ   1843200ull /* the crystal of a PC: 115200 baud at divisor 1 */

struct uart16550 {
    uint64_t timeout_cycles;               /* deadline of the character timeout */
    uint8_t receive_fifo[UART_FIFO_BYTES]; /* oldest first; bytes behind receive_count are zero */
    uint8_t receive_count;
    uint8_t ier;
    uint8_t fcr;
    uint8_t lcr;
    uint8_t mcr;
    uint8_t lsr; /* the latched errors only: OE */
    uint8_t msr;
    uint8_t scr;
    uint8_t dll;
    uint8_t dlm;
    bool thre_pending;    /* the THRE interrupt was raised and neither read from the IIR nor answered by a write */
    bool timeout_pending; /* bytes lie in the FIFO below its trigger level for four character times */
    uint8_t reserved[4];

    /* wiring */
    struct board *board;
    struct wire irq;
    void (*transmit)(void *context, uint8_t byte);
    void *transmit_context;
};

extern const struct field uart16550_fields[];
extern const unsigned uart16550_field_count;

/*
 * Joins a UART at eight ports from base on, in its reset state with CTS, DSR and DCD on. name: of the part, "uart0".
 * transmit takes each byte sent, may be NULL, and must not call back into the machine.
 */
void uart16550_attach(struct board *board, struct uart16550 *uart, const char *name, uint16_t base, struct wire irq,
                      void (*transmit)(void *context, uint8_t byte), void *transmit_context);

/* True if a byte from outside would find room: in the FIFO, or in the one-byte buffer; never in loopback. */
bool uart_can_receive(const struct uart16550 *uart);

/* A byte arrives on the line, now: the one door for input. Without room it is lost, with an overrun error. */
void uart_receive(struct uart16550 *uart, uint8_t byte);

#endif
