/*
 * RAM slots (vcpu_ram.h): below the legacy hole, above it up to 3 GiB, from 4 GiB on.
 */
#include "kvm/vcpu_ram.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

struct slot {
    uint64_t physical, offset, bytes; /* bytes 0: there is none */
};

static struct slot slot_at(unsigned i, uint64_t ram_bytes)
{
    uint64_t low = ram_bytes < RAM_LOW_END ? ram_bytes : RAM_LOW_END;
    if (i == 0)
        return (struct slot){ 0, 0, RAM_HOLE_START };
    if (i == 1)
        return (struct slot){ RAM_HOLE_END, RAM_HOLE_END, low - RAM_HOLE_END };
    return (struct slot){ RAM_HIGH_START, RAM_LOW_END, ram_bytes - low };
}
#define SLOTS 3u

int vcpu_ram_map(struct vcpu *vcpu, unsigned first_slot, uint64_t base, uint8_t *ram, uint64_t ram_bytes)
{
    int error = 0;
    for (unsigned i = 0; i < SLOTS && !error; i++) {
        struct slot slot = slot_at(i, ram_bytes);
        if (slot.bytes)
            error = vcpu_map(vcpu, first_slot + i, base + slot.physical, ram + slot.offset, slot.bytes,
                             KVM_MEM_LOG_DIRTY_PAGES);
    }
    return error;
}

void vcpu_ram_written(struct vcpu *vcpu, unsigned first_slot, uint64_t ram_bytes, uint64_t *bitmap)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot slot = slot_at(i, ram_bytes);
        uint64_t pages = slot.bytes / RAM_PAGE_BYTES, first = slot.offset / RAM_PAGE_BYTES;
        uint64_t *dirty = pages ? calloc(pages / 64 + 1, sizeof(*dirty)) : NULL;
        struct kvm_dirty_log log = { .slot = first_slot + i, .dirty_bitmap = dirty };
        if (dirty && !ioctl(vcpu->vm, KVM_GET_DIRTY_LOG, &log))
            for (uint64_t page = 0; page < pages; page++) {
                if (!dirty[page / 64])
                    page |= 63; /* none of these */
                else if (dirty[page / 64] >> (page % 64) & 1)
                    bitmap[(first + page) / 64] |= 1ull << ((first + page) % 64);
            }
        free(dirty);
    }
}
