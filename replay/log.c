/*
 * The log, writer and reader side by side (log.h; docs/log-format.md has the format byte by byte).
 *
 * Writing goes through the msgpack library, which picks the shortest form of each value. Reading goes through unpack.h.
 * Each record names its own length, so that a record cut off by a killed writer and a record with a damaged byte can be
 * told apart.
 */
#include "replay/log.h"

#include <msgpack.h>
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HASH_BYTES     8
#define HASH_PACKED    (2 + HASH_BYTES) /* as msgpack bin 8 */
#define RECORD_HEAD    3                /* array, kind, length */
#define HEADER_ENTRIES 7
#define FLUSH_BYTES    (64 * 1024)

/* Elements of the array of each kind. */
static const uint32_t record_elements[] = { [LOG_INPUT] = 5, [LOG_MARK] = 5, [LOG_END] = 8 };

static const char *const reason_names[LOG_REASONS] = {
    [LOG_POWER_OFF] = "power-off",
    [LOG_RESET] = "reset",
    [LOG_TRIPLE_FAULT] = "triple fault",
    [LOG_DEBUG_EXIT] = "debug exit",
    [LOG_UNTIL] = "until",
    [LOG_FAIL] = "fail",
    [LOG_IDLE] = "idle",
    [LOG_NEVER_WAKES] = "halted for ever",
    [LOG_LIMIT] = "limit",
    [LOG_QUIT] = "quit",
    [LOG_SIGNAL] = "signal",
    [LOG_BACKEND] = "backend",
};

const char *log_reason_name(enum log_reason reason)
{
    return reason < LOG_REASONS ? reason_names[reason] : "?";
}

bool log_reason_is_guests(enum log_reason reason)
{
    return reason < LOG_UNTIL;
}

const struct log_setting *log_header_setting(const struct log_header *header, const char *key)
{
    for (unsigned i = 0; i < header->setting_count; i++)
        if (strcmp(header->settings[i].key, key) == 0)
            return &header->settings[i];
    return NULL;
}

/* --- writer --- */

struct log_writer {
    int fd;
    int error;               /* negative errno once a write failed */
    msgpack_sbuffer pending; /* not in the file yet */
    XXH3_state_t *running;   /* over all bytes handed over */
    uint64_t written;        /* bytes in the file */
    uint64_t marked;         /* bytes of the file up to the end of its last mark */
    uint64_t marks;
};

static void pack_text(msgpack_packer *packer, const char *text)
{
    size_t length = strlen(text);
    msgpack_pack_str(packer, length);
    msgpack_pack_str_body(packer, text, length);
}

static void pack_hash(msgpack_packer *packer, uint64_t hash)
{
    XXH64_canonical_t canonical;
    XXH64_canonicalFromHash(&canonical, hash);
    msgpack_pack_bin(packer, HASH_BYTES);
    msgpack_pack_bin_body(packer, canonical.digest, HASH_BYTES);
}

/* Hands bytes over to the pending ones, and a seal behind them if asked. */
static int writer_add(struct log_writer *writer, const char *bytes, size_t count, bool sealed)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, &writer->pending, msgpack_sbuffer_write);
    if (msgpack_sbuffer_write(&writer->pending, bytes, count) != 0)
        return -ENOMEM;
    XXH3_64bits_update(writer->running, bytes, count);
    if (!sealed)
        return 0;
    size_t seal = writer->pending.size;
    pack_hash(&packer, XXH3_64bits_digest(writer->running));
    if (writer->pending.size != seal + HASH_PACKED)
        return -ENOMEM;
    XXH3_64bits_update(writer->running, writer->pending.data + seal, HASH_PACKED);
    return 0;
}

