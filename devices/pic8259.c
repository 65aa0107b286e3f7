/*
 * The pair of 8259A interrupt controllers of a PC (Intel data sheet 231468).
 *
 *   20H, A0H  w: ICW1 (bit 4), OCW2 (bits 4:3 = 0), OCW3 (bits 4:3 = 1)   r: IRR, ISR or poll
 *   21H, A1H  w: ICW2 to ICW4 during initialization, else OCW1 (the IMR)  r: IMR
 *   4D0H, 4D1H  edge/level control, a bit per input; inputs 0, 1, 2, 8 and 13 are always edge-triggered
 *
 * Vectors are always those of 8086 mode; the MCS-80 CALL of ICW4 bit 0 = 0 has no CPU here that could take it.
 */
#include "devices/pic8259.h"

#include <string.h>

enum {
    ICW1_IC4 = 0x01,
    ICW1_SNGL = 0x02,
    ICW1_SELECT = 0x10,
    ICW1_LTIM = 0x08,
    ICW4_AEOI = 0x02,
    ICW4_SFNM = 0x10,
    OCW2_EOI = 0x20,
    OCW2_SL = 0x40,
    OCW2_R = 0x80,
    OCW3_SELECT = 0x08,
    OCW3_RIS = 0x01,
    OCW3_RR = 0x02,
    OCW3_P = 0x04,
    OCW3_SMM = 0x20,
    OCW3_ESMM = 0x40,
    NO_INPUT = 8,
};

static const uint8_t elcr_writable[2] = { 0xF8, 0xDE };

#define CHIP_FIELDS(n)                                                                                                 \
    FIELD(struct pic, chip[n].lines), FIELD(struct pic, chip[n].latches), FIELD(struct pic, chip[n].imr),              \
        FIELD(struct pic, chip[n].isr), FIELD(struct pic, chip[n].elcr), FIELD(struct pic, chip[n].icw2),              \
        FIELD(struct pic, chip[n].icw4), FIELD(struct pic, chip[n].expected_icw),                                      \
        FIELD(struct pic, chip[n].lowest_priority), FIELD(struct pic, chip[n].ltim),                                   \
        FIELD(struct pic, chip[n].single), FIELD(struct pic, chip[n].needs_icw4),                                      \
        FIELD(struct pic, chip[n].special_mask), FIELD(struct pic, chip[n].rotate_on_aeoi),                            \
        FIELD(struct pic, chip[n].read_isr), FIELD(struct pic, chip[n].poll)

const struct field pic_fields[] = {
    CHIP_FIELDS(0),
    CHIP_FIELDS(1),
    FIELD_CACHED(struct pic, board),
    FIELD_CACHED(struct pic, intr),
};
const unsigned pic_field_count = FIELD_COUNT(pic_fields);

static uint8_t level_triggered(const struct pic *pic, unsigned c)
{
    const struct pic_chip *chip = &pic->chip[c];

    /* The slave's INT may stay up from one request to the next, so the cascade takes part by its level. */
    return chip->ltim ? 0xFF : (uint8_t)(chip->elcr | (c == 0 ? 1u << PIC_CASCADE : 0));
}

static uint8_t irr(const struct pic *pic, unsigned c)
{
    uint8_t level = level_triggered(pic, c);

    return (uint8_t)((pic->chip[c].lines & level) | (pic->chip[c].latches & ~level));
}

/* Input of the highest priority among these bits, or NO_INPUT. */
static unsigned highest(const struct pic_chip *chip, uint8_t bits)
{
    for (unsigned i = 1; i <= 8; i++) {
        unsigned input = (chip->lowest_priority + i) & 7;
        if (bits >> input & 1)
            return input;
    }
    return NO_INPUT;
}

/* Distance from the top of the priority order, 0 to 7; 8 for NO_INPUT. */
static unsigned rank(const struct pic_chip *chip, unsigned input)
{
    return input == NO_INPUT ? 8 : (input - chip->lowest_priority - 1) & 7;
}

