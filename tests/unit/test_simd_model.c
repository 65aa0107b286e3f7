/*
 * Vector rows that few hosts have, or that processors only approximate, against a model of their own: IFMA, VBMI,
 * VBMI2, BITALG, VPOPCNTDQ, BF16, VRCP14, VRSQRT14, and VRCPPS with its kin. Encodings and states are those of
 * vex_form.h: every length, masks that are zero, all ones and random, merging and zeroing, broadcast, memory with
 * scaled displacements. The model works on one lane, from the manual's definition; masking is written here once more.
 * No host is needed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cpu/simd.h"
#include "tests/unit/rows.h"
#include "tests/unit/vex_form.h"
#include "tests/unit/operands.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- lanes -------------------------------------------------------------------------------------------------------- */

struct input {
    const union vector_register *z, *x, *y; /* the destination before, the first source, the second one */
    unsigned lane, lanes;
    unsigned width; /* bits of a lane of the result */
    unsigned imm;
    uint32_t mxcsr;
    uint64_t got; /* what the interpreter made of it, for models that admit more than one result */
};

static uint64_t element(const union vector_register *v, unsigned bytes, unsigned lane)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)v->u8[bytes * lane + i] << 8 * i;
    return value;
}
static void set_element(union vector_register *v, unsigned bytes, unsigned lane, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        v->u8[bytes * lane + i] = (uint8_t)(value >> 8 * i);
}
static uint64_t z_of(const struct input *in)
{
    return element(in->z, in->width / 8, in->lane);
}
static uint64_t x_of(const struct input *in)
{
    return element(in->x, in->width / 8, in->lane);
}
static uint64_t y_of(const struct input *in)
{
    return element(in->y, in->width / 8, in->lane);
}

static uint64_t population(const struct input *in)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < in->width; i++)
        count += y_of(in) >> i & 1;
    return count;
}

/* Bits from `start` on of two lanes side by side. */
static uint64_t window(const struct input *in, uint64_t high, uint64_t low, unsigned start)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < in->width; i++) {
        unsigned at = start + i;
        r |= (at < in->width ? low >> at & 1 : high >> (at - in->width) & 1) << i;
    }
    return r;
}
static uint64_t shift_left(const struct input *in)
{
    return window(in, x_of(in), y_of(in), in->width - in->imm % in->width);
}
static uint64_t shift_left_variable(const struct input *in)
{
    return window(in, z_of(in), x_of(in), in->width - (unsigned)(y_of(in) % in->width));
}
static uint64_t shift_right(const struct input *in)
{
    return window(in, y_of(in), x_of(in), in->imm % in->width);
}
static uint64_t shift_right_variable(const struct input *in)
{
    return window(in, x_of(in), z_of(in), (unsigned)(y_of(in) % in->width));
}

/* The 104-bit product from halves of 26 bits. */
static uint64_t multiply_52(const struct input *in, bool upper)
{
    const uint64_t half = (1u << 26) - 1;
    uint64_t x = x_of(in), y = y_of(in);
    uint64_t middle = (x & half) * (y >> 26 & half) + (x >> 26 & half) * (y & half);
    uint64_t low = (x & half) * (y & half) + ((middle & half) << 26);
    uint64_t high = (x >> 26 & half) * (y >> 26 & half) + (middle >> 26) + (low >> 52);
    return z_of(in) + (upper ? high : low & ((1ull << 52) - 1));
}
static uint64_t multiply_52_low(const struct input *in)
{
    return multiply_52(in, false);
}
static uint64_t multiply_52_high(const struct input *in)
{
    return multiply_52(in, true);
}

