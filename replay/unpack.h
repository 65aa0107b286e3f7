/*
 * Reads the few msgpack forms that a log is made of, from a buffer that nobody vouches for.
 *
 * The msgpack library's own unpacker allocates what the input claims to need and takes long forms for short ones. A log
 * is read before anything in it can be trusted, so this cursor allocates nothing, takes each value only in its shortest
 * form, and tells "the bytes end here" (a log cut off) from "no log has this byte here" (damage).
 */
#ifndef REPLAY_UNPACK_H
#define REPLAY_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum unpack_state {
    UNPACK_GOOD,
    UNPACK_SHORT, /* the value continues behind the end of the bytes */
    UNPACK_BAD,   /* another type, a longer form than needed, or a value out of bounds */
};

struct unpack {
    const uint8_t *bytes;
    size_t size;
    size_t at;               /* of the next value; of the offending one once state is not UNPACK_GOOD */
    enum unpack_state state; /* sticky: nothing is read after a failure */
};

/* Each returns false, with the state set, if the next value is none of its kind or larger than the given maximum. */
bool unpack_uint(struct unpack *unpack, uint64_t *value);
bool unpack_array(struct unpack *unpack, uint32_t max, uint32_t *count);
bool unpack_map(struct unpack *unpack, uint32_t max, uint32_t *count);
/* *data points into the bytes and is not terminated. */
bool unpack_text(struct unpack *unpack, uint32_t max, const uint8_t **data, uint32_t *length);
bool unpack_binary(struct unpack *unpack, uint32_t max, const uint8_t **data, uint32_t *length);

/* A text that must be exactly this one. */
bool unpack_key(struct unpack *unpack, const char *key);

/* Marks the value that began at `at` as bad, for checks that only the caller can make. Returns false. */
bool unpack_refuse(struct unpack *unpack, size_t at);

#endif