/* The input whose request the chip would pass on, or NO_INPUT (data sheet, "Priority resolver"). */
static unsigned request(const struct pic *pic, unsigned c)
{
    const struct pic_chip *chip = &pic->chip[c];

    if (chip->expected_icw)
        return NO_INPUT;
    unsigned input = highest(chip, irr(pic, c) & (uint8_t)~chip->imr);
    unsigned served = highest(chip, chip->special_mask ? chip->isr & (uint8_t)~chip->imr : chip->isr);
    bool nested_slave = c == 0 && (chip->icw4 & ICW4_SFNM) && input == PIC_CASCADE && served == PIC_CASCADE;
    return rank(chip, input) < rank(chip, served) || nested_slave ? input : NO_INPUT;
}

bool pic_intr(const struct pic *pic)
{
    return request(pic, 0) != NO_INPUT;
}

static void set_input(struct pic_chip *chip, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)(1u << input);

    if (level) {
        chip->latches |= bit & (uint8_t)~chip->lines;
        chip->lines |= bit;
    } else {
        /* An edge-triggered input must stay high until INTA, else the request is gone. */
        chip->latches &= (uint8_t)~bit;
        chip->lines &= (uint8_t)~bit;
    }
}

/* After any change: the cascade and the INTR pin. */
static void update(struct pic *pic)
{
    set_input(&pic->chip[0], PIC_CASCADE, request(pic, 1) != NO_INPUT);
    bool level = pic_intr(pic);
    if (level)
        pic->board->attention = true;
    wire_set(&pic->intr, level);
}

void pic_set_line(void *context, unsigned line, bool level)
{
    struct pic *pic = context;

    if (line == PIC_CASCADE || line > 15)
        return;
    if ((pic->chip[line >> 3].lines >> (line & 7) & 1) == level)
        return;
    set_input(&pic->chip[line >> 3], line & 7, level);
    update(pic);
}

/* The chip's part of INTA: the input it answers for; 7, with nothing in service, if the request went away. */
static unsigned acknowledge(struct pic *pic, unsigned c)
{
    struct pic_chip *chip = &pic->chip[c];
    unsigned input = request(pic, c);

    if (input == NO_INPUT)
        return 7;
    chip->latches &= (uint8_t)~(1u << input);
    if (!(chip->icw4 & ICW4_AEOI))
        chip->isr |= (uint8_t)(1u << input);
    else if (chip->rotate_on_aeoi)
        chip->lowest_priority = (uint8_t)input;
    return input;
}

uint8_t pic_acknowledge(struct pic *pic)
{
    bool from_slave = request(pic, 0) == PIC_CASCADE;
    unsigned input = acknowledge(pic, 0);
    uint8_t vector = (uint8_t)(pic->chip[0].icw2 | input);

    if (from_slave)
        vector = (uint8_t)(pic->chip[1].icw2 | acknowledge(pic, 1));
    update(pic);
    return vector;
}

static void write_icw1(struct pic_chip *chip, uint8_t value)
{
    chip->ltim = value & ICW1_LTIM;
    chip->single = value & ICW1_SNGL;
    chip->needs_icw4 = value & ICW1_IC4;
    chip->expected_icw = 2;
    chip->latches = 0;
    chip->imr = 0;
    chip->isr = 0;
    chip->icw4 = 0;
    chip->lowest_priority = 7;
    chip->special_mask = false;
    chip->rotate_on_aeoi = false;
    chip->read_isr = false;
    chip->poll = false;
}

/* ICW3 names the cascade, which is soldered here: its value is of no effect. */
static void write_icw(struct pic_chip *chip, uint8_t value)
{
    if (chip->expected_icw == 2) {
        chip->icw2 = value & 0xF8;
        chip->expected_icw = !chip->single ? 3 : chip->needs_icw4 ? 4 : 0;
    } else if (chip->expected_icw == 3) {
        chip->expected_icw = chip->needs_icw4 ? 4 : 0;
    } else {
        chip->icw4 = value;
        chip->expected_icw = 0;
    }
}