static int writer_add_header(struct log_writer *writer, const struct log_header *header)
{
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, HEADER_ENTRIES);
    pack_text(&packer, "sim-log");
    msgpack_pack_uint64(&packer, LOG_FORMAT);
    pack_text(&packer, "model");
    msgpack_pack_uint64(&packer, header->model);
    pack_text(&packer, "fingerprint");
    pack_text(&packer, header->fingerprint);
    pack_text(&packer, "settings");
    msgpack_pack_map(&packer, header->setting_count);
    for (unsigned i = 0; i < header->setting_count; i++) {
        pack_text(&packer, header->settings[i].key);
        if (header->settings[i].text)
            pack_text(&packer, header->settings[i].text);
        else
            msgpack_pack_uint64(&packer, header->settings[i].number);
    }
    pack_text(&packer, "images");
    msgpack_pack_array(&packer, header->image_count);
    for (unsigned i = 0; i < header->image_count; i++) {
        msgpack_pack_array(&packer, 4);
        pack_text(&packer, header->images[i].role);
        pack_text(&packer, header->images[i].path);
        msgpack_pack_uint64(&packer, header->images[i].size);
        msgpack_pack_bin(&packer, sizeof(header->images[i].hash));
        msgpack_pack_bin_body(&packer, header->images[i].hash, sizeof(header->images[i].hash));
    }
    pack_text(&packer, "seed");
    msgpack_pack_uint64(&packer, header->seed);
    pack_text(&packer, "seal");
    int error = writer_add(writer, body.data, body.size, true);
    msgpack_sbuffer_destroy(&body);
    return error;
}

static int writer_add_record(struct log_writer *writer, const struct log_record *record)
{
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_uint64(&packer, record->cycle);
    bool sealed = record->kind != LOG_INPUT;
    switch (record->kind) {
    case LOG_INPUT:
        msgpack_pack_uint64(&packer, record->source);
        msgpack_pack_bin(&packer, record->byte_count);
        msgpack_pack_bin_body(&packer, record->bytes, record->byte_count);
        break;
    case LOG_MARK:
        pack_hash(&packer, record->state_hash);
        break;
    case LOG_END:
        msgpack_pack_uint64(&packer, record->reason);
        msgpack_pack_uint64(&packer, record->code);
        msgpack_pack_uint64(&packer, record->instructions);
        pack_hash(&packer, record->state_hash);
        break;
    }
    size_t length = RECORD_HEAD + body.size + (sealed ? HASH_PACKED : 0);
    char head[RECORD_HEAD] = { (char)(0x90 | record_elements[record->kind]), (char)record->kind, (char)length };
    int error = length > LOG_RECORD_BYTES_MAX ? -EINVAL : writer_add(writer, head, RECORD_HEAD, false);
    if (!error)
        error = writer_add(writer, body.data, body.size, sealed);
    msgpack_sbuffer_destroy(&body);
    return error;
}

static int writer_flush(struct log_writer *writer)
{
    size_t done = 0;
    while (done < writer->pending.size) {
        ssize_t count = write(writer->fd, writer->pending.data + done, writer->pending.size - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? -errno : -EIO;
        done += (size_t)count;
    }
    writer->written += done;
    msgpack_sbuffer_clear(&writer->pending);
    return 0;
}

/* A failed write may have left half a record: what stays is a log that replays to its last mark. */
static int writer_fail(struct log_writer *writer, int error)
{
    if (ftruncate(writer->fd, (off_t)writer->marked) == 0)
        writer->written = writer->marked;
    writer->error = error;
    return error;
}

int log_create(struct log_writer **out, const char *path, bool force, const struct log_header *header,
               uint64_t state_hash)
{
    struct log_writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return -ENOMEM;
    msgpack_sbuffer_init(&writer->pending);
    writer->running = XXH3_createState();
    writer->fd = -1;
    int error = writer->running ? 0 : -ENOMEM;
    if (!error) {
        XXH3_64bits_reset(writer->running);
        writer->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0666);
        error = writer->fd < 0 ? -errno : 0;
    }
    if (!error)
        error = writer_add_header(writer, header);
    if (!error)
        error = log_append(writer, &(struct log_record){ .kind = LOG_MARK, .state_hash = state_hash });
    if (error) {
        log_close(writer);
        return error;
    }
    *out = writer;
    return 0;
}

int log_append(struct log_writer *writer, const struct log_record *record)
{
    if (writer->error)
        return writer->error;
    int error = writer_add_record(writer, record);
    if (!error && (record->kind != LOG_INPUT || writer->pending.size >= FLUSH_BYTES))
        error = writer_flush(writer);
    if (error)
        return writer_fail(writer, error);
    if (record->kind == LOG_MARK) {
        writer->marked = writer->written;
        writer->marks++;
    }
    return 0;
}

uint64_t log_written_bytes(const struct log_writer *writer)
{
    return writer->written + writer->pending.size;
}

