/*
 * Fuzz target "decoder": decode() against Zydis, and against itself.
 *
 * Input: byte 0: bits 1:0 the mode (16, 32, 64, 64), bits 7:2 the CPU model whose features are tried beside the whole
 * table; then a stream of instructions of at most STREAM_BYTES_MAX bytes, decoded one behind the other (what is no
 * instruction is skipped by a byte), so that one input holds many.
 *
 * Policy: every byte string is admitted. Of each position must hold:
 * - validity, length, memory operand, immediates and registers are Zydis's, or the departure is listed in
 *   zydis_oracle.c;
 * - no byte behind those given is read (they end at an inaccessible page), and none behind the instruction counts:
 *   the same instruction comes out of exactly its own bytes;
 * - each proper prefix of an instruction gives DECODE_MORE;
 * - what a model decodes has a feature of that model, and a length of 1 to 15;
 * - insn_format() stays inside its buffer and says how long the text is.
 */
#include "cpu/insn.h"
#include "cpu/model.h"
#include "fuzz/fuzz.h"
#include "fuzz/zydis_oracle.h"

#include <stdio.h>
#include <string.h>

#define STREAM_BYTES_MAX 4096u

#ifdef FUZZ_CANARY
/*
 * The planted bug by which scripts/fuzz smoke knows that a bug would be found: a locked CMPXCHG16B with a scaled index
 * is said to be a byte longer than it is.
 */
static void plant(struct zydis_pair *pair, enum zydis_difference *difference)
{
    if (pair->status == DECODE_OK && !strcmp(pair->insn.row->mnemonic, "CMPXCHG16B") && pair->insn.lock &&
        pair->insn.scale) {
        pair->insn.length++;
        *difference = LENGTH;
    }
}
#else
static void plant(struct zydis_pair *pair, enum zydis_difference *difference)
{
    (void)pair;
    (void)difference;
}
#endif

static _Noreturn void finding(const struct zydis_pair *pair, enum zydis_difference difference, const char *what)
{
    char text[500];

    zydis_pair_format(pair, difference, text, sizeof(text));
    fuzz_finding("%s: %s", what, text);
}

/* Decoded again from its own bytes alone, and from too few of them. */
static void check_extent(const struct zydis_pair *pair)
{
    const struct insn *insn = &pair->insn;
    const uint8_t *own = fuzz_guarded(pair->bytes, insn->length);
    struct insn again;

    if (decode(own, insn->length, pair->mode_bits, NULL, &again) != DECODE_OK || again.row != insn->row ||
        again.length != insn->length || again.immediate != insn->immediate ||
        again.displacement != insn->displacement || again.modrm != insn->modrm)
        finding(pair, NONE, "not the same from its own bytes alone");
    for (unsigned bytes = 1; bytes < insn->length; bytes++) {
        own = fuzz_guarded(pair->bytes, bytes);
        if (decode(own, bytes, pair->mode_bits, NULL, &again) != DECODE_MORE)
            finding(pair, NONE, "a part of it is not DECODE_MORE");
    }
}

static void check_format(const struct zydis_pair *pair)
{
    char whole[256], cut[8];
    int length = insn_format(&pair->insn, 0xFFFFFFFF80000000ull, whole, sizeof(whole));

    if (length <= 0 || length >= (int)sizeof(whole) || strlen(whole) != (size_t)length)
        finding(pair, NONE, "its text has another length than insn_format says");
    if (insn_format(&pair->insn, 0xFFFFFFFF80000000ull, cut, sizeof(cut)) != length ||
        strncmp(cut, whole, sizeof(cut) - 1) != 0)
        finding(pair, NONE, "its text changes with the buffer");
}

static void check_model(const struct zydis_pair *pair, const struct cpu_model *model)
{
    struct insn insn;
    const uint64_t *features = model->features;
    enum decode_status status = decode(pair->bytes, pair->available, pair->mode_bits, features, &insn);

    if (status == DECODE_OK) {
        unsigned feature = insn.row->feature;
        if (insn.length < 1 || insn.length > INSN_BYTES_MAX || insn.length > pair->available)
            fuzz_finding("%s: length %u of %u bytes", insn.row->mnemonic, insn.length, pair->available);
        if (feature && !(features[feature / 64] >> (feature % 64) & 1))
            fuzz_finding("%s decodes on %s, which lacks %s", insn.row->mnemonic, model->name, insn.row->feature_name);
        if (pair->status != DECODE_OK)
            finding(pair, NONE, "only a model with fewer features decodes it");
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static struct zydis_oracle oracles[3]; /* constant once they are made */
    static const unsigned modes[] = { 16, 32, 64 };

    if (!oracles[0].mode_bits)
        for (unsigned i = 0; i < 3; i++)
            if (zydis_oracle_init(&oracles[i], modes[i]))
                fuzz_finding("Zydis refuses %u-bit mode", modes[i]);
    if (size < 2)
        return 0;
    unsigned models = 0;
    while (cpu_models()[models])
        models++;
    const struct zydis_oracle *oracle = &oracles[(data[0] & 3) < 2 ? data[0] & 3 : 2];
    const struct cpu_model *model = cpu_models()[(data[0] >> 2) % models];
    const uint8_t *at = data + 1, *end = data + (size < STREAM_BYTES_MAX + 1 ? size : STREAM_BYTES_MAX + 1);
    uint64_t count = 0;
    while (at < end) {
        struct zydis_pair pair;
        unsigned available = end - at < (ptrdiff_t)INSN_BYTES_MAX ? (unsigned)(end - at) : INSN_BYTES_MAX;
        enum zydis_difference difference = zydis_oracle_compare(oracle, at, available, &pair);
        plant(&pair, &difference);
        if (difference != NONE)
            finding(&pair, difference, "oracle");
        check_model(&pair, model);
        if (pair.status == DECODE_OK) {
            count++;
            check_extent(&pair);
            check_format(&pair);
        }
        at += pair.status == DECODE_OK ? pair.insn.length : 1;
    }
    fuzz_count("instructions", count);
    return 0;
}
