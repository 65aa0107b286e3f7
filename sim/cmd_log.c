/*
 * sim log: what a log holds, for people or as JSON, one object a line.
 */
#include "sim/commands.h"
#include "sim/image.h"
#include "sim/options.h"
#include "sim/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct log_options {
    bool json;
};

static const struct option log_options[] = {
    { "json", 0, NULL, "one JSON object a line: the header, then the records", OPTION_FLAG,
      offsetof(struct log_options, json), 0, NULL },
    { 0 },
};
static const struct command_line log_line = {
    .command = "log",
    .positional = "LOG",
    .summary = "Prints a log: its header, the inputs, the marks, the end. Every seal is checked.",
    .options = log_options,
};

/* A text in double quotes; what is not printable ASCII escaped as JSON wants it (bytes from 80H on pass: UTF-8). */
static void print_quoted(const uint8_t *text, size_t length, bool ascii_only)
{
    putchar('"');
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = text[i];
        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte == '\n' || byte == '\r')
            printf("\\%c", byte == '\n' ? 'n' : 'r');
        else if (byte < 0x20 || byte == 0x7F || (ascii_only && byte >= 0x80))
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

static void print_text(const char *text)
{
    print_quoted((const uint8_t *)text, strlen(text), false);
}

static void print_hex(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("%02x", bytes[i]);
}

static void print_header(const struct log_header *header)
{
    printf("format       %d, machine model %" PRIu64 "\nfingerprint  %s\nseed         %" PRIu64 "\n", LOG_FORMAT,
           header->model, header->fingerprint, header->seed);
    for (unsigned i = 0; i < header->setting_count; i++) {
        const struct log_setting *setting = &header->settings[i];
        if (setting->text)
            printf("%-12s %s\n", setting->key, setting->text);
        else
            printf("%-12s %" PRIu64 "\n", setting->key, setting->number);
    }
    for (unsigned i = 0; i < header->image_count; i++) {
        const struct log_image *image = &header->images[i];
        printf("%-12s %s, %" PRIu64 " bytes, XXH3 ", image->role, image->path, image->size);
        print_hex(image->hash, sizeof(image->hash));
        putchar('\n');
    }
}

static void print_header_json(const struct log_header *header)
{
    printf("{\"sim-log\":%d,\"model\":%" PRIu64 ",\"fingerprint\":", LOG_FORMAT, header->model);
    print_text(header->fingerprint);
    printf(",\"settings\":{");
    for (unsigned i = 0; i < header->setting_count; i++) {
        const struct log_setting *setting = &header->settings[i];
        if (i)
            putchar(',');
        print_text(setting->key);
        putchar(':');
        if (setting->text)
            print_text(setting->text);
        else
            printf("%" PRIu64, setting->number);
    }
    printf("},\"images\":[");
    for (unsigned i = 0; i < header->image_count; i++) {
        const struct log_image *image = &header->images[i];
        printf("%s{\"role\":", i ? "," : "");
        print_text(image->role);
        printf(",\"path\":");
        print_text(image->path);
        printf(",\"bytes\":%" PRIu64 ",\"xxh3\":\"", image->size);
        print_hex(image->hash, sizeof(image->hash));
        printf("\"}");
    }
    printf("],\"seed\":%" PRIu64 "}\n", header->seed);
}

static void print_record(const struct log_record *record)
{
    switch (record->kind) {
    case LOG_INPUT:
        printf("%16" PRIu64 "  input  ", record->cycle);
        print_quoted(record->bytes, record->byte_count, true);
        putchar('\n');
        break;
    case LOG_MARK:
        printf("%16" PRIu64 "  mark   %016" PRIx64 "\n", record->cycle, record->state_hash);
        break;
    case LOG_END:
        printf("%16" PRIu64 "  end    %016" PRIx64 "  %s, code %" PRIu64 ", %" PRIu64 " instructions\n", record->cycle,
               record->state_hash, log_reason_name(record->reason), record->code, record->instructions);
        break;
    }
}

static void print_record_json(const struct log_record *record)
{
    switch (record->kind) {
    case LOG_INPUT:
        printf("{\"kind\":\"input\",\"cycle\":%" PRIu64 ",\"source\":\"console\",\"bytes\":\"", record->cycle);
        print_hex(record->bytes, record->byte_count);
        printf("\"}\n");
        break;
    case LOG_MARK:
        printf("{\"kind\":\"mark\",\"cycle\":%" PRIu64 ",\"hash\":\"%016" PRIx64 "\"}\n", record->cycle,
               record->state_hash);
        break;
    case LOG_END:
        printf("{\"kind\":\"end\",\"cycle\":%" PRIu64 ",\"hash\":\"%016" PRIx64 "\",\"reason\":\"%s\",\"code\":%" PRIu64
               ",\"instructions\":%" PRIu64 "}\n",
               record->cycle, record->state_hash, log_reason_name(record->reason), record->code, record->instructions);
        break;
    }
}

/* STATUS_OK, STATUS_INCOMPLETE or STATUS_BAD_INPUT. */
static enum status print_log(struct log_reader *reader, const char *path, bool json)
{
    struct log_record record;
    enum log_status status;
    (json ? print_header_json : print_header)(&reader->header);
    while ((status = log_next(reader, &record)) == LOG_OK)
        (json ? print_record_json : print_record)(&record);
    if (status == LOG_COMPLETE)
        return STATUS_OK;
    fflush(stdout);
    if (status == LOG_INCOMPLETE)
        fprintf(stderr, "sim: %s: the log was cut off behind its last mark\n", path);
    else
        fprintf(stderr, "sim: %s: %s\n", path, reader->error);
    return status == LOG_INCOMPLETE ? STATUS_INCOMPLETE : STATUS_BAD_INPUT;
}

int cmd_log(int argc, char **argv)
{
    struct log_options options = { 0 };
    char error[IMAGE_ERROR_BYTES];
    const char *path;
    struct image_file file;
    struct log_reader reader;
    enum status status = STATUS_BAD_INPUT;
    int parsed = options_parse(&log_line, &options, &path, argc, argv);
    if (parsed)
        return parsed == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
    if (!path) {
        fputs("sim log: needs a log (see sim log --help)\n", stderr);
        return STATUS_USAGE;
    }
    if (image_read(&file, "log", path, error)) {
        fprintf(stderr, "sim: %s\n", error);
        return STATUS_BAD_INPUT;
    }
    if (log_open(&reader, file.image.bytes, file.image.size_bytes) == LOG_OK)
        status = print_log(&reader, path, options.json);
    else
        fprintf(stderr, "sim: %s: %s\n", path, reader.error);
    log_reader_close(&reader);
    image_free(&file);
    return status;
}