uint64_t log_written_marks(const struct log_writer *writer)
{
    return writer->marks;
}

void log_close(struct log_writer *writer)
{
    if (!writer)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    XXH3_freeState(writer->running);
    msgpack_sbuffer_destroy(&writer->pending);
    free(writer);
}

/* --- reader --- */

static enum log_status reader_damaged(struct log_reader *reader, uint64_t record, size_t at, const char *what)
{
    snprintf(reader->error, sizeof(reader->error), "record %llu at byte %zu: %s", (unsigned long long)record, at, what);
    return LOG_DAMAGED;
}

/* Brings the running hash up to `end`, which never lies before what is hashed already. */
static uint64_t reader_hash(struct log_reader *reader, size_t end)
{
    XXH3_64bits_update(reader->running, reader->bytes + reader->hashed, end - reader->hashed);
    reader->hashed = end;
    return XXH3_64bits_digest(reader->running);
}

static bool unpack_hash(struct unpack *unpack, uint64_t *hash)
{
    const uint8_t *data;
    uint32_t length;
    size_t start = unpack->at;
    if (!unpack_binary(unpack, HASH_BYTES, &data, &length))
        return false;
    if (length != HASH_BYTES)
        return unpack_refuse(unpack, start);
    XXH64_canonical_t canonical;
    memcpy(canonical.digest, data, HASH_BYTES);
    *hash = XXH64_hashFromCanonical(&canonical);
    return true;
}

/* A number below a limit. */
static bool unpack_below(struct unpack *unpack, uint64_t limit, uint64_t *value)
{
    size_t start = unpack->at;
    if (!unpack_uint(unpack, value))
        return false;
    return *value < limit || unpack_refuse(unpack, start);
}

/* Copies a text into the reader's own strings, terminated. */
static bool reader_text(struct log_reader *reader, struct unpack *unpack, size_t *used, const char **text)
{
    const uint8_t *data;
    uint32_t length;
    size_t start = unpack->at;
    if (!unpack_text(unpack, LOG_TEXT_MAX, &data, &length))
        return false;
    if (memchr(data, 0, length))
        return unpack_refuse(unpack, start);
    char *copy = reader->texts + *used;
    memcpy(copy, data, length);
    copy[length] = 0;
    *used += length + 1;
    *text = copy;
    return true;
}

static bool reader_settings(struct log_reader *reader, struct unpack *unpack, size_t *used)
{
    struct log_header *header = &reader->header;
    if (!unpack_map(unpack, LOG_SETTINGS_MAX, &header->setting_count))
        return false;
    for (unsigned i = 0; i < header->setting_count; i++) {
        struct log_setting *setting = &header->settings[i];
        if (!reader_text(reader, unpack, used, &setting->key))
            return false;
        bool is_number = unpack->at < unpack->size &&
                         (unpack->bytes[unpack->at] < 0x80 || (unpack->bytes[unpack->at] & 0xFC) == 0xCC);
        if (is_number ? !unpack_uint(unpack, &setting->number) : !reader_text(reader, unpack, used, &setting->text))
            return false;
    }
    return true;
}

static bool reader_images(struct log_reader *reader, struct unpack *unpack, size_t *used)
{
    struct log_header *header = &reader->header;
    if (!unpack_array(unpack, LOG_IMAGES_MAX, &header->image_count))
        return false;
    for (unsigned i = 0; i < header->image_count; i++) {
        struct log_image *image = &header->images[i];
        const uint8_t *hash;
        uint32_t count, length;
        size_t start = unpack->at;
        if (!unpack_array(unpack, 4, &count))
            return false;
        if (count != 4)
            return unpack_refuse(unpack, start);
        if (!reader_text(reader, unpack, used, &image->role) || !reader_text(reader, unpack, used, &image->path) ||
            !unpack_uint(unpack, &image->size))
            return false;
        start = unpack->at;
        if (!unpack_binary(unpack, sizeof(image->hash), &hash, &length))
            return false;
        if (length != sizeof(image->hash))
            return unpack_refuse(unpack, start);
        memcpy(image->hash, hash, sizeof(image->hash));
    }
    return true;
}

