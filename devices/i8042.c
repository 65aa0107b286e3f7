/*
 * i8042 keyboard controller with nothing plugged in.
 *
 *   60H data      read: the output buffer; write: parameter of a command, else a byte for the keyboard
 *   64H status    OBF 0, IBF 1, SYS 2, A2 3 (last write was to 64H), KEYLOCK 4 (1: open), AUX 5, TIMEOUT 6
 *   64H command   20H-3FH read RAM, 60H-7FH write RAM, A7H/A8H aux off/on, A9H aux test, AAH self test, ABH keyboard
 * test, ADH/AEH keyboard off/on, C0H input port, D0H/D1H output port, D2H/D3H put byte into the output buffer, D4H byte
 * for the aux device, E0H test inputs, F0H-FFH pulse output port command byte  keyboard interrupt 0, aux interrupt 1,
 * SYS 2, keyboard off 4, aux off 5, translate 6
 *
 * The controller has no aux port: its test fails and D3H loops back as keyboard data, so drivers do not look for a
 * mouse. Address line 20 is never masked in this machine; output port bit 1 is only remembered.
 */
#include "devices/i8042.h"

#include <string.h>

enum {
    STATUS_OBF = 0x01,
    STATUS_SYS = 0x04,
    STATUS_COMMAND = 0x08,
    STATUS_KEYLOCK = 0x10,
    STATUS_AUX = 0x20,
    STATUS_TIMEOUT = 0x40,

    CTR_KEYBOARD_INTERRUPT = 0x01,
    CTR_AUX_INTERRUPT = 0x02,
    CTR_SYS = 0x04,
    CTR_KEYBOARD_OFF = 0x10,
    CTR_AUX_OFF = 0x20,
    CTR_TRANSLATE = 0x40,

    OUTPUT_PORT_RESET = 0x01, /* low resets */
    OUTPUT_PORT_A20 = 0x02,
    OUTPUT_PORT_OBF = 0x10,
    OUTPUT_PORT_AUX_OBF = 0x20,

    INPUT_PORT = 0xA0,      /* keyboard not locked, no manufacturing jumper */
    AUX_TEST_FAILED = 0x04, /* data line stuck high */
    DEVICE_TIMEOUT = 0xFE,
};

const struct field i8042_fields[] = {
    FIELD(struct i8042, status),         FIELD(struct i8042, output),
    FIELD(struct i8042, pending),        FIELD(struct i8042, output_port),
    FIELD_ARRAY(struct i8042, ram),      FIELD_CACHED(struct i8042, reserved),
    FIELD_CACHED(struct i8042, board),   FIELD_CACHED(struct i8042, keyboard_irq),
    FIELD_CACHED(struct i8042, aux_irq),
};
const unsigned i8042_field_count = FIELD_COUNT(i8042_fields);

static void update_irq(struct i8042 *kbc)
{
    bool full = kbc->status & STATUS_OBF;
    bool aux = kbc->status & STATUS_AUX;

    wire_set(&kbc->keyboard_irq, full && !aux && kbc->ram[0] & CTR_KEYBOARD_INTERRUPT);
    wire_set(&kbc->aux_irq, full && aux && kbc->ram[0] & CTR_AUX_INTERRUPT);
}

static void empty_output(struct i8042 *kbc)
{
    kbc->status &= (uint8_t)~(STATUS_OBF | STATUS_AUX | STATUS_TIMEOUT);
    update_irq(kbc);
}

/* A byte enters the output buffer, over one that nobody read; lowering the line first makes an edge for each. */
static void put_output(struct i8042 *kbc, uint8_t byte, uint8_t status)
{
    empty_output(kbc);
    kbc->output = byte;
    kbc->status |= (uint8_t)(STATUS_OBF | status);
    update_irq(kbc);
}

static void pulse_reset(struct i8042 *kbc)
{
    board_request_stop(kbc->board, BOARD_RESET, 0);
}

static uint8_t output_port(const struct i8042 *kbc)
{
    uint8_t full = 0;

    if (kbc->status & STATUS_OBF)
        full = kbc->status & STATUS_AUX ? OUTPUT_PORT_AUX_OBF : OUTPUT_PORT_OBF;
    return kbc->output_port | full;
}

