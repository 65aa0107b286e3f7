/*
 * Field tables: the one description of a stateful part.
 *
 * Every part of the machine (vCPU, chip, clock) lists its members in one table. Snapshot, restore, state hash, dump
 * and field-by-field comparison are written once, over these tables (docs/architecture.md). A member that can be
 * dropped at any instruction boundary is listed as a cache and takes no part in any of them. A struct described by a
 * table has no padding: each of its bytes stands in the table, which a test proves.
 */
#ifndef DEVICES_FIELD_H
#define DEVICES_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
    FIELD_STATE, /* guest-visible, or decides what becomes guest-visible: hashed, saved, compared */
    FIELD_CACHE, /* derived, or a pointer of this process: never hashed, saved or compared */
};

struct field {
    const char *name; /* the member's name in C, for instance "channel[0].count" */
    uint32_t offset;  /* bytes from the start of the struct */
    uint32_t count;   /* elements, 1 or more */
    uint16_t bytes;   /* size of one element: 1, 2, 4 or 8 for an unsigned integer; any other size is opaque bytes */
    uint16_t kind;    /* enum field_kind */
};

#define FIELD_MEMBER_(type, member) ((type *)0)->member

/* One integer (or bool) member. */
#define FIELD(type, member) { #member, offsetof(type, member), 1, sizeof(FIELD_MEMBER_(type, member)), FIELD_STATE }
/* An array of integers. */
#define FIELD_ARRAY(type, member)                                                                                      \
    { #member, offsetof(type, member), sizeof(FIELD_MEMBER_(type, member)) / sizeof(FIELD_MEMBER_(type, member)[0]),   \
      sizeof(FIELD_MEMBER_(type, member)[0]), FIELD_STATE }
/* A member of any type that is a cache, a pointer or wiring. */
#define FIELD_CACHED(type, member)                                                                                     \
    { #member, offsetof(type, member), sizeof(FIELD_MEMBER_(type, member)), 1, FIELD_CACHE }

#define FIELD_COUNT(table) ((unsigned)(sizeof(table) / sizeof((table)[0])))

/* A stateful part: a struct and the table that describes it. Neither is owned. */
struct part {
    const char *name; /* unique in the machine, for instance "cpu0", "pit" */
    void *state;
    uint32_t state_bytes;
    uint32_t field_count;
    const struct field *fields;
};

/* Bytes of the canonical form: state fields in table order, integers little-endian, nothing between them. */
size_t part_canonical_bytes(const struct part *part);

/* Writes the canonical form of the part to out, which has room for part_canonical_bytes(). */
void part_save(const struct part *part, uint8_t *out);

/* Reads back what part_save() wrote. Members that are caches keep their values. */
void part_load(const struct part *part, const uint8_t *in);

/*
 * The value of element i of an integer field of up to 8 bytes.
 */
uint64_t field_value(const struct part *part, const struct field *field, uint32_t i);

#endif
