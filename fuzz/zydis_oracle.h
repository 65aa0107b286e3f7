/*
 * Zydis as the oracle of the decoder: validity, length, memory operand, immediates and the registers of the operands.
 *
 * zydis_oracle.c has the list of departures, each with its reason; anything else is a difference. Used by the unit test
 * (all opcodes, pseudo-random tails) and by the fuzz target (anything).
 */
#ifndef FUZZ_ZYDIS_ORACLE_H
#define FUZZ_ZYDIS_ORACLE_H

#include "cpu/insn.h"

#include <Zydis/Zydis.h>
#include <stddef.h>

enum zydis_difference { NONE, ONLY_ZYDIS, ONLY_SIM, LENGTH, MEMORY, IMMEDIATE, REGISTER, WIDTH };

struct zydis_oracle {
    ZydisDecoder decoder;
    unsigned mode_bits;
};

/* What each side made of the same bytes. */
struct zydis_pair {
    unsigned mode_bits;
    const uint8_t *bytes;
    unsigned available;
    enum decode_status status;
    struct insn insn;
    bool valid;
    ZydisDecodedInstruction zydis;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    int exception; /* the explained departure that made them agree; -1: none was needed */
};

/* mode_bits: 16, 32, 64. 0, or -1 if Zydis refuses. */
int zydis_oracle_init(struct zydis_oracle *oracle, unsigned mode_bits);

/* Decodes on both sides, available: 1..15 bytes. NONE if they agree or the departure is explained. */
enum zydis_difference zydis_oracle_compare(const struct zydis_oracle *oracle, const uint8_t *bytes, unsigned available,
                                           struct zydis_pair *pair);

/* The explained departures, by the number in zydis_pair: how many there are, and what each is about. */
unsigned zydis_exception_count(void);
void zydis_exception_name(unsigned number, char *out, size_t out_bytes);

const char *zydis_difference_name(enum zydis_difference difference);
/* Zydis's name of the instruction, or ours where it has none. */
const char *zydis_pair_mnemonic(const struct zydis_pair *pair);
/* Two lines for people, without the last newline. */
void zydis_pair_format(const struct zydis_pair *pair, enum zydis_difference difference, char *out, size_t out_bytes);

#endif
