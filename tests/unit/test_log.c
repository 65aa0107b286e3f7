/*
 * The log: what was written is read back, any msgpack library can read it too, and no damage passes for a log.
 */
#include "replay/log.h"

#include <msgpack.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH      "test_log.tmp.mp"
#define BYTES_MAX 4096

static const struct log_header sample_header = {
    .model = 7,
    .fingerprint = "0123-4567",
    .setting_count = 3,
    .settings = { { "memory", NULL, 256u << 20 },
                  { "cmdline", "console=ttyS0 and a text of more than 31 bytes", 0 },
                  { "empty", "", 0 } },
    .image_count = 2,
    .images = { { "kernel", "some/path", 1234567, { 1, 2, 3, 255 } }, { "initrd", "", 0, { 0 } } },
    .seed = UINT64_MAX,
};

static const struct log_record sample_records[] = {
    { .kind = LOG_MARK, .cycle = 0, .state_hash = 0x1122334455667788 },
    { .kind = LOG_INPUT, .cycle = 5, .byte_count = 3, .bytes = "ls\n" },
    { .kind = LOG_INPUT, .cycle = 200, .byte_count = 1, .bytes = "\xFF" },
    { .kind = LOG_MARK, .cycle = 70000, .state_hash = 0 },
    { .kind = LOG_MARK, .cycle = 70000, .state_hash = UINT64_MAX },
    { .kind = LOG_INPUT, .cycle = 5000000000, .byte_count = LOG_INPUT_BYTES_MAX, .bytes = { 0 } },
    { .kind = LOG_MARK, .cycle = 5000000000, .state_hash = 42 },
    { .kind = LOG_INPUT, .cycle = 5000000001, .byte_count = 2, .bytes = "ab" },
    { .kind = LOG_END,
      .cycle = 5000000300,
      .reason = LOG_DEBUG_EXIT,
      .code = 255,
      .instructions = 99999,
      .state_hash = 1 },
};
#define RECORDS (sizeof(sample_records) / sizeof(sample_records[0]))

struct bytes {
    uint8_t data[BYTES_MAX];
    size_t size;
};

static void read_file(struct bytes *bytes)
{
    FILE *file = fopen(PATH, "rb");
    assert_non_null(file);
    bytes->size = fread(bytes->data, 1, BYTES_MAX, file);
    assert_true(bytes->size < BYTES_MAX);
    fclose(file);
}

/* Writes the sample log; ends[i] becomes the size of the file behind record i where that is a seal, else 0. */
static void write_sample(struct bytes *bytes, size_t ends[RECORDS])
{
    struct log_writer *writer;
    assert_int_equal(log_create(&writer, PATH, true, &sample_header, sample_records[0].state_hash), 0);
    ends[0] = log_written_bytes(writer);
    for (size_t i = 1; i < RECORDS; i++) {
        assert_int_equal(log_append(writer, &sample_records[i]), 0);
        ends[i] = sample_records[i].kind == LOG_INPUT ? 0 : log_written_bytes(writer);
    }
    assert_int_equal(log_written_marks(writer), 4);
    log_close(writer);
    read_file(bytes);
    assert_int_equal(unlink(PATH), 0);
}

/* A copy of exactly this size on the heap, so that a sanitizer sees a read behind its end. */
static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + !size);
    assert_non_null(copy);
    memcpy(copy, data, size);
    return copy;
}

/* Reads a log to its end. Returns how it ended; *records: how many records were handed out, each checked against the
 * sample. */
static enum log_status read_all(const uint8_t *data, size_t size, size_t *records, char error[200])
{
    struct log_reader reader;
    struct log_record record;
    uint8_t *copy = exact_copy(data, size);
    enum log_status status = log_open(&reader, copy, size);
    *records = 0;
    while (status == LOG_OK && (status = log_next(&reader, &record)) == LOG_OK) {
        assert_true(*records < RECORDS);
        const struct log_record *sample = &sample_records[(*records)++];
        assert_int_equal(record.kind, sample->kind);
        assert_int_equal(record.cycle, sample->cycle);
        assert_int_equal(record.byte_count, sample->byte_count);
        assert_memory_equal(record.bytes, sample->bytes, sample->byte_count);
        assert_int_equal(record.state_hash, sample->state_hash);
        assert_int_equal(record.reason, sample->reason);
        assert_int_equal(record.code, sample->code);
        assert_int_equal(record.instructions, sample->instructions);
    }
    memcpy(error, reader.error, 200);
    log_reader_close(&reader);
    free(copy);
    return status;
}

