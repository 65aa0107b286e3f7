/*
 * Fuzz target "log": the log reader.
 *
 * Input: a log. A seal would stop every mutation at the first byte, so the input may hold placeholders: where the ten
 * bytes C4 08 "SEALSEAL" stand, the eight letters are replaced by the right XXH3 of all bytes before, in order.
 *
 * Policy: every byte string is admitted. The reader reads it to a defined end (LOG_COMPLETE, LOG_INCOMPLETE or
 * LOG_DAMAGED with one line that names record and offset), in bounds, with no record handed out that log.h forbids,
 * cycles that never fall, log_peek() in agreement with log_next(), and nothing behind the end.
 */
#include "fuzz/fuzz.h"
#include "replay/log.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SEAL_BYTES 10u

static void put_seals(uint8_t *bytes, size_t size)
{
    static const uint8_t placeholder[SEAL_BYTES] = { 0xC4, 0x08, 'S', 'E', 'A', 'L', 'S', 'E', 'A', 'L' };

    for (size_t at = 0; at + SEAL_BYTES <= size; at++) {
        XXH64_canonical_t seal;
        if (memcmp(bytes + at, placeholder, SEAL_BYTES))
            continue;
        XXH64_canonicalFromHash(&seal, XXH3_64bits(bytes, at));
        memcpy(bytes + at + 2, seal.digest, sizeof(seal.digest));
    }
}

static void check_text(const char *what, const char *text, size_t bytes_max)
{
    if (!text || strlen(text) > bytes_max)
        fuzz_finding("%s is no text of at most %zu bytes", what, bytes_max);
}

static void check_header(const struct log_header *header)
{
    if (header->setting_count > LOG_SETTINGS_MAX || header->image_count > LOG_IMAGES_MAX)
        fuzz_finding("%u settings, %u images", header->setting_count, header->image_count);
    check_text("fingerprint", header->fingerprint, LOG_TEXT_MAX);
    for (unsigned i = 0; i < header->setting_count; i++) {
        check_text("a setting's key", header->settings[i].key, LOG_TEXT_MAX);
        if (header->settings[i].text)
            check_text("a setting's text", header->settings[i].text, LOG_TEXT_MAX);
        if (!log_header_setting(header, header->settings[i].key))
            fuzz_finding("a setting that is not found by its key");
    }
    for (unsigned i = 0; i < header->image_count; i++) {
        check_text("an image's role", header->images[i].role, LOG_TEXT_MAX);
        check_text("an image's path", header->images[i].path, LOG_TEXT_MAX);
    }
}

static void check_error(const struct log_reader *reader)
{
    size_t length = strnlen(reader->error, sizeof(reader->error));

    if (length == 0 || length == sizeof(reader->error) || strchr(reader->error, '\n') ||
        strncmp(reader->error, "record ", 7) != 0)
        fuzz_finding("a damaged log without a line that names the record");
}

static void check_record(const struct log_record *record, uint64_t last_cycle)
{
    bool known = record->kind == LOG_INPUT || record->kind == LOG_MARK || record->kind == LOG_END;

    if (!known || record->cycle < last_cycle)
        fuzz_finding("record of kind %d at cycle %llu behind %llu", (int)record->kind,
                     (unsigned long long)record->cycle, (unsigned long long)last_cycle);
    if (record->kind == LOG_INPUT &&
        (record->byte_count < 1 || record->byte_count > LOG_INPUT_BYTES_MAX || record->source >= LOG_SOURCES))
        fuzz_finding("input of %u bytes from source %d", record->byte_count, (int)record->source);
    if (record->kind == LOG_END && record->reason >= LOG_REASONS)
        fuzz_finding("end for reason %d", (int)record->reason);
}

static void read_records(struct log_reader *reader, size_t size)
{
    uint64_t last_cycle = 0;
    size_t last_at = 0;
    bool ended = false;

    for (uint64_t i = 0;; i++) {
        struct log_record peeked, record;
        enum log_status foresight = log_peek(reader, &peeked);
        enum log_status status = log_next(reader, &record);
        if (foresight != status)
            fuzz_finding("log_peek says %d, log_next %d", (int)foresight, (int)status);
        if (status == LOG_DAMAGED)
            check_error(reader);
        if (status == LOG_COMPLETE && !ended)
            fuzz_finding("complete without an end record");
        if (status != LOG_OK)
            return;
        if (ended || (i == 0 && (record.kind != LOG_MARK || record.cycle != 0)))
            fuzz_finding("record %llu is of kind %d", (unsigned long long)i, (int)record.kind);
        if (peeked.kind != record.kind || peeked.cycle != record.cycle)
            fuzz_finding("log_peek shows another record than log_next");
        if (reader->at <= last_at || reader->at > size || reader->sealed > size || reader->at > reader->sealed)
            fuzz_finding("reader at byte %zu of %zu, sealed to %zu", reader->at, size, reader->sealed);
        check_record(&record, last_cycle);
        last_cycle = record.cycle;
        last_at = reader->at;
        ended = record.kind == LOG_END;
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct log_reader reader;
    uint8_t *sealed = malloc(size ? size : 1);

    if (!sealed)
        return 0;
    if (size)
        memcpy(sealed, data, size);
    put_seals(sealed, size);
    const uint8_t *bytes = fuzz_guarded(sealed, size);
    enum log_status status = log_open(&reader, bytes, size);
    if (status == LOG_OK) {
        check_header(&reader.header);
        read_records(&reader, size);
    } else if (status == LOG_DAMAGED) {
        check_error(&reader);
    } else {
        fuzz_finding("log_open gives %d", (int)status);
    }
    log_reader_close(&reader);
    free(sealed);
    return 0;
}
