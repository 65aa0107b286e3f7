/*
 * The address spaces of the board.
 *
 * Ranges are few and sorted, so a binary search without any remembered hit finds the device: looking up has no state
 * that could make two runs differ. One access function serves both spaces; what differs is how misses are tallied.
 */
#include "devices/bus.h"
#include "devices/board.h"

#include <errno.h>
#include <string.h>

void bus_init(struct bus *bus, struct tally *tally)
{
    memset(bus, 0, sizeof(*bus));
    bus->tally = tally;
}

/* Index of the first range that ends behind the address; count if there is none. */
static unsigned find(const struct bus_space *space, uint64_t address)
{
    unsigned low = 0;
    unsigned high = space->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        const struct bus_range *range = &space->ranges[middle];

        if (address - range->base < range->length || address < range->base)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int add(struct bus_space *space, const struct bus_range *range)
{
    board_assert(NULL, range->length > 0 && range->base + range->length > range->base);
    board_assert(NULL,
                 range->width_max == 1 || range->width_max == 2 || range->width_max == 4 || range->width_max == 8);

    unsigned at = find(space, range->base);
    if (at < space->count && space->ranges[at].base < range->base + range->length)
        return -EEXIST;
    if (space->count == BUS_RANGES_MAX)
        return -ENOSPC;
    memmove(&space->ranges[at + 1], &space->ranges[at], (space->count - at) * sizeof(space->ranges[0]));
    space->ranges[at] = *range;
    space->count++;
    return 0;
}

int bus_add_ports(struct bus *bus, const struct bus_range *range)
{
    board_assert(NULL, range->base + range->length <= 0x10000);
    return add(&bus->ports, range);
}

int bus_add_mmio(struct bus *bus, const struct bus_range *range)
{
    return add(&bus->mmio, range);
}

static uint64_t ones(unsigned bytes)
{
    return bytes >= 8 ? UINT64_MAX : ((uint64_t)1 << 8 * bytes) - 1;
}

static void tally_miss(struct bus *bus, bool is_port, uint64_t address)
{
    if (is_port)
        tally_count(bus->tally, TALLY_PORT, address, NULL);
    else
        tally_count(bus->tally, TALLY_MMIO, address & ~(uint64_t)4095, NULL);
}

/*
 * How wide the pieces of this access have to be: bytes if it goes through in one piece, to *range if one claims it or
 * to nobody (*range NULL); else the width of the pieces, and *range is of no interest.
 */
static unsigned piece_width(const struct bus_space *space, uint64_t address, unsigned bytes,
                            const struct bus_range **range)
{
    unsigned at = find(space, address);

    *range = NULL;
    if (at == space->count || space->ranges[at].base > address + bytes - 1)
        return bytes;

    const struct bus_range *found = &space->ranges[at];
    if (found->base > address || found->length - (address - found->base) < bytes)
        return bytes / 2; /* leaves the range, or starts before it */
    *range = found;
    return bytes < found->width_max ? bytes : found->width_max;
}

static uint64_t space_read(struct bus *bus, bool is_port, uint64_t address, unsigned bytes)
{
    const struct bus_range *range;
    unsigned width = piece_width(is_port ? &bus->ports : &bus->mmio, address, bytes, &range);

    if (width < bytes) {
        uint64_t value = 0;
        for (unsigned done = 0; done < bytes; done += width)
            value |= space_read(bus, is_port, address + done, width) << 8 * done;
        return value;
    }
    if (!range) {
        tally_miss(bus, is_port, address);
        return ones(bytes);
    }
    if (!range->read)
        return ones(bytes);
    return range->read(range->device, address - range->base, bytes) & ones(bytes);
}

static void space_write(struct bus *bus, bool is_port, uint64_t address, unsigned bytes, uint64_t value)
{
    const struct bus_range *range;
    unsigned width = piece_width(is_port ? &bus->ports : &bus->mmio, address, bytes, &range);

    if (width < bytes) {
        for (unsigned done = 0; done < bytes; done += width)
            space_write(bus, is_port, address + done, width, value >> 8 * done);
        return;
    }
    if (!range)
        tally_miss(bus, is_port, address);
    else if (range->write)
        range->write(range->device, address - range->base, bytes, value & ones(bytes));
}

static uint64_t access_read(struct bus *bus, bool is_port, uint64_t address, unsigned bytes)
{
    uint64_t value = space_read(bus, is_port, address, bytes);
    if (bus->seen)
        bus->seen(
            bus->spectator,
            &(struct bus_access){ .address = address, .value = value, .bytes = (uint8_t)bytes, .is_port = is_port });
    return value;
}

static void access_write(struct bus *bus, bool is_port, uint64_t address, unsigned bytes, uint64_t value)
{
    space_write(bus, is_port, address, bytes, value);
    if (bus->seen)
        bus->seen(bus->spectator, &(struct bus_access){ .address = address,
                                                        .value = value & ones(bytes),
                                                        .bytes = (uint8_t)bytes,
                                                        .is_port = is_port,
                                                        .is_write = true });
}

uint64_t bus_port_read(struct bus *bus, uint16_t port, unsigned bytes)
{
    return access_read(bus, true, port, bytes);
}

void bus_port_write(struct bus *bus, uint16_t port, unsigned bytes, uint64_t value)
{
    access_write(bus, true, port, bytes, value);
}

uint64_t bus_mmio_read(struct bus *bus, uint64_t physical, unsigned bytes)
{
    return access_read(bus, false, physical, bytes);
}

void bus_mmio_write(struct bus *bus, uint64_t physical, unsigned bytes, uint64_t value)
{
    access_write(bus, false, physical, bytes, value);
}