static uint64_t permute_bytes(const struct input *in)
{
    return in->y->u8[in->x->u8[in->lane] % in->lanes];
}
static uint64_t from_two(const struct input *in, unsigned index, const union vector_register *first)
{
    index %= 2 * in->lanes;
    return index < in->lanes ? first->u8[index] : in->y->u8[index - in->lanes];
}
static uint64_t permute_over_index(const struct input *in)
{
    return from_two(in, in->z->u8[in->lane], in->x);
}
static uint64_t permute_over_table(const struct input *in)
{
    return from_two(in, in->x->u8[in->lane], in->z);
}
static uint64_t multishift(const struct input *in)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < 8; i++)
        r |= (in->y->u64[in->lane / 8] >> (in->x->u8[in->lane] + i) % 64 & 1) << i;
    return r;
}
static uint64_t shuffle_bit(const struct input *in)
{
    return in->x->u64[in->lane / 8] >> in->y->u8[in->lane] % 64 & 1;
}

/* --- floating point --- */

static uint32_t quiet_or_zero(uint32_t bits) /* NaNs become quiet, denormals zero */
{
    if ((bits & 0x7FFFFFFF) > 0x7F800000)
        return bits | 0x00400000;
    return bits & 0x7F800000 ? bits : bits & 0x80000000;
}
static uint64_t to_bf16(uint32_t bits)
{
    bits = quiet_or_zero(bits);
    if ((bits & 0x7FFFFFFF) > 0x7F800000)
        return bits >> 16;
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}
static uint64_t convert_bf16(const struct input *in)
{
    return to_bf16(in->y->u32[in->lane]);
}
static uint64_t convert_two_bf16(const struct input *in)
{
    unsigned half = in->lanes / 2;
    return to_bf16(in->lane < half ? in->y->u32[in->lane] : in->x->u32[in->lane - half]);
}

static double f32_value(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return (double)value;
}
static bool is_nan32(uint32_t bits)
{
    return (bits & 0x7FFFFFFF) > 0x7F800000;
}

/*
 * x * y + z with one rounding. x and y have the 8 significant bits of a BF16, so a double holds their product; where it
 * does not hold the sum, the part that is lost is too far below the rest to make or break a tie of 24 bits.
 */
static uint32_t multiply_add(uint32_t x, uint32_t y, uint32_t z)
{
    x = quiet_or_zero(x), y = quiet_or_zero(y), z = quiet_or_zero(z);
    if (is_nan32(x) || is_nan32(y) || is_nan32(z))
        return is_nan32(x) ? x : is_nan32(y) ? y : z;
    double sum = f32_value(x) * f32_value(y) + f32_value(z);
    if (sum != sum)
        return 0xFFC00000;
    /* what is below the normal numbers after rounding is flushed; near them the exponent is moved out of the way */
    float rounded = (float)sum, scaled = (float)(sum * 0x1p100);
    uint32_t bits;
    memcpy(&bits, &rounded, 4);
    return scaled < 0x1p-26f && scaled > -0x1p-26f ? bits & 0x80000000 : bits;
}
static uint64_t dot_bf16(const struct input *in)
{
    uint32_t x = in->x->u32[in->lane], y = in->y->u32[in->lane];
    uint32_t sum = multiply_add(x & 0xFFFF0000, y & 0xFFFF0000, in->z->u32[in->lane]);
    return multiply_add(x << 16, y << 16, sum);
}

/*
 * VRCP14 and VRSQRT14. Our definition is the exact value rounded to 15 fraction bits; a double rounding may turn a tie.
 * So the error is half of the last of these bits and a little more, and the other bits are zero; the manual's bound is
 * 2^-14. Denormal results lose up to two bits.
 */
