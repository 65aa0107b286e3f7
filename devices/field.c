/*
 * Field tables: the canonical form of a part, the same on every host and compiler.
 *
 * Integers are written little-endian whatever the host's order is; fields of other sizes are opaque bytes. What a table
 * calls a cache is skipped here, so it can hold pointers and padding.
 */
#include "devices/field.h"

#include <string.h>

static bool field_is_integer(const struct field *field)
{
    return field->bytes == 1 || field->bytes == 2 || field->bytes == 4 || field->bytes == 8;
}

static uint64_t integer_read(const uint8_t *at, unsigned bytes)
{
    uint8_t v8;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (bytes) {
    case 1:
        memcpy(&v8, at, 1);
        return v8;
    case 2:
        memcpy(&v16, at, 2);
        return v16;
    case 4:
        memcpy(&v32, at, 4);
        return v32;
    default:
        memcpy(&v64, at, 8);
        return v64;
    }
}

static void integer_write(uint8_t *at, unsigned bytes, uint64_t value)
{
    uint8_t v8 = (uint8_t)value;
    uint16_t v16 = (uint16_t)value;
    uint32_t v32 = (uint32_t)value;

    switch (bytes) {
    case 1:
        memcpy(at, &v8, 1);
        break;
    case 2:
        memcpy(at, &v16, 2);
        break;
    case 4:
        memcpy(at, &v32, 4);
        break;
    default:
        memcpy(at, &value, 8);
        break;
    }
}

size_t part_canonical_bytes(const struct part *part)
{
    size_t total = 0;

    for (uint32_t f = 0; f < part->field_count; f++)
        if (part->fields[f].kind == FIELD_STATE)
            total += (size_t)part->fields[f].count * part->fields[f].bytes;
    return total;
}

void part_save(const struct part *part, uint8_t *out)
{
    for (uint32_t f = 0; f < part->field_count; f++) {
        const struct field *field = &part->fields[f];
        const uint8_t *from = (const uint8_t *)part->state + field->offset;
        size_t total = (size_t)field->count * field->bytes;

        if (field->kind != FIELD_STATE)
            continue;
        if (!field_is_integer(field) || field->bytes == 1) {
            memcpy(out, from, total);
            out += total;
            continue;
        }
        for (uint32_t i = 0; i < field->count; i++) {
            uint64_t value = integer_read(from + (size_t)i * field->bytes, field->bytes);
            for (unsigned b = 0; b < field->bytes; b++)
                *out++ = (uint8_t)(value >> 8 * b);
        }
    }
}

void part_load(const struct part *part, const uint8_t *in)
{
    for (uint32_t f = 0; f < part->field_count; f++) {
        const struct field *field = &part->fields[f];
        uint8_t *to = (uint8_t *)part->state + field->offset;
        size_t total = (size_t)field->count * field->bytes;

        if (field->kind != FIELD_STATE)
            continue;
        if (!field_is_integer(field) || field->bytes == 1) {
            memcpy(to, in, total);
            in += total;
            continue;
        }
        for (uint32_t i = 0; i < field->count; i++) {
            uint64_t value = 0;
            for (unsigned b = 0; b < field->bytes; b++)
                value |= (uint64_t)*in++ << 8 * b;
            integer_write(to + (size_t)i * field->bytes, field->bytes, value);
        }
    }
}

uint64_t field_value(const struct part *part, const struct field *field, uint32_t i)
{
    const uint8_t *from = (const uint8_t *)part->state + field->offset + (size_t)i * field->bytes;

    return field_is_integer(field) ? integer_read(from, field->bytes) : 0;
}
