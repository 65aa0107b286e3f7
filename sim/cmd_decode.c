/*
 * sim decode: disassembles bytes given in hex, for a look at what the decoder makes of them.
 *
 *   sim decode [--mode 16|32|64] HEX...
 *
 * Each instruction is one line: offset, bytes, length, text, and the row of isa.def it matched. Every feature is taken
 * as present. Exit status: 0 all bytes are instructions, 1 some are not (the line says so; decoding goes on one byte
 * further), 2 wrong usage.
 */
#include "sim/commands.h"
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

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends one argument: pairs of hex digits, between which spaces and commas and in front of which 0x may stand. Status
 * 0 or 2. */
static int append_hex(struct input *input, const char *text)
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
            return 2;
        }
        if (input->length == DECODE_INPUT_MAX) {
            fprintf(stderr, "sim decode: more than %u bytes\n", DECODE_INPUT_MAX);
            return 2;
        }
        input->bytes[input->length++] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return 0;
}

static void print_bytes(const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        printf("%02x ", bytes[i]);
    for (unsigned i = count; i < 10; i++)
        printf("   ");
}

/* One instruction. Returns how many bytes to go on; *status becomes 1 if there is none. */
static size_t decode_one(const struct input *input, size_t offset, unsigned mode_bits, int *status)
{
    const uint8_t *bytes = input->bytes + offset;
    size_t left = input->length - offset;
    unsigned available = left < INSN_BYTES_MAX ? (unsigned)left : INSN_BYTES_MAX;
    struct insn insn;
    char text[160];

    printf("%4zx: ", offset);
    switch (decode(bytes, available, mode_bits, NULL, &insn)) {
    case DECODE_OK:
        insn_format(&insn, offset, text, sizeof(text));
        print_bytes(bytes, insn.length);
        printf("%2u  %-44s %s%s\n", insn.length, text, insn.row->encoding,
               insn.row->attributes & ISA_UNIMPLEMENTED ? " (not implemented: #UD)" : "");
        return insn.length;
    case DECODE_MORE:
        print_bytes(bytes, available);
        printf("    cut off at offset %zu: the instruction goes on\n", offset);
        *status = 1;
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
    *status = 1;
    return 1;
}

static int usage(void)
{
    fprintf(stderr, "usage: sim decode [--mode 16|32|64] HEX...\n");
    return 2;
}

static int decode_arguments(struct input *input, int argc, char **argv)
{
    unsigned mode_bits = 64;
    int status = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mode") == 0) {
            const char *value = i + 1 < argc ? argv[++i] : "";
            if (strcmp(value, "16") != 0 && strcmp(value, "32") != 0 && strcmp(value, "64") != 0)
                return usage();
            mode_bits = (unsigned)atoi(value);
        } else if (argv[i][0] == '-') {
            return usage();
        } else if (append_hex(input, argv[i])) {
            return 2;
        }
    }
    if (!input->length)
        return usage();
    for (size_t offset = 0; offset < input->length;)
        offset += decode_one(input, offset, mode_bits, &status);
    return status;
}

int cmd_decode(int argc, char **argv)
{
    struct input input = { malloc(DECODE_INPUT_MAX), 0 };

    if (!input.bytes) {
        fprintf(stderr, "sim decode: out of memory\n");
        return 2;
    }
    int status = decode_arguments(&input, argc, argv);
    free(input.bytes);
    return status;
}