static uint64_t special(const struct input *in, bool root, bool *found)
{
    bool wide = in->width == 64;
    const uint64_t sign = wide ? 1ull << 63 : 1ull << 31, infinity = wide ? 0x7FFull << 52 : 0xFFull << 23;
    const uint64_t quiet = wide ? 1ull << 51 : 1ull << 22, largest_flushed = wide ? 1ull << 50 : 1ull << 21;
    uint64_t y = y_of(in), magnitude = y & ~sign;
    *found = true;
    if (magnitude > infinity)
        return y | quiet;
    if (!(y & infinity) && in->mxcsr & MXCSR_DAZ)
        magnitude = 0;
    if (!magnitude)
        return (y & sign) | infinity;
    if (root && y & sign)
        return sign | infinity | quiet;
    if (magnitude == infinity)
        return y & sign;
    if (!root && magnitude <= largest_flushed) /* 2^-128, 2^-1024: the reciprocal is too large */
        return (y & sign) | infinity;
    *found = false;
    return 0;
}
static long double value_of(unsigned width, uint64_t bits)
{
    double value;
    memcpy(&value, &bits, 8);
    return width == 64 ? (long double)value : (long double)f32_value((uint32_t)bits);
}
static bool is_near(long double ratio, long double bound)
{
    return ratio - 1 <= bound && 1 - ratio <= bound;
}
static uint64_t approximate(const struct input *in, bool root)
{
    bool wide = in->width == 64, found;
    uint64_t result = special(in, root, &found);
    if (found)
        return result;
    const uint64_t exponent = wide ? 0x7FFull << 52 : 0xFFull << 23, sign = wide ? 1ull << 63 : 1ull << 31;
    const uint64_t behind = wide ? (1ull << 37) - 1 : (1ull << 8) - 1;
    long double y = value_of(in->width, y_of(in)), got = value_of(in->width, in->got);
    long double smallest = value_of(in->width, wide ? 1ull << 52 : 1ull << 23), magnitude = y < 0 ? -y : y;
    bool denormal = !root && magnitude > 1 / smallest;
    if (denormal && in->mxcsr & MXCSR_FTZ)
        return y_of(in) & sign;
    bool right = is_near(root ? got * y * got : got * y, denormal ? 0x1p-14L : (root ? 0x1.04p-15L : 0x1.04p-16L));
    right = right && (in->got & exponent) != exponent && !(in->got & behind) && (!root || !(in->got & sign));
    return right ? in->got : ~in->got;
}
static uint64_t approximate_reciprocal(const struct input *in)
{
    return approximate(in, false);
}
static uint64_t approximate_root(const struct input *in)
{
    return approximate(in, true);
}
/* The definition itself is held to its bound in test_simd.c. */
static uint64_t reciprocal_12(const struct input *in)
{
    return simd_rcp(in->y->u32[in->lane]);
}
static uint64_t root_12(const struct input *in)
{
    return simd_rsqrt(in->y->u32[in->lane]);
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

enum result_shape {
    VECTOR,   /* lanes of `to` bytes */
    NARROWED, /* as many lanes as the source has */
    SCALAR,   /* lane 0; the rest of 128 bits from the first source */
    TO_MASK,  /* bits of an opmask register */
    COMPRESS,
    EXPAND
};
struct row_model {
    const char *handler;
    uint8_t from; /* bytes of an element of the second source: what is broadcast */
    uint8_t to;   /* bytes of a lane of the result */
    enum result_shape shape;
    uint64_t (*lane)(const struct input *in);
};

static const struct row_model models[] = {
    { "vpopcntb", 1, 1, VECTOR, population },
    { "vpopcntw", 2, 2, VECTOR, population },
    { "vpopcntd", 4, 4, VECTOR, population },
    { "vpopcntq", 8, 8, VECTOR, population },
    { "vpshldw", 2, 2, VECTOR, shift_left },
    { "vpshldd", 4, 4, VECTOR, shift_left },
    { "vpshldq", 8, 8, VECTOR, shift_left },
    { "vpshldvw", 2, 2, VECTOR, shift_left_variable },
    { "vpshldvd", 4, 4, VECTOR, shift_left_variable },
    { "vpshldvq", 8, 8, VECTOR, shift_left_variable },
    { "vpshrdw", 2, 2, VECTOR, shift_right },
    { "vpshrdd", 4, 4, VECTOR, shift_right },
    { "vpshrdq", 8, 8, VECTOR, shift_right },
    { "vpshrdvw", 2, 2, VECTOR, shift_right_variable },
    { "vpshrdvd", 4, 4, VECTOR, shift_right_variable },
    { "vpshrdvq", 8, 8, VECTOR, shift_right_variable },
    { "vpmadd52luq", 8, 8, VECTOR, multiply_52_low },
    { "vpmadd52huq", 8, 8, VECTOR, multiply_52_high },
    { "vpermb", 1, 1, VECTOR, permute_bytes },
    { "vpermi2b", 1, 1, VECTOR, permute_over_index },
    { "vpermt2b", 1, 1, VECTOR, permute_over_table },
    { "vpmultishiftqb", 8, 1, VECTOR, multishift },
    { "vpshufbitqmb", 1, 1, TO_MASK, shuffle_bit },
    { "vpcompressb", 1, 1, COMPRESS, NULL },
    { "vpcompressw", 2, 2, COMPRESS, NULL },
    { "vpcompressd", 4, 4, COMPRESS, NULL },
    { "vpcompressq", 8, 8, COMPRESS, NULL },
    { "vpexpandb", 1, 1, EXPAND, NULL },
    { "vpexpandw", 2, 2, EXPAND, NULL },
    { "vpexpandd", 4, 4, EXPAND, NULL },
    { "vpexpandq", 8, 8, EXPAND, NULL },
    { "vcvtneps2bf16", 4, 2, NARROWED, convert_bf16 },
    { "vcvtne2ps2bf16", 4, 2, VECTOR, convert_two_bf16 },
    { "vdpbf16ps", 4, 4, VECTOR, dot_bf16 },
    { "vrcp14ps", 4, 4, VECTOR, approximate_reciprocal },
    { "vrcp14pd", 8, 8, VECTOR, approximate_reciprocal },
    { "vrcp14ss", 4, 4, SCALAR, approximate_reciprocal },
    { "vrcp14sd", 8, 8, SCALAR, approximate_reciprocal },
    { "vrsqrt14ps", 4, 4, VECTOR, approximate_root },
    { "vrsqrt14pd", 8, 8, VECTOR, approximate_root },
    { "vrsqrt14ss", 4, 4, SCALAR, approximate_root },
    { "vrsqrt14sd", 8, 8, SCALAR, approximate_root },
    { "vrcpps", 4, 4, VECTOR, reciprocal_12 },
    { "vrcpss", 4, 4, SCALAR, reciprocal_12 },
    { "vrsqrtps", 4, 4, VECTOR, root_12 },
    { "vrsqrtss", 4, 4, SCALAR, root_12 },
};

static const struct row_model *model_of(const struct isa_row *row)
{
    for (unsigned i = 0; i < COUNT(models); i++) {
        if (!strcmp(models[i].handler, row->handler_name))
            return &models[i];
    }
    return NULL;
}

/* --- masking ------------------------------------------------------------------------------------------------------ */

/* The memory operand, as an offset in the area that is looked at. */
static unsigned operand_at(const struct vex_form *form, const struct row_model *m)
{
    bool element_wise = form->b || m->shape == SCALAR || m->shape == COMPRESS || m->shape == EXPAND;
    unsigned scale = !form->evex ? 1 : element_wise ? m->from : form->vector_bytes;
    return VEX_AREA / 2 + (form->displaced ? scale : 0);
}

static union vector_register second_source(const struct vex_form *form, const struct row_model *m,
                                           const struct vex_state *start, const uint8_t *memory)
{
    union vector_register y = { .u64 = { 0 } };
    if (!form->memory)
        return start->zmm[vex_place(form->rm)];
    const uint8_t *at = memory + operand_at(form, m);
    for (unsigned i = 0; i < 64; i++)
        y.u8[i] = at[form->b ? i % m->from : i];
    return y;
}

static void compress(const struct vex_form *form, const struct row_model *m, uint64_t active, struct vex_state *state,
                     uint8_t *memory)
{
    const union vector_register source = state->zmm[vex_place(form->reg)];
    union vector_register old = state->zmm[vex_place(form->memory ? 0 : form->rm)], r = { .u64 = { 0 } };
    unsigned count = 0, lanes = form->vector_bytes / m->to;
    for (unsigned i = 0; i < lanes; i++) {
        if (active >> i & 1)
            set_element(&r, m->to, count++, element(&source, m->to, i));
    }
    if (form->memory) {
        memcpy(memory + operand_at(form, m), &r, count * m->to);
        return;
    }
    for (unsigned i = count; i < lanes; i++)
        set_element(&r, m->to, i, form->z ? 0 : element(&old, m->to, i));
    state->zmm[vex_place(form->rm)] = r;
}

/* What should come out of `start` and `memory`; `got` came out. */
static void expect(const struct vex_form *form, const struct row_model *m, struct vex_state *state, uint8_t *memory,
                   const struct vex_state *got)
{
    unsigned lanes = m->shape == SCALAR ? 1 : form->vector_bytes / (m->shape == NARROWED ? m->from : m->to), taken = 0;
    uint64_t active = form->mask ? state->k[form->mask] : UINT64_MAX, bits = 0;
    active &= UINT64_MAX >> (64 - lanes);
    if (m->shape == COMPRESS) {
        compress(form, m, active, state, memory);
        return;
    }
    const union vector_register x = state->zmm[vex_place(form->vvvv)], y = second_source(form, m, state, memory);
    const union vector_register z = m->shape == TO_MASK ? x : state->zmm[vex_place(form->reg)];
    const union vector_register *out = &got->zmm[vex_place(m->shape == TO_MASK ? 0 : form->reg)];
    union vector_register r = { .u64 = { 0 } };
    if (m->shape == SCALAR)
        memcpy(&r, &x, 16);
    for (unsigned i = 0; i < lanes; i++) {
        struct input in = { &z, &x, &y, i, lanes, m->to * 8u, form->imm, state->mxcsr, element(out, m->to, i) };
        uint64_t value = form->z ? 0 : element(&z, m->to, i);
        if (active >> i & 1)
            value = m->shape == EXPAND ? element(&y, m->to, taken++) : m->lane(&in);
        set_element(&r, m->to, i, value);
        bits |= (active >> i & value & 1) << i;
    }
    if (m->shape == TO_MASK)
        state->k[form->reg] = bits;
    else
        state->zmm[vex_place(form->reg)] = r;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static _Alignas(4096) uint8_t data_page[4096];

static bool agrees(struct vex_bench *bench, const struct vex_form *form, const struct row_model *m, uint64_t *seed,
                   unsigned round)
{
    uint8_t memory[VEX_AREA];
    uint64_t r = operand_random(seed);
    uint32_t mxcsr = MXCSR_MASKS | ((uint32_t)r & (MXCSR_RC | MXCSR_DAZ | MXCSR_FTZ | MXCSR_FLAGS));
    struct vex_state start = vex_random_state(seed, round, mxcsr, data_page, memory), want = start, got = start;
    memcpy(data_page, memory, VEX_AREA);
    bool ran = vex_bench_run(bench, form->code, form->code_bytes, &got, round & 1);
    expect(form, m, &want, memory, &got);
    if (ran && !memcmp(&want, &got, sizeof want) && !memcmp(memory, data_page, VEX_AREA))
        return true;
    print_message("%s %s (%s), code", form->row->mnemonic, form->row->operands, form->row->encoding);
    for (unsigned i = 0; i < form->code_bytes; i++)
        print_message(" %02x", form->code[i]);
    print_message(", %s, memory %s\n", ran ? "ran" : "faulted",
                  memcmp(memory, data_page, VEX_AREA) ? "differs" : "is equal");
    vex_state_print("start", &start);
    vex_state_print("want", &want);
    vex_state_print("got", &got);
    return false;
}

#define ROUNDS 600u

static void rows_match_their_model(void **state)
{
    (void)state;
    struct vex_bench bench = vex_bench_make(data_page);
    uint64_t seed = 11;
    unsigned rows = 0, failures = 0;
    for (unsigned n = 0; n < ISA_ROW_COUNT; n++) {
        const struct isa_row *row = &isa_rows[n];
        const struct row_model *m = model_of(row);
        if (!m)
            continue;
        unsigned seen = 0, failed = 0;
        for (unsigned round = 0; round < 6 * ROUNDS && !failed; round++) {
            bool memory = round % 2;
            unsigned length = round / 2 % 3;
            if (!(row->accepts.mods & (memory ? 1 : 2)) || !(row->accepts.vector_lengths >> length & 1))
                continue;
            struct vex_form form = vex_encode(row, memory, length, &seed);
            /* k1, k3, the random ones; merging, zeroing; broadcast: each must have come */
            seen |= 1u << form.mask % 4 | (form.z ? 16u : 0) | (form.b ? 32u : 0);
            failed = !agrees(&bench, &form, m, &seed, round / 6);
        }
        unsigned wanted = (row->attributes & ISA_MASKED ? 15u : 1u) | (row->attributes & ISA_ZEROED ? 16u : 0) |
                          (row->attributes & ISA_BROADCAST ? 32u : 0);
        assert_int_equal(failed ? wanted : seen, wanted);
        failures += failed;
        rows++;
    }
    vex_bench_free(bench);
    assert_int_equal(failures, 0);
    assert_true(rows >= COUNT(models));
}

/* Every exponent of the approximations, and the places where results stop being finite or normal. */
static void approximations_hold_at_the_edges(void **state)
{
    static const struct {
        const char *handler;
        uint64_t y, want;
    } cases[] = {
        { "vrcp14ss", 0x00200000, 0x7F800000 }, /* 2^-128: infinity */
        { "vrcp14ss", 0x00200001, 0x7F7FFF00 }, /* and the next one: the largest of 16 bits */
        { "vrcp14ss", 0x80200001, 0xFF7FFF00 },
        { "vrcp14ss", 0x00400000, 0x7F000000 },
        { "vrcp14ss", 0x7E800000, 0x00800000 }, /* 2^126 */
        { "vrcp14ss", 0x7F000000, 0x00400000 }, /* 2^127: a denormal result */
        { "vrcp14ss", 0xFF000000, 0x80400000 },
        { "vrcp14sd", 0x0004000000000000, 0x7FF0000000000000 },
        { "vrcp14sd", 0x0004000000000001, 0x7FEFFFE000000000 },
        { "vrcp14sd", 0x7FE0000000000000, 0x0008000000000000 },
        { "vrsqrt14ss", 0x00000001, 0x64B50500 }, /* 2^-149: 2^74.5 */
        { "vrsqrt14ss", 0x7F7FFFFF, 0x1F800000 },
        { "vrsqrt14sd", 0x0000000000000001, 0x6180000000000000 }, /* 2^-1074: 2^537 */
        { "vrsqrt14sd", 0x7FEFFFFFFFFFFFFF, 0x1FF0000000000000 },
    };
    (void)state;
    struct vex_bench bench = vex_bench_make(data_page);
    uint64_t seed = 12;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        const struct isa_row *row = isa_rows;
        while (strcmp(row->handler_name, cases[i].handler))
            row++;
        unsigned width = row->handler_name[strlen(row->handler_name) - 1] == 'd' ? 64 : 32;
        struct vex_form form;
        do
            form = vex_encode(row, false, 0, &seed);
        while (form.mask || form.reg == form.rm);
        uint8_t memory[VEX_AREA];
        struct vex_state s = vex_random_state(&seed, 0, MXCSR_MASKS, data_page, memory);
        s.zmm[vex_place(form.rm)].u64[0] = cases[i].y;
        assert_true(vex_bench_run(&bench, form.code, form.code_bytes, &s, false));
        assert_int_equal(element(&s.zmm[vex_place(form.reg)], width / 8, 0), cases[i].want);
    }
    vex_bench_free(bench);
}

/* VDPBF16PS: z + x1 * y1 + x0 * y0, with the smallest normal numbers flushed, ties and NaNs. */
static void dot_products_hold_at_the_edges(void **state)
{
    static const struct {
        uint32_t z, x, y, want;
    } cases[] = {
        { 0x3F800000, 0x40004040, 0x40A03F80, 0x41600000 }, /* 1 + 2 * 5 + 3 * 1 */
        { 0x00800000, 0xA0000000, 0x1F800000, 0x00000000 }, /* 2^-126 - 2^-127 */
        { 0x80800000, 0x20000000, 0x1F800000, 0x00000000 }, /* -0, and + 0 * 0: the sign goes */
        { 0x80800000, 0x20000000, 0x1F808000, 0x80000000 }, /* -0, and + 0 * -0 */
        { 0x00800000, 0x9A000000, 0x19800000, 0x00800000 }, /* 2^-126 - 2^-151: a tie of 24 bits, so not tiny */
        { 0x00800000, 0x9A000000, 0x1A000000, 0x00000000 }, /* 2^-126 - 2^-150: tiny */
        { 0x3F800000, 0x39800000, 0x39800000, 0x3F800000 }, /* 1 + 2^-24: to even */
        { 0x3F800001, 0x39800000, 0x39800000, 0x3F800002 },
        { 0x00000001, 0x00013F80, 0x3F800001, 0x00000000 }, /* denormals are zeros */
        { 0x7F800001, 0x3F803F80, 0x3F803F80, 0x7FC00001 }, /* the addend's NaN, quiet */
        { 0x3F800000, 0x7F800000, 0x00010000, 0xFFC00000 }, /* infinity * 0 */
        { 0xFF800000, 0x7F003F80, 0x7F003F80, 0xFF800000 },
        { 0x3F800000, 0x7F003F80, 0x7F003F80, 0x7F800000 }, /* overflow */
        { 0x3F800000, 0x7F81FFA0, 0x3F803F80, 0xFFE00000 }, /* a NaN of x before the sum's */
    };
    (void)state;
    struct vex_bench bench = vex_bench_make(data_page);
    uint64_t seed = 13;
    const struct isa_row *row = isa_rows;
    while (strcmp(row->handler_name, "vdpbf16ps"))
        row++;
    for (unsigned i = 0; i < COUNT(cases); i++) {
        struct vex_form form;
        do
            form = vex_encode(row, false, i % 3, &seed);
        while (form.mask || form.reg == form.rm || form.reg == form.vvvv || form.rm == form.vvvv);
        uint8_t memory[VEX_AREA];
        struct vex_state s = vex_random_state(&seed, 0, MXCSR_RC & seed, data_page, memory); /* without effect */
        unsigned lane = i % 4;
        s.zmm[vex_place(form.reg)].u32[lane] = cases[i].z;
        s.zmm[vex_place(form.vvvv)].u32[lane] = cases[i].x;
        s.zmm[vex_place(form.rm)].u32[lane] = cases[i].y;
        const union vector_register z = s.zmm[vex_place(form.reg)], x = s.zmm[vex_place(form.vvvv)];
        const union vector_register y = s.zmm[vex_place(form.rm)];
        struct input in = { &z, &x, &y, lane, 4, 32, 0, 0, 0 };
        assert_true(vex_bench_run(&bench, form.code, form.code_bytes, &s, i & 1));
        assert_int_equal(dot_bf16(&in), cases[i].want);
        assert_int_equal(s.zmm[vex_place(form.reg)].u32[lane], cases[i].want);
    }
    vex_bench_free(bench);
}

static bool row_has_model(const struct isa_row *row)
{
    return model_of(row) != NULL;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_match_their_model),
        cmocka_unit_test(approximations_hold_at_the_edges),
        cmocka_unit_test(dot_products_hold_at_the_edges),
    };
    if (rows_asked(argc, argv))
        return rows_print(row_has_model);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
