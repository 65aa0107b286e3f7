/*
 * The log: what a run was made of, and what entered it from outside. Writer and reader stand side by side in log.c,
 * docs/log-format.md has the format byte by byte.
 *
 * A log is a stream of msgpack objects: a header map, then records [kind, bytes, cycle, ...]: inputs, marks, one end.
 * Header, marks and end carry a seal: XXH3 of all bytes of the log before it. The part of a log up to a seal is a
 * segment; a segment is worth nothing before its seal has been checked.
 */
#ifndef REPLAY_LOG_H
#define REPLAY_LOG_H

#include "replay/unpack.h"

#include <stdio.h>

#define LOG_FORMAT 1 /* bumped with every change of the format */

#define LOG_RECORD_BYTES_MAX 127 /* so that a record's length is one byte */
#define LOG_INPUT_BYTES_MAX  64  /* in one record */
#define LOG_SETTINGS_MAX     16
#define LOG_IMAGES_MAX       16
#define LOG_TEXT_MAX         8192 /* bytes of a setting or path */
#define LOG_BYTES_MAX        (1ull << 30)

enum log_kind {
    LOG_INPUT = 1, /* bytes entered a chip at this cycle, after the chip's own events and before interrupt sampling */
    LOG_MARK = 2,  /* the state hash at this cycle; inputs of the same cycle that precede it are in the state */
    LOG_END = 3,   /* the run ended here */
};

/* Where the bytes of an input go. */
enum log_source {
    LOG_CONSOLE = 0, /* receive FIFO of the first serial port */
    LOG_SOURCES,
};

/* Why a run ended. Numbers stay: they stand in logs. */
enum log_reason {
    LOG_POWER_OFF,
    LOG_RESET,
    LOG_TRIPLE_FAULT,
    LOG_DEBUG_EXIT, /* code: the byte written */
    LOG_UNTIL,      /* from here on the host's decision, not the guest's */
    LOG_FAIL,
    LOG_IDLE,
    LOG_NEVER_WAKES,
    LOG_LIMIT,
    LOG_QUIT,
    LOG_SIGNAL,  /* code: its number */
    LOG_BACKEND, /* KVM could not go on with the guest */
    LOG_REASONS,
};

/* For people: "power-off", "reset", ... */
const char *log_reason_name(enum log_reason reason);
/* True if the machine itself comes to this end when it is run again. */
bool log_reason_is_guests(enum log_reason reason);

struct log_setting {
    const char *key;
    const char *text; /* NULL: number holds the value */
    uint64_t number;
};

struct log_image {
    const char *role; /* "kernel", "initrd", "module" */
    const char *path; /* as typed */
    uint64_t size;    /* bytes */
    uint8_t hash[16]; /* XXH3-128, canonical (big-endian) */
};

struct log_header {
    uint64_t model;          /* version of the machine model */
    const char *fingerprint; /* of isa.def and the field tables */
    unsigned setting_count;
    struct log_setting settings[LOG_SETTINGS_MAX];
    unsigned image_count;
    struct log_image images[LOG_IMAGES_MAX];
    uint64_t seed;
};

/* The setting of that key, or NULL. */
const struct log_setting *log_header_setting(const struct log_header *header, const char *key);

struct log_record {
    enum log_kind kind;
    uint64_t cycle;
    /* LOG_INPUT */
    enum log_source source;
    unsigned byte_count; /* 1..LOG_INPUT_BYTES_MAX */
    uint8_t bytes[LOG_INPUT_BYTES_MAX];
    /* LOG_MARK, LOG_END */
    uint64_t state_hash;
    /* LOG_END */
    enum log_reason reason;
    uint64_t code;
    uint64_t instructions;
};

/* --- writer --- */

struct log_writer;

/*
 * Creates the file with header and first mark (cycle 0), in one write. force: an existing file is overwritten. 0, or a
 * negative errno
 * (-EEXIST without force); then no writer is left behind.
 */
int log_create(struct log_writer **writer, const char *path, bool force, const struct log_header *header,
               uint64_t state_hash);

/*
 * Appends a record; marks and the end are flushed to the file with all that precedes them. 0, or a negative errno: the
 * file has been cut back to its last mark, and the writer takes nothing more.
 */
int log_append(struct log_writer *writer, const struct log_record *record);

/* Bytes handed over so far, and marks among them. */
uint64_t log_written_bytes(const struct log_writer *writer);
uint64_t log_written_marks(const struct log_writer *writer);

/* Closes the file and frees the writer (which may be NULL). What is not flushed is lost: append LOG_END first. */
void log_close(struct log_writer *writer);

/* --- reader --- */

enum log_status {
    LOG_OK,         /* a record was read */
    LOG_COMPLETE,   /* the end record was the last one */
    LOG_INCOMPLETE, /* the writer was cut off: nothing more is sealed */
    LOG_DAMAGED,    /* reader->error says where */
};

struct log_reader {
    const uint8_t *bytes; /* the whole log, not owned */
    size_t size;
    size_t at;        /* of the next record */
    size_t sealed;    /* end of the last segment whose seal was checked */
    uint64_t records; /* handed out; the header is record 0 */
    uint64_t cycle;   /* of the last record */
    bool ended;
    void *running; /* XXH3 state over bytes[0..hashed) */
    size_t hashed;
    struct log_header header;
    char *texts; /* owned: the header's strings */
    char error[200];
};

/*
 * Begins to read a log in memory, which must outlive the reader: checks the header and the first mark. LOG_OK or
 * LOG_DAMAGED (also for a log that ends before its first mark; and for one of another format, named in the error).
 * Close it in either case.
 */
enum log_status log_open(struct log_reader *reader, const uint8_t *bytes, size_t size);

/* The next record. The segment it stands in has been checked. The first is the mark at cycle 0. */
enum log_status log_next(struct log_reader *reader, struct log_record *record);

/* The kind and cycle of the record that log_next would give; LOG_OK only if there is one. */
enum log_status log_peek(struct log_reader *reader, struct log_record *record);

/* The cycle of the last intact record of a log in memory: how long its run was, as far as it can be replayed. 0: none.
 */
uint64_t log_last_cycle(const uint8_t *bytes, size_t size);

void log_reader_close(struct log_reader *reader);

#endif