/* Everything of the header but the map's own format byte, its first key and the format number. */
static bool reader_header(struct log_reader *reader, struct unpack *unpack, size_t *seal_at, uint64_t *seal)
{
    size_t used = 0;
    struct log_header *header = &reader->header;
    if (!unpack_key(unpack, "model") || !unpack_uint(unpack, &header->model) || !unpack_key(unpack, "fingerprint") ||
        !reader_text(reader, unpack, &used, &header->fingerprint) || !unpack_key(unpack, "settings") ||
        !reader_settings(reader, unpack, &used) || !unpack_key(unpack, "images") ||
        !reader_images(reader, unpack, &used) || !unpack_key(unpack, "seed") || !unpack_uint(unpack, &header->seed) ||
        !unpack_key(unpack, "seal"))
        return false;
    *seal_at = unpack->at;
    return unpack_hash(unpack, seal);
}

static enum log_status reader_open_header(struct log_reader *reader)
{
    struct unpack unpack = { .bytes = reader->bytes, .size = reader->size };
    uint32_t entries;
    uint64_t format, seal = 0;
    size_t seal_at = 0;
    if (!unpack_map(&unpack, HEADER_ENTRIES, &entries) || entries != HEADER_ENTRIES || !unpack_key(&unpack, "sim-log"))
        return reader_damaged(reader, 0, 0, "this is not a log of sim");
    if (!unpack_uint(&unpack, &format))
        return reader_damaged(reader, 0, unpack.at, "the header has no format number");
    if (format != LOG_FORMAT) {
        snprintf(reader->error, sizeof(reader->error), "record 0 at byte 0: log format %llu; this sim reads format %d",
                 (unsigned long long)format, LOG_FORMAT);
        return LOG_DAMAGED;
    }
    if (!reader_header(reader, &unpack, &seal_at, &seal))
        return reader_damaged(reader, 0, unpack.at,
                              unpack.state == UNPACK_SHORT ? "the log ends within its header" : "damaged header");
    if (reader_hash(reader, seal_at) != seal)
        return reader_damaged(reader, 0, seal_at, "the header's seal does not match: damaged");
    reader->at = reader->sealed = unpack.at;
    reader->records = 1;
    return LOG_OK;
}

/* The elements behind [kind, bytes. Stops at the first that no writer would have written there. */
static bool reader_elements(struct unpack *unpack, uint64_t last_cycle, struct log_record *record, size_t *seal_at,
                            uint64_t *seal)
{
    uint64_t number;
    const uint8_t *data;
    size_t start = unpack->at;
    if (!unpack_uint(unpack, &record->cycle))
        return false;
    if (record->cycle < last_cycle)
        return unpack_refuse(unpack, start);
    if (record->kind == LOG_INPUT) {
        if (!unpack_below(unpack, LOG_SOURCES, &number))
            return false;
        record->source = (enum log_source)number;
        start = unpack->at;
        if (!unpack_binary(unpack, LOG_INPUT_BYTES_MAX, &data, &record->byte_count))
            return false;
        if (record->byte_count == 0)
            return unpack_refuse(unpack, start);
        memcpy(record->bytes, data, record->byte_count);
        return true;
    }
    if (record->kind == LOG_END) {
        if (!unpack_below(unpack, LOG_REASONS, &number) || !unpack_uint(unpack, &record->code) ||
            !unpack_uint(unpack, &record->instructions))
            return false;
        record->reason = (enum log_reason)number;
    }
    if (!unpack_hash(unpack, &record->state_hash))
        return false;
    *seal_at = unpack->at;
    return unpack_hash(unpack, seal);
}

/*
 * Parses the record at *at and moves *at behind it. LOG_INCOMPLETE if the bytes end within it and what is there is a
 * record's beginning. The seal is not checked here.
 */