static void write_ocw2(struct pic_chip *chip, uint8_t value)
{
    unsigned input = value & 7;

    if (value & OCW2_EOI) {
        /* In special mask mode a masked level is out of reach of the non-specific EOI. */
        if (!(value & OCW2_SL))
            input = highest(chip, chip->special_mask ? chip->isr & (uint8_t)~chip->imr : chip->isr);
        if (input == NO_INPUT)
            return;
        chip->isr &= (uint8_t)~(1u << input);
        if (value & OCW2_R)
            chip->lowest_priority = (uint8_t)input;
    } else if (!(value & OCW2_SL)) {
        chip->rotate_on_aeoi = value & OCW2_R;
    } else if (value & OCW2_R) {
        chip->lowest_priority = (uint8_t)input;
    }
}

static void write_ocw3(struct pic_chip *chip, uint8_t value)
{
    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM;
    chip->poll = value & OCW3_P;
    if (!(value & OCW3_P) && value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
}

static void chip_write(struct pic *pic, unsigned c, uint64_t offset, uint8_t value)
{
    struct pic_chip *chip = &pic->chip[c];

    if (offset == 0 && value & ICW1_SELECT)
        write_icw1(chip, value);
    else if (offset == 0 && value & OCW3_SELECT)
        write_ocw3(chip, value);
    else if (offset == 0)
        write_ocw2(chip, value);
    else if (chip->expected_icw)
        write_icw(chip, value);
    else
        chip->imr = value;
    update(pic);
}

static uint8_t chip_read(struct pic *pic, unsigned c, uint64_t offset)
{
    struct pic_chip *chip = &pic->chip[c];

    if (chip->poll) {
        bool requested = request(pic, c) != NO_INPUT;
        unsigned input = acknowledge(pic, c);

        chip->poll = false;
        update(pic);
        return requested ? (uint8_t)(0x80 | input) : 0;
    }
    if (offset == 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : irr(pic, c);
}

static uint64_t master_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)bytes;
    return chip_read(device, 0, offset);
}

static void master_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    (void)bytes;
    chip_write(device, 0, offset, (uint8_t)value);
}

static uint64_t slave_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)bytes;
    return chip_read(device, 1, offset);
}

static void slave_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    (void)bytes;
    chip_write(device, 1, offset, (uint8_t)value);
}

static uint64_t elcr_read(void *device, uint64_t offset, unsigned bytes)
{
    struct pic *pic = device;

    (void)bytes;
    return pic->chip[offset].elcr;
}

static void elcr_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct pic *pic = device;

    (void)bytes;
    pic->chip[offset].elcr = (uint8_t)value & elcr_writable[offset];
    update(pic);
}

void pic_attach(struct board *board, struct pic *pic, struct wire intr)
{
    memset(pic, 0, sizeof(*pic));
    pic->board = board;
    pic->intr = intr;
    for (unsigned c = 0; c < 2; c++) {
        pic->chip[c].imr = 0xFF;
        pic->chip[c].icw2 = c == 0 ? 0x08 : 0x70;
        pic->chip[c].icw4 = 0x01;
        pic->chip[c].lowest_priority = 7;
    }

    const struct bus_range ports[] = {
        { "pic", PIC_MASTER_PORT, 2, 1, pic, master_read, master_write },
        { "pic", PIC_SLAVE_PORT, 2, 1, pic, slave_read, slave_write },
        { "pic", PIC_ELCR_PORT, 2, 1, pic, elcr_read, elcr_write },
    };
    struct chip chip = { .part = { "pic", pic, sizeof(*pic), pic_field_count, pic_fields },
                         .ports = ports,
                         .port_count = 3 };
    board_attach(board, &chip);
}
