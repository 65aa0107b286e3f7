/*
 * The address spaces of the board: I/O ports, and memory-mapped I/O outside of RAM.
 *
 * A device sees offsets from the base of its range, never addresses. Overlapping ranges are refused. An access that no
 * device claims reads all ones, ignores writes, and is tallied. An access wider than a range's widest is split into
 * accesses of that width, lowest address first; so is one that leaves its range.
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include "devices/field.h"
#include "devices/tally.h"

struct bus_range {
    const char *name;
    uint64_t base;
    uint64_t length;    /* bytes */
    unsigned width_max; /* widest access in bytes the device takes: 1, 2, 4, 8 */
    void *device;
    /* offset < length, bytes 1, 2, 4 or 8 up to width_max. Either may be NULL: reads ones, ignores writes. */
    uint64_t (*read)(void *device, uint64_t offset, unsigned bytes);
    void (*write)(void *device, uint64_t offset, unsigned bytes, uint64_t value);
};

#define BUS_RANGES_MAX 48

struct bus_space {
    struct bus_range ranges[BUS_RANGES_MAX]; /* sorted by base */
    unsigned count;
};

/* An access as the processor makes it: to a port or to memory that is no RAM, in the pieces the processor cuts it into.
 */
struct bus_access {
    uint64_t address, value; /* value: written, or read */
    uint8_t bytes;
    bool is_port, is_write;
};

struct bus {
    struct bus_space ports;
    struct bus_space mmio;
    struct tally *tally;
    /* Who is told of each access once it has been made; NULL: nobody. A spectator, who changes nothing. */
    void (*seen)(void *spectator, const struct bus_access *access);
    void *spectator;
};

void bus_init(struct bus *bus, struct tally *tally);

/* 0; -EEXIST if the range overlaps one that is there; -ENOSPC. The range is copied. */
int bus_add_ports(struct bus *bus, const struct bus_range *range);
int bus_add_mmio(struct bus *bus, const struct bus_range *range);

/* bytes: 1, 2 or 4. */
uint64_t bus_port_read(struct bus *bus, uint16_t port, unsigned bytes);
void bus_port_write(struct bus *bus, uint16_t port, unsigned bytes, uint64_t value);

/* bytes: 1, 2, 4 or 8. The address is not RAM. */
uint64_t bus_mmio_read(struct bus *bus, uint64_t physical, unsigned bytes);
void bus_mmio_write(struct bus *bus, uint64_t physical, unsigned bytes, uint64_t value);

#endif