static void run_command(struct i8042 *kbc, uint8_t command)
{
    kbc->pending = 0;
    if (command >= 0xF0) { /* pulses the low bits of the output port that are 0 in the command */
        if (!(command & OUTPUT_PORT_RESET))
            pulse_reset(kbc);
        return;
    }
    if (command >= 0x20 && command < 0x40) {
        put_output(kbc, kbc->ram[command & 0x1F], 0);
        return;
    }
    if (command >= 0x60 && command < 0x80) {
        kbc->pending = command;
        return;
    }
    switch (command) {
    case 0xA7:
        kbc->ram[0] |= CTR_AUX_OFF;
        break;
    case 0xA8:
        kbc->ram[0] &= (uint8_t)~CTR_AUX_OFF;
        break;
    case 0xA9:
        put_output(kbc, AUX_TEST_FAILED, 0);
        break;
    case 0xAA:
        kbc->status |= STATUS_SYS;
        put_output(kbc, 0x55, 0);
        break;
    case 0xAB:
        put_output(kbc, 0x00, 0);
        break;
    case 0xAD:
        kbc->ram[0] |= CTR_KEYBOARD_OFF;
        break;
    case 0xAE:
        kbc->ram[0] &= (uint8_t)~CTR_KEYBOARD_OFF;
        break;
    case 0xC0:
        put_output(kbc, INPUT_PORT, 0);
        break;
    case 0xD0:
        put_output(kbc, output_port(kbc), 0);
        break;
    case 0xD1:
    case 0xD2:
    case 0xD3:
    case 0xD4:
        kbc->pending = command;
        break;
    case 0xE0:
        put_output(kbc, 0x00, 0);
        break;
    default:
        break; /* as on the chip, an unknown command does nothing */
    }
}

static void take_data(struct i8042 *kbc, uint8_t byte)
{
    uint8_t command = kbc->pending;

    kbc->pending = 0;
    switch (command) {
    case 0: /* for the keyboard; sending opens its interface */
        kbc->ram[0] &= (uint8_t)~CTR_KEYBOARD_OFF;
        put_output(kbc, DEVICE_TIMEOUT, STATUS_TIMEOUT);
        break;
    case 0xD1:
        kbc->output_port = byte & (uint8_t)~(OUTPUT_PORT_OBF | OUTPUT_PORT_AUX_OBF);
        if (!(byte & OUTPUT_PORT_RESET))
            pulse_reset(kbc);
        break;
    case 0xD2:
    case 0xD3:
        put_output(kbc, byte, 0);
        break;
    case 0xD4:
        put_output(kbc, DEVICE_TIMEOUT, STATUS_AUX | STATUS_TIMEOUT);
        break;
    default: /* 60H-7FH */
        kbc->ram[command & 0x1F] = byte;
        if (command == 0x60) {
            kbc->status = (uint8_t)((kbc->status & ~STATUS_SYS) | (byte & CTR_SYS ? STATUS_SYS : 0));
            update_irq(kbc);
        }
        break;
    }
}

static uint64_t data_read(void *device, uint64_t offset, unsigned bytes)
{
    struct i8042 *kbc = (struct i8042 *)device;

    (void)offset, (void)bytes;
    empty_output(kbc);
    return kbc->output;
}

static void data_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct i8042 *kbc = (struct i8042 *)device;

    (void)offset, (void)bytes;
    kbc->status &= (uint8_t)~STATUS_COMMAND;
    take_data(kbc, (uint8_t)value);
}

static uint64_t status_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)offset, (void)bytes;
    return ((struct i8042 *)device)->status;
}

static void command_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct i8042 *kbc = (struct i8042 *)device;

    (void)offset, (void)bytes;
    kbc->status |= STATUS_COMMAND;
    run_command(kbc, (uint8_t)value);
}

void i8042_attach(struct board *board, struct i8042 *kbc, struct wire keyboard_irq, struct wire aux_irq)
{
    const struct bus_range ports[] = {
        { "i8042_data", 0x60, 1, 1, kbc, data_read, data_write },
        { "i8042_command", 0x64, 1, 1, kbc, status_read, command_write },
    };
    struct chip chip = {
        .part = { "i8042", kbc, sizeof(*kbc), i8042_field_count, i8042_fields },
        .ports = ports,
        .port_count = FIELD_COUNT(ports),
    };

    memset(kbc, 0, sizeof(*kbc));
    /* As firmware leaves it: self test passed, keyboard interrupt and translation on, no aux device, A20 open. */
    kbc->status = STATUS_SYS | STATUS_KEYLOCK;
    kbc->output_port = 0xC0 | OUTPUT_PORT_RESET | OUTPUT_PORT_A20;
    kbc->ram[0] = CTR_TRANSLATE | CTR_AUX_OFF | CTR_SYS | CTR_KEYBOARD_INTERRUPT;
    kbc->board = board;
    kbc->keyboard_irq = keyboard_irq;
    kbc->aux_irq = aux_irq;
    board_attach(board, &chip);
}
