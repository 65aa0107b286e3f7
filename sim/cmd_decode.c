/*
 * sim decode: disassembles bytes given in hex, for a look at what the decoder makes of them.
 *
 * Each instruction is one line: offset, bytes, length, text, and the row of isa.def it matched. Every feature is taken
 * as present. Where the bytes are no instruction, the line says so and decoding goes on one byte further.
 */
#include "sim/commands.h"
#include "sim/options.h"
#include "sim/status.h"
#include "cpu/insn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DECODE_INPUT_MAX 65536u

struct input {
    uint8_t *bytes;
    size_t length;
};

struct decode_options {
    unsigned mode;
};

static const char *const mode_names[] = { "64", "32", "16", NULL };
static const unsigned mode_bits[] = { 64, 32, 16 };

static const struct option decode_options[] = {
    { "mode", 0, "BITS", "16, 32 or 64 (64)", OPTION_CHOICE, offsetof(struct decode_options, mode), 0, mode_names },
    { 0 },
};
static const struct command_line decode_line = {
    .command = "decode",
    .positional = "HEX...",
    .takes_many = true,
    .summary = "Disassembles bytes given in hexadecimal, for instance: sim decode 48 89 e5 0fa2\n"
               "A line is: offset, bytes, length, instruction, and its row in cpu/isa.def.",
    .options = decode_options,
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends one argument: pairs of hex digits, between which spaces and commas and in front of which 0x may stand.
 * STATUS_OK or STATUS_USAGE. */
static enum status append_hex(struct input *input, const char *text)
{
    const char *at = text;

    while (*at) {
        if (isspace((unsigned char)*at) || *at == ',') {
            at++;
            continue;
        }
        if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
            at += 2;
        int high = hex_digit(at[0]);
        int low = high < 0 ? -1 : hex_digit(at[1]);
        if (low < 0) {
            fprintf(stderr, "sim decode: '%.64s' is not a row of hex bytes\n", text);
            return STATUS_USAGE;
        }
        if (input->length == DECODE_INPUT_MAX) {
            fprintf(stderr, "sim decode: more than %u bytes\n", DECODE_INPUT_MAX);
            return STATUS_USAGE;
        }
        input->bytes[input->length++] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return STATUS_OK;
}

static void print_bytes(const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        printf("%02x ", bytes[i]);
    for (unsigned i = count; i < 10; i++)
        printf("   ");
}

/* One instruction. Returns how many bytes to go on; *status becomes STATUS_BAD_INPUT if there is none. */
static size_t decode_one(const struct input *input, size_t offset, unsigned bits, enum status *status)
{
    const uint8_t *bytes = input->bytes + offset;
    size_t left = input->length - offset;
    unsigned available = left < INSN_BYTES_MAX ? (unsigned)left : INSN_BYTES_MAX;
    struct insn insn;
    char text[160];

    printf("%4zx: ", offset);
    switch (decode(bytes, available, bits, NULL, &insn)) {
    case DECODE_OK:
        insn_format(&insn, offset, text, sizeof(text));
        print_bytes(bytes, insn.length);
        printf("%2u  %-40s %s | %s | %s%s\n", insn.length, text, insn.row->mnemonic, insn.row->encoding,
               insn.row->operands, insn.row->attributes & ISA_UNIMPLEMENTED ? " (not implemented: #UD)" : "");
        return insn.length;
    case DECODE_MORE:
        print_bytes(bytes, available);
        printf("    cut off at offset %zu: the instruction goes on\n", offset);
        *status = STATUS_BAD_INPUT;
        return left;
    case DECODE_TOO_LONG:
        print_bytes(bytes, 1);
        printf("    #GP(0) at offset %zu: more than 15 bytes\n", offset);
        break;
    case DECODE_UD:
        print_bytes(bytes, 1);
        printf("    #UD at offset %zu: no such instruction\n", offset);
        break;
    }
    *status = STATUS_BAD_INPUT;
    return 1;
}

/* arguments: ended by NULL. */
static enum status decode_arguments(struct input *input, unsigned bits, char **arguments)
{
    enum status status = STATUS_OK;

    for (; *arguments; arguments++)
        if (append_hex(input, *arguments) != STATUS_OK)
            return STATUS_USAGE;
    if (!input->length) {
        fputs("sim decode: needs bytes (see sim decode --help)\n", stderr);
        return STATUS_USAGE;
    }
    for (size_t offset = 0; offset < input->length;)
        offset += decode_one(input, offset, bits, &status);
    return status;
}

int cmd_decode(int argc, char **argv)
{
    struct decode_options options = { 0 };
    int parsed = options_parse(&decode_line, &options, NULL, argc, argv);

    if (parsed)
        return parsed == OPTIONS_HELP ? STATUS_OK : STATUS_USAGE;
    struct input input = { malloc(DECODE_INPUT_MAX), 0 };
    if (!input.bytes) {
        fputs("sim decode: out of memory\n", stderr);
        return STATUS_HOST_ERROR;
    }
    enum status status = decode_arguments(&input, mode_bits[options.mode], argv + 1);
    free(input.bytes);
    return status;
}
