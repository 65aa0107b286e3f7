/*
 * Two machines field by field, and one machine for people: what the field tables are good for besides the hash.
 */
#ifndef REPLAY_COMPARE_H
#define REPLAY_COMPARE_H

#include "devices/board.h"

#include <stdio.h>

/*
 * Prints each state field and each stretch of RAM that differs, one a line: name, value in a, value in b; at most
 * max_lines, then how many more there are. The boards must be of one configuration. Returns the number of differences;
 * out may be NULL.
 */
uint64_t board_compare(const struct board *a, const struct board *b, FILE *out, unsigned max_lines);

/* Prints every state field that is not zero, "part.field[i] = value", in hexadecimal. */
void board_dump(const struct board *board, FILE *out);

#endif
