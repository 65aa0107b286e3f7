/*
 * 16550A UART (PC16550D data sheet, section 8).
 *
 *   +0 RBR (r), THR (w); DLL if DLAB     +4 MCR  DTR 0, RTS 1, OUT1 2, OUT2 3, LOOP 4
 *   +1 IER  RDA 0, THRE 1, RLS 2, MSI 3  +5 LSR  DR 0, OE 1, PE 2, FE 3, BI 4, THRE 5, TEMT 6
 *      DLM if DLAB                       +6 MSR  deltas 3:0, CTS 4, DSR 5, RI 6, DCD 7
 *   +2 IIR (r), FCR (w)                  +7 SCR
 *   +3 LCR  WLS 1:0, STB 2, PEN 3, DLAB 7
 *
 * The transmitter is infinitely fast, so THRE and TEMT always read one; line errors but the overrun do not exist. As on
 * a PC, the pin OUT2 gates the interrupt line; loopback turns the pins off (section 8.6.7), so it closes that gate.
 */
#include "devices/uart16550.h"

#include <string.h>

enum {
    REG_DATA,
    REG_IER,
    REG_IIR_FCR,
    REG_LCR,
    REG_MCR,
    REG_LSR,
    REG_MSR,
    REG_SCR,

    IER_RDA = 0x01,
    IER_THRE = 0x02,
    IER_RLS = 0x04,
    IER_MSI = 0x08,

    IIR_MSI = 0x00,
    IIR_NONE = 0x01,
    IIR_THRE = 0x02,
    IIR_RDA = 0x04,
    IIR_RLS = 0x06,
    IIR_TIMEOUT = 0x0C,
    IIR_FIFOS = 0xC0,

    FCR_ENABLE = 0x01,
    FCR_RESET_RECEIVER = 0x02,
    FCR_WRITABLE = 0xC9, /* trigger, DMA mode, enable; the resets clear themselves */

    LCR_STB = 0x04,
    LCR_PEN = 0x08,
    LCR_8N1 = 0x03,
    LCR_DLAB = 0x80,

    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,
    MCR_WRITABLE = 0x1F,

    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,

    MSR_DELTAS = 0x0F,
    MSR_TERI = 0x04,
    MSR_RI = 0x40,
    MSR_CONNECTED = 0xB0, /* CTS, DSR, DCD */
};

const struct field uart16550_fields[] = {
    FIELD(struct uart16550, timeout_cycles),
    FIELD_ARRAY(struct uart16550, receive_fifo),
    FIELD(struct uart16550, receive_count),
    FIELD(struct uart16550, ier),
    FIELD(struct uart16550, fcr),
    FIELD(struct uart16550, lcr),
    FIELD(struct uart16550, mcr),
    FIELD(struct uart16550, lsr),
    FIELD(struct uart16550, msr),
    FIELD(struct uart16550, scr),
    FIELD(struct uart16550, dll),
    FIELD(struct uart16550, dlm),
    FIELD(struct uart16550, thre_pending),
    FIELD(struct uart16550, timeout_pending),
    FIELD_CACHED(struct uart16550, reserved),
    FIELD_CACHED(struct uart16550, board),
    FIELD_CACHED(struct uart16550, irq),
    FIELD_CACHED(struct uart16550, transmit),
    FIELD_CACHED(struct uart16550, transmit_context),
};
const unsigned uart16550_field_count = FIELD_COUNT(uart16550_fields);

static unsigned room_total(const struct uart16550 *uart)
{
    return uart->fcr & FCR_ENABLE ? UART_FIFO_BYTES : 1;
}

static unsigned trigger_level(const struct uart16550 *uart)
{
    static const uint8_t levels[4] = { 1, 4, 8, 14 };

    return uart->fcr & FCR_ENABLE ? levels[uart->fcr >> 6] : 1;
}

/* Of the pending interrupts the one of highest priority (table IV), without the FIFO bits. */
static uint8_t interrupt_source(const struct uart16550 *uart)
{
    if (uart->ier & IER_RLS && uart->lsr)
        return IIR_RLS;
    if (uart->ier & IER_RDA && uart->receive_count >= trigger_level(uart))
        return IIR_RDA;
    if (uart->ier & IER_RDA && uart->timeout_pending)
        return IIR_TIMEOUT;
    if (uart->ier & IER_THRE && uart->thre_pending)
        return IIR_THRE;
    if (uart->ier & IER_MSI && uart->msr & MSR_DELTAS)
        return IIR_MSI;
    return IIR_NONE;
}