static enum log_status reader_parse(struct log_reader *reader, uint64_t number, size_t *at, uint64_t last_cycle,
                                    struct log_record *record, size_t *seal_at, uint64_t *seal)
{
    struct unpack unpack = { .bytes = reader->bytes, .size = reader->size, .at = *at };
    uint32_t elements;
    uint64_t kind = 0, length = 0;
    if (*at == reader->size)
        return LOG_INCOMPLETE;
    *record = (struct log_record){ 0 };
    size_t kind_at = *at + 1;
    bool good = unpack_array(&unpack, 15, &elements) && unpack_uint(&unpack, &kind);
    if (good && (kind < LOG_INPUT || kind > LOG_END || elements != record_elements[kind]))
        good = unpack_refuse(&unpack, kind_at);
    good = good && unpack_below(&unpack, LOG_RECORD_BYTES_MAX + 1, &length);
    bool whole = good && length <= reader->size - *at;
    if (whole)
        unpack.size = *at + length;
    record->kind = (enum log_kind)kind;
    good = good && reader_elements(&unpack, last_cycle, record, seal_at, seal);
    if (good && unpack.at == *at + length) {
        *at = unpack.at;
        return LOG_OK;
    }
    if (!good && !whole && unpack.state == UNPACK_SHORT)
        return LOG_INCOMPLETE;
    return reader_damaged(reader, number, *at,
                          good || unpack.state == UNPACK_SHORT ? "damaged: its length is wrong" : "damaged");
}

/* Goes through the records up to the next seal and checks it; nothing of them is handed out before. */
static enum log_status reader_check_segment(struct log_reader *reader)
{
    size_t at = reader->at, seal_at = 0;
    uint64_t number = reader->records, cycle = reader->cycle, seal = 0;
    struct log_record record;
    do {
        enum log_status status = reader_parse(reader, number, &at, cycle, &record, &seal_at, &seal);
        if (status != LOG_OK)
            return status;
        cycle = record.cycle;
        number++;
    } while (record.kind == LOG_INPUT);
    if (reader_hash(reader, seal_at) != seal)
        return reader_damaged(reader, number - 1, seal_at,
                              "the seal does not match: damaged between here and the seal before");
    if (record.kind == LOG_END && at != reader->size)
        return reader_damaged(reader, number, at, "bytes after the final record");
    reader->sealed = at;
    return LOG_OK;
}

enum log_status log_open(struct log_reader *reader, const uint8_t *bytes, size_t size)
{
    memset(reader, 0, sizeof(*reader));
    reader->bytes = bytes;
    reader->size = size;
    if (size > LOG_BYTES_MAX)
        return reader_damaged(reader, 0, 0, "the log is larger than 1 GiB");
    reader->running = XXH3_createState();
    /* Each text grows by its terminator, and takes at least one byte in the header. */
    size_t header_max = size < (2u << 20) ? size : 2u << 20;
    reader->texts = malloc(2 * header_max + 1);
    if (!reader->running || !reader->texts)
        return reader_damaged(reader, 0, 0, "no memory to read the log");
    XXH3_64bits_reset(reader->running);
    enum log_status status = reader_open_header(reader);
    if (status != LOG_OK)
        return status;
    struct log_record first;
    status = log_peek(reader, &first);
    if (status == LOG_INCOMPLETE)
        return reader_damaged(reader, 1, reader->at, "the log ends before its first mark");
    if (status == LOG_OK && (first.kind != LOG_MARK || first.cycle != 0))
        return reader_damaged(reader, 1, reader->at, "damaged: a log begins with a mark at cycle 0");
    return status;
}

enum log_status log_peek(struct log_reader *reader, struct log_record *record)
{
    if (reader->ended)
        return LOG_COMPLETE;
    if (reader->at == reader->sealed) {
        enum log_status status = reader_check_segment(reader);
        if (status != LOG_OK)
            return status;
    }
    size_t at = reader->at, seal_at;
    uint64_t seal;
    return reader_parse(reader, reader->records, &at, reader->cycle, record, &seal_at, &seal);
}

enum log_status log_next(struct log_reader *reader, struct log_record *record)
{
    enum log_status status = log_peek(reader, record);
    if (status != LOG_OK)
        return status;
    /* Byte 2 of a record is its length. */
    reader->at += reader->bytes[reader->at + 2];
    reader->cycle = record->cycle;
    reader->records++;
    reader->ended = record->kind == LOG_END;
    return LOG_OK;
}

uint64_t log_last_cycle(const uint8_t *bytes, size_t size)
{
    struct log_reader reader;
    struct log_record record;
    if (log_open(&reader, bytes, size) == LOG_OK) {
        while (log_next(&reader, &record) == LOG_OK) {
        }
    }
    uint64_t cycle = reader.cycle;
    log_reader_close(&reader);
    return cycle;
}

void log_reader_close(struct log_reader *reader)
{
    XXH3_freeState(reader->running);
    free(reader->texts);
    reader->running = NULL;
    reader->texts = NULL;
}
