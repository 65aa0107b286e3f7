/*
 * I/O APIC (Intel 82093AA data sheet 290566).
 *
 *   +00H IOREGSEL, +10H IOWIN, +40H EOI (w)
 *   index 00H ID, 01H version, 02H arbitration, 10H + 2n and 11H + 2n redirection entry n, low and high half
 *
 * Wires carry "asserted", so the polarity bit changes nothing. Messages arrive at once: delivery status reads idle.
 */
#include "devices/ioapic.h"

#include <string.h>

enum {
    VERSION = 0x20 | (IOAPIC_INPUTS - 1) << 16, /* 20H: has an EOI register */
    OFFSET_INDEX = 0x00,
    OFFSET_DATA = 0x10,
    OFFSET_EOI = 0x40,
    INDEX_ID = 0x00,
    INDEX_VERSION = 0x01,
    INDEX_ARBITRATION = 0x02,
    INDEX_REDIRECTION = 0x10,
    RTE_LOGICAL = 1 << 11,
    RTE_REMOTE_IRR = 1 << 14,
    RTE_LEVEL = 1 << 15,
    RTE_MASKED = 1 << 16,
    RTE_LOW_WRITABLE = 0x1AFFF,
};
#define RTE_HIGH_WRITABLE 0xFF000000u

const struct field ioapic_fields[] = {
    FIELD_ARRAY(struct ioapic, redirection),
    FIELD(struct ioapic, lines),
    FIELD(struct ioapic, id),
    FIELD(struct ioapic, index),
    FIELD_CACHED(struct ioapic, reserved),
    FIELD_CACHED(struct ioapic, board),
    FIELD_CACHED(struct ioapic, bus),
};
const unsigned ioapic_field_count = FIELD_COUNT(ioapic_fields);

static enum apic_delivery_mode delivery_mode(uint64_t entry)
{
    return entry >> 8 & 7;
}

/* The trigger mode counts for fixed and lowest-priority delivery only; the others are edges. */
static bool is_level(uint64_t entry)
{
    enum apic_delivery_mode mode = delivery_mode(entry);

    return entry & RTE_LEVEL && (mode == APIC_FIXED || mode == APIC_LOWEST_PRIORITY);
}

static bool send(struct ioapic *ioapic, uint64_t entry)
{
    bool logical = entry & RTE_LOGICAL;
    uint32_t destination = (uint32_t)(entry >> 56);

    if (!logical && destination == 0xFF)
        destination = APIC_BROADCAST;
    return apic_bus_deliver(ioapic->bus, destination, logical, delivery_mode(entry), (uint8_t)entry, is_level(entry));
}

/* A level-triggered input sends while it is asserted, once for each EOI; one that nobody took is tried again. */
static void sample_level(struct ioapic *ioapic, unsigned line)
{
    uint64_t *entry = &ioapic->redirection[line];

    if (!is_level(*entry) || *entry & (RTE_MASKED | RTE_REMOTE_IRR) || !(ioapic->lines >> line & 1))
        return;
    if (send(ioapic, *entry))
        *entry |= RTE_REMOTE_IRR;
}

void ioapic_set_line(void *context, unsigned line, bool level)
{
    struct ioapic *ioapic = context;

    if (line >= IOAPIC_INPUTS)
        return;
    uint64_t entry = ioapic->redirection[line];
    bool was = ioapic->lines >> line & 1;
    ioapic->lines = (ioapic->lines & ~(1u << line)) | (uint32_t)level << line;

    /* The 8259's INTR may stay up from one INTA to the next, so ExtINT is sent each time it is reported. */
    bool asks = level && (!was || delivery_mode(entry) == APIC_EXTINT);
    if (is_level(entry))
        sample_level(ioapic, line);
    else if (asks && !(entry & RTE_MASKED))
        send(ioapic, entry); /* an edge on a masked input is lost */
}