static void update_irq(struct uart16550 *uart)
{
    bool gate = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    wire_set(&uart->irq, gate && interrupt_source(uart) != IIR_NONE);
}

/* Four character times at the programmed rate and format, in cycles. One and a half stop bits make half bits needed. */
static uint64_t timeout_length(const struct uart16550 *uart)
{
    unsigned data_bits = 5 + (uart->lcr & 3);
    unsigned stop_half_bits = !(uart->lcr & LCR_STB) ? 2 : data_bits == 5 ? 3 : 4;
    unsigned half_bits = 2 * (1 + data_bits + (uart->lcr & LCR_PEN ? 1 : 0)) + stop_half_bits;
    uint64_t divisor = (uint64_t)uart->dlm << 8 | uart->dll;

    if (divisor == 0)
        divisor = 0x10000; /* a counter that is loaded with zero runs through */
    return clock_cycle_of_tick(4 * 8 * half_bits * divisor, UART_CLOCK_HZ); /* 16 clocks a bit */
}

/* The timeout counts from the last byte that came or was read, while any is left (section 8.7, FIFO interrupt mode). */
static void restart_timeout(struct uart16550 *uart)
{
    struct clock *clock = &uart->board->clock;
    bool runs = uart->fcr & FCR_ENABLE && uart->receive_count;

    uart->timeout_pending = false;
    if (runs)
        clock_arm(clock, &uart->timeout_cycles, clock->now_cycles + timeout_length(uart));
    else if (uart->timeout_cycles != CLOCK_NEVER)
        clock_arm(clock, &uart->timeout_cycles, CLOCK_NEVER);
}

static void timeout_fire(void *chip, uint64_t due_cycle)
{
    struct uart16550 *uart = (struct uart16550 *)chip;

    (void)due_cycle;
    uart->timeout_cycles = CLOCK_NEVER;
    uart->timeout_pending = true;
    update_irq(uart);
}

static uint8_t word_mask(const struct uart16550 *uart)
{
    return (uint8_t)(0xFF >> (3 - (uart->lcr & 3)));
}

static void receiver_clear(struct uart16550 *uart)
{
    memset(uart->receive_fifo, 0, sizeof(uart->receive_fifo));
    uart->receive_count = 0;
    restart_timeout(uart);
}

static void receiver_put(struct uart16550 *uart, uint8_t byte)
{
    bool full = uart->receive_count == room_total(uart);

    /* An overrun loses the new byte in FIFO mode, where it never leaves the shift register, else the old one. */
    if (full)
        uart->lsr |= LSR_OE;
    if (full && !(uart->fcr & FCR_ENABLE))
        uart->receive_count = 0;
    if (!full || !(uart->fcr & FCR_ENABLE))
        uart->receive_fifo[uart->receive_count++] = byte & word_mask(uart);
    restart_timeout(uart);
    update_irq(uart);
}

static uint8_t receiver_take(struct uart16550 *uart)
{
    uint8_t byte = uart->receive_fifo[0];

    if (uart->receive_count) {
        uart->receive_count--;
        memmove(uart->receive_fifo, uart->receive_fifo + 1, UART_FIFO_BYTES - 1);
        uart->receive_fifo[UART_FIFO_BYTES - 1] = 0;
        restart_timeout(uart);
        update_irq(uart);
    }
    return byte;
}

bool uart_can_receive(const struct uart16550 *uart)
{
    return !(uart->mcr & MCR_LOOP) && uart->receive_count < room_total(uart);
}

void uart_receive(struct uart16550 *uart, uint8_t byte)
{
    if (!(uart->mcr & MCR_LOOP)) /* loopback disconnects the line from the receiver */
        receiver_put(uart, byte);
}

static void write_thr(struct uart16550 *uart, uint8_t byte)
{
    /* The write takes the request back, the byte that has left raises it again: an edge for each byte. */
    uart->thre_pending = false;
    update_irq(uart);
    if (uart->mcr & MCR_LOOP)
        receiver_put(uart, byte & word_mask(uart));
    else if (uart->transmit)
        uart->transmit(uart->transmit_context, byte & word_mask(uart));
    uart->thre_pending = true;
}

