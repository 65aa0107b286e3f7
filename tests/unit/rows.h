/*
 * Which rows of the instruction table does a test go through? A test that takes them from the table prints them when it
 * is run as `test_NAME --rows`, one a line as isa_coverage.c does: what it would execute on a host that has every
 * feature. tests/coverage_test.py asks.
 */
#ifndef TESTS_UNIT_ROWS_H
#define TESTS_UNIT_ROWS_H

#include "cpu/isa.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* mnemonic | encoding | operands, and the modes where these are not all. */
static inline void row_print(FILE *to, const struct isa_row *row)
{
    fprintf(to, "%s | %s | %s%s", row->mnemonic, row->encoding, row->operands,
            row->attributes & ISA_ONLY64  ? " | 64"
            : row->attributes & ISA_NOT64 ? " | no64"
                                          : "");
}

static inline bool rows_asked(int argc, char **argv)
{
    return argc == 2 && strcmp(argv[1], "--rows") == 0;
}

/* For main() to return. */
static inline int rows_print(bool (*tested)(const struct isa_row *row))
{
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
        if (tested(&isa_rows[i])) {
            row_print(stdout, &isa_rows[i]);
            putchar('\n');
        }
    }
    return 0;
}

#endif