static void end_of_interrupt(void *context, uint8_t vector)
{
    struct ioapic *ioapic = context;

    for (unsigned line = 0; line < IOAPIC_INPUTS; line++) {
        uint64_t *entry = &ioapic->redirection[line];
        if (!(*entry & RTE_REMOTE_IRR) || (uint8_t)*entry != vector)
            continue;
        *entry &= ~(uint64_t)RTE_REMOTE_IRR;
        sample_level(ioapic, line);
    }
}

static void write_redirection(struct ioapic *ioapic, unsigned line, bool high, uint32_t value)
{
    uint64_t *entry = &ioapic->redirection[line];

    if (high) {
        *entry = (*entry & 0xFFFFFFFF) | (uint64_t)(value & RTE_HIGH_WRITABLE) << 32;
        return;
    }
    /* Remote IRR outlives the write, unless the input becomes edge-triggered: kernels clear it that way. */
    uint64_t kept = *entry & (0xFFFFFFFF00000000 | RTE_REMOTE_IRR);
    *entry = kept | (value & RTE_LOW_WRITABLE);
    if (!is_level(*entry))
        *entry &= ~(uint64_t)RTE_REMOTE_IRR;
    sample_level(ioapic, line);
}

static uint32_t read_register(const struct ioapic *ioapic)
{
    unsigned line = (ioapic->index - INDEX_REDIRECTION) >> 1;

    switch (ioapic->index) {
    case INDEX_ID:
    case INDEX_ARBITRATION:
        return (uint32_t)ioapic->id << 24;
    case INDEX_VERSION:
        return VERSION;
    case INDEX_REDIRECTION ... INDEX_REDIRECTION + 2 * IOAPIC_INPUTS - 1:
        return (uint32_t)(ioapic->redirection[line] >> (ioapic->index & 1 ? 32 : 0));
    default:
        return 0;
    }
}

static void write_register(struct ioapic *ioapic, uint32_t value)
{
    switch (ioapic->index) {
    case INDEX_ID:
        ioapic->id = value >> 24 & 15;
        break;
    case INDEX_REDIRECTION ... INDEX_REDIRECTION + 2 * IOAPIC_INPUTS - 1:
        write_redirection(ioapic, (ioapic->index - INDEX_REDIRECTION) >> 1, ioapic->index & 1, value);
        break;
    default:
        break;
    }
}

static uint64_t ioapic_read(void *device, uint64_t offset, unsigned bytes)
{
    struct ioapic *ioapic = device;
    uint32_t value = 0;

    (void)bytes;
    if ((offset & ~3ull) == OFFSET_INDEX)
        value = ioapic->index;
    else if ((offset & ~3ull) == OFFSET_DATA)
        value = read_register(ioapic);
    return value >> 8 * (offset & 3);
}

static void ioapic_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct ioapic *ioapic = device;

    if (offset == OFFSET_INDEX)
        ioapic->index = (uint8_t)value;
    else if (offset == OFFSET_DATA && bytes == 4)
        write_register(ioapic, (uint32_t)value);
    else if (offset == OFFSET_EOI)
        end_of_interrupt(ioapic, (uint8_t)value);
}

void ioapic_attach(struct board *board, struct apic_bus *bus, struct ioapic *ioapic, uint64_t base, uint8_t id)
{
    memset(ioapic, 0, sizeof(*ioapic));
    ioapic->board = board;
    ioapic->bus = bus;
    ioapic->id = id & 15;
    for (unsigned line = 0; line < IOAPIC_INPUTS; line++)
        ioapic->redirection[line] = RTE_MASKED;
    bus->eoi = end_of_interrupt;
    bus->eoi_context = ioapic;

    struct bus_range window = { "ioapic", base, 4096, 4, ioapic, ioapic_read, ioapic_write };
    struct chip chip = { .part = { "ioapic", ioapic, sizeof(*ioapic), ioapic_field_count, ioapic_fields },
                         .mmio = &window,
                         .mmio_count = 1 };
    board_attach(board, &chip);
}