static void test_round_trip(void **state)
{
    struct bytes bytes;
    struct log_reader reader;
    size_t ends[RECORDS], records;
    char error[200];
    (void)state;
    write_sample(&bytes, ends);
    assert_int_equal(read_all(bytes.data, bytes.size, &records, error), LOG_COMPLETE);
    assert_int_equal(records, RECORDS);

    assert_int_equal(log_open(&reader, bytes.data, bytes.size), LOG_OK);
    const struct log_header *header = &reader.header;
    assert_int_equal(header->model, 7);
    assert_string_equal(header->fingerprint, sample_header.fingerprint);
    assert_true(header->seed == UINT64_MAX);
    assert_int_equal(header->setting_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(header->settings[i].key, sample_header.settings[i].key);
        assert_int_equal(header->settings[i].number, sample_header.settings[i].number);
    }
    assert_null(header->settings[0].text);
    assert_string_equal(log_header_setting(header, "cmdline")->text, sample_header.settings[1].text);
    assert_null(log_header_setting(header, "nothing"));
    assert_int_equal(header->image_count, 2);
    assert_string_equal(header->images[0].role, "kernel");
    assert_string_equal(header->images[0].path, "some/path");
    assert_int_equal(header->images[0].size, 1234567);
    assert_memory_equal(header->images[0].hash, sample_header.images[0].hash, 16);
    log_reader_close(&reader);
}

/* The msgpack library sees one map and then arrays, and nothing else. */
static void test_is_msgpack(void **state)
{
    struct bytes bytes;
    size_t ends[RECORDS], at = 0, objects = 0;
    msgpack_unpacked unpacked;
    (void)state;
    write_sample(&bytes, ends);
    msgpack_unpacked_init(&unpacked);
    while (msgpack_unpack_next(&unpacked, (const char *)bytes.data, bytes.size, &at) == MSGPACK_UNPACK_SUCCESS) {
        assert_int_equal(unpacked.data.type, objects == 0 ? MSGPACK_OBJECT_MAP : MSGPACK_OBJECT_ARRAY);
        if (objects > 0)
            assert_int_equal(unpacked.data.via.array.ptr[2].via.u64, sample_records[objects - 1].cycle);
        objects++;
    }
    msgpack_unpacked_destroy(&unpacked);
    assert_int_equal(at, bytes.size);
    assert_int_equal(objects, RECORDS + 1);
}

/* Cut anywhere, a log is refused or reads up to its last whole mark, and nothing of the cut segment comes out. */
static void test_truncated(void **state)
{
    struct bytes bytes;
    size_t ends[RECORDS], records;
    char error[200];
    (void)state;
    write_sample(&bytes, ends);
    for (size_t size = 0; size < bytes.size; size++) {
        size_t expected = 0;
        for (size_t i = 0; i < RECORDS; i++)
            if (ends[i] && ends[i] <= size)
                expected = i + 1;
        enum log_status status = read_all(bytes.data, size, &records, error);
        assert_int_equal(records, expected);
        assert_int_equal(status, expected ? LOG_INCOMPLETE : LOG_DAMAGED);
        if (!expected)
            assert_non_null(strstr(error, "record "));
    }
}

/* Any byte changed to any other value: refused, with record and offset, never taken for a log that was cut off. */
static void test_flipped(void **state)
{
    struct bytes bytes;
    size_t ends[RECORDS], records;
    char error[200];
    (void)state;
    write_sample(&bytes, ends);
    for (size_t at = 0; at < bytes.size; at++) {
        for (unsigned change = 1; change < 256; change++) {
            bytes.data[at] ^= (uint8_t)change;
            enum log_status status = read_all(bytes.data, bytes.size, &records, error);
            bytes.data[at] ^= (uint8_t)change;
            if (status != LOG_DAMAGED)
                fail_msg("byte %zu xor %02x passes with status %d", at, change, status);
            assert_non_null(strstr(error, "at byte "));
        }
    }
}

static void test_bytes_behind_the_end(void **state)
{
    struct bytes bytes;
    size_t ends[RECORDS], records;
    char error[200];
    (void)state;
    write_sample(&bytes, ends);
    bytes.data[bytes.size++] = 0;
    assert_int_equal(read_all(bytes.data, bytes.size, &records, error), LOG_DAMAGED);
    assert_non_null(strstr(error, "bytes after"));
}

static void test_another_format_is_named(void **state)
{
    struct log_reader reader;
    static const uint8_t future[] = "\x87\xA7sim-log\x63";
    (void)state;
    assert_int_equal(log_open(&reader, future, sizeof(future) - 1), LOG_DAMAGED);
    assert_non_null(strstr(reader.error, "log format 99"));
    log_reader_close(&reader);
}

static void test_no_overwriting(void **state)
{
    struct log_writer *writer;
    (void)state;
    assert_int_equal(log_create(&writer, PATH, true, &sample_header, 1), 0);
    log_close(writer);
    assert_int_equal(log_create(&writer, PATH, false, &sample_header, 1), -EEXIST);
    assert_int_equal(unlink(PATH), 0);
    assert_int_equal(log_create(&writer, "no/such/folder/log.mp", false, &sample_header, 1), -ENOENT);
}

/* A device that is full: the error comes back, and the writer takes nothing more. */
static void test_failed_write(void **state)
{
    struct log_writer *writer;
    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(log_create(&writer, "/dev/full", true, &sample_header, 1), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_is_msgpack),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_bytes_behind_the_end),
        cmocka_unit_test(test_another_format_is_named),
        cmocka_unit_test(test_no_overwriting),
        cmocka_unit_test(test_failed_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