static void write_fcr(struct uart16550 *uart, uint8_t value)
{
    bool toggled = (value ^ uart->fcr) & FCR_ENABLE;

    uart->fcr = value & FCR_ENABLE ? value & FCR_WRITABLE : 0; /* bit 0 must be set for the others to be programmed */
    if (toggled || (value & FCR_ENABLE && value & FCR_RESET_RECEIVER))
        receiver_clear(uart);
}

/* In loopback DTR, RTS, OUT1 and OUT2 drive DSR, CTS, RI and DCD. Changes latch the deltas; RI only its falling edge.
 */
static void write_mcr(struct uart16550 *uart, uint8_t value)
{
    uint8_t was = uart->msr & 0xF0;
    uint8_t is = MSR_CONNECTED;

    uart->mcr = value & MCR_WRITABLE;
    if (value & MCR_LOOP)
        is = (uint8_t)((value & 0x02) << 3 | (value & 0x01) << 5 | (value & 0x0C) << 4);
    uint8_t deltas = (uint8_t)((was ^ is) >> 4);
    if (!(was & MSR_RI))
        deltas &= (uint8_t)~MSR_TERI;
    uart->msr = (uint8_t)(is | (uart->msr & MSR_DELTAS) | deltas);
}

static uint64_t uart_read(void *device, uint64_t offset, unsigned bytes)
{
    struct uart16550 *uart = (struct uart16550 *)device;
    uint8_t value;

    (void)bytes;
    switch (offset) {
    case REG_DATA:
        return uart->lcr & LCR_DLAB ? uart->dll : receiver_take(uart);
    case REG_IER:
        return uart->lcr & LCR_DLAB ? uart->dlm : uart->ier;
    case REG_IIR_FCR:
        value = interrupt_source(uart);
        if (value == IIR_THRE) {
            uart->thre_pending = false;
            update_irq(uart);
        }
        return value | (uart->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
    case REG_LCR:
        return uart->lcr;
    case REG_MCR:
        return uart->mcr;
    case REG_LSR:
        value = (uint8_t)(LSR_THRE | LSR_TEMT | uart->lsr | (uart->receive_count ? LSR_DR : 0));
        if (uart->lsr) {
            uart->lsr = 0;
            update_irq(uart);
        }
        return value;
    case REG_MSR:
        value = uart->msr;
        if (value & MSR_DELTAS) {
            uart->msr &= (uint8_t)~MSR_DELTAS;
            update_irq(uart);
        }
        return value;
    default:
        return uart->scr;
    }
}

static void uart_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct uart16550 *uart = (struct uart16550 *)device;
    uint8_t byte = (uint8_t)value;

    (void)bytes;
    switch (offset) {
    case REG_DATA:
        if (uart->lcr & LCR_DLAB)
            uart->dll = byte;
        else
            write_thr(uart, byte);
        break;
    case REG_IER:
        if (uart->lcr & LCR_DLAB) {
            uart->dlm = byte;
            break;
        }
        if (byte & ~uart->ier & IER_THRE)
            uart->thre_pending = true; /* enabling the interrupt while the holding register is empty raises it */
        uart->ier = byte & 0x0F;
        break;
    case REG_IIR_FCR:
        write_fcr(uart, byte);
        break;
    case REG_LCR:
        uart->lcr = byte;
        break;
    case REG_MCR:
        write_mcr(uart, byte);
        break;
    case REG_SCR:
        uart->scr = byte;
        break;
    default:
        break; /* LSR and MSR are for reading; writing them is for factory tests */
    }
    update_irq(uart);
}

void uart16550_attach(struct board *board, struct uart16550 *uart, const char *name, uint16_t base, struct wire irq,
                      void (*transmit)(void *context, uint8_t byte), void *transmit_context)
{
    struct bus_range ports = { .base = base, .length = 8, .width_max = 1, .read = uart_read, .write = uart_write };
    struct chip chip = {
        .part = { name, uart, sizeof(*uart), uart16550_field_count, uart16550_fields },
        .ports = &ports,
        .port_count = 1,
        .event = { &uart->timeout_cycles, timeout_fire, uart },
    };

    memset(uart, 0, sizeof(*uart));
    uart->timeout_cycles = CLOCK_NEVER;
    uart->lcr =
        LCR_8N1; /* the data sheet's reset value is 5 bits; firmware leaves 8N1 behind, and this machine has none */
    uart->msr = MSR_CONNECTED;
    uart->board = board;
    uart->irq = irq;
    uart->transmit = transmit;
    uart->transmit_context = transmit_context;
    board_attach(board, &chip);
}
