/*
 * Reads the few msgpack forms that a log is made of (unpack.h): positive integers, str, bin, array, map.
 * Format bytes: the msgpack specification, "Formats".
 */
#include "replay/unpack.h"

#include <string.h>

static bool unpack_stop(struct unpack *unpack, enum unpack_state state)
{
    if (unpack->state == UNPACK_GOOD)
        unpack->state = state;
    return false;
}

bool unpack_refuse(struct unpack *unpack, size_t at)
{
    unpack->at = at;
    return unpack_stop(unpack, UNPACK_BAD);
}

/* The big-endian integer of `width` bytes behind the format byte at unpack->at; the cursor stays. */
static bool unpack_peek(struct unpack *unpack, unsigned width, uint64_t *value)
{
    if (unpack->size - unpack->at - 1 < width)
        return unpack_stop(unpack, UNPACK_SHORT);
    *value = 0;
    for (unsigned i = 0; i < width; i++)
        *value = *value << 8 | unpack->bytes[unpack->at + 1 + i];
    return true;
}

static bool unpack_format(struct unpack *unpack, uint8_t *format)
{
    if (unpack->state != UNPACK_GOOD)
        return false;
    if (unpack->at >= unpack->size)
        return unpack_stop(unpack, UNPACK_SHORT);
    *format = unpack->bytes[unpack->at];
    return true;
}

bool unpack_uint(struct unpack *unpack, uint64_t *value)
{
    uint8_t format;
    if (!unpack_format(unpack, &format))
        return false;
    if (format < 0x80) {
        *value = format;
        unpack->at++;
        return true;
    }
    if (format < 0xCC || format > 0xCF)
        return unpack_stop(unpack, UNPACK_BAD);
    /* The least value that needs each of the four widths: anything below has a shorter form. */
    static const uint64_t least[4] = { 0x80, 0x100, 0x10000, 0x100000000 };
    unsigned width = 1u << (format - 0xCC);
    if (!unpack_peek(unpack, width, value))
        return false;
    if (*value < least[format - 0xCC])
        return unpack_stop(unpack, UNPACK_BAD);
    unpack->at += 1 + width;
    return true;
}

/*
 * A length: in the format byte itself from fix_base on (below fix_limit), or behind one of the consecutive format bytes
 * first, first + 1, ... in 1, 2, 4 bytes (from 2 bytes on if !has_8).
 */
struct length_form {
    uint8_t fix_base;
    uint32_t fix_limit;
    uint8_t first;
    bool has_8;
};

static bool unpack_length(struct unpack *unpack, const struct length_form *form, uint32_t max, uint32_t *length)
{
    uint8_t format;
    if (!unpack_format(unpack, &format))
        return false;
    if (format >= form->fix_base && format - form->fix_base < (int)form->fix_limit) {
        *length = format - form->fix_base;
        if (*length > max)
            return unpack_stop(unpack, UNPACK_BAD);
        unpack->at++;
        return true;
    }
    unsigned forms = form->has_8 ? 3 : 2;
    if (format < form->first || format - form->first >= (int)forms)
        return unpack_stop(unpack, UNPACK_BAD);
    unsigned step = format - form->first + !form->has_8; /* 0, 1, 2: width 1, 2, 4 */
    unsigned width = 1u << step;
    uint64_t value;
    if (!unpack_peek(unpack, width, &value))
        return false;
    uint64_t least = step == 2 ? 0x10000 : step == 1 && form->has_8 ? 0x100 : form->fix_limit;
    if (value < least || value > max)
        return unpack_stop(unpack, UNPACK_BAD);
    *length = (uint32_t)value;
    unpack->at += 1 + width;
    return true;
}

bool unpack_array(struct unpack *unpack, uint32_t max, uint32_t *count)
{
    static const struct length_form form = { 0x90, 16, 0xDC, false };
    return unpack_length(unpack, &form, max, count);
}

bool unpack_map(struct unpack *unpack, uint32_t max, uint32_t *count)
{
    static const struct length_form form = { 0x80, 16, 0xDE, false };
    return unpack_length(unpack, &form, max, count);
}

static bool unpack_run(struct unpack *unpack, const struct length_form *form, uint32_t max, const uint8_t **data,
                       uint32_t *length)
{
    size_t start = unpack->at;
    if (!unpack_length(unpack, form, max, length))
        return false;
    if (unpack->size - unpack->at < *length) {
        unpack->at = start;
        return unpack_stop(unpack, UNPACK_SHORT);
    }
    *data = unpack->bytes + unpack->at;
    unpack->at += *length;
    return true;
}

bool unpack_text(struct unpack *unpack, uint32_t max, const uint8_t **data, uint32_t *length)
{
    static const struct length_form form = { 0xA0, 32, 0xD9, true };
    return unpack_run(unpack, &form, max, data, length);
}

bool unpack_binary(struct unpack *unpack, uint32_t max, const uint8_t **data, uint32_t *length)
{
    static const struct length_form form = { 0xC4, 0, 0xC4, true };
    return unpack_run(unpack, &form, max, data, length);
}

bool unpack_key(struct unpack *unpack, const char *key)
{
    size_t start = unpack->at;
    const uint8_t *data;
    uint32_t length;
    if (!unpack_text(unpack, 64, &data, &length))
        return false;
    if (length != strlen(key) || memcmp(data, key, length) != 0)
        return unpack_refuse(unpack, start);
    return true;
}
