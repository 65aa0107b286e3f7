/*
 * The instruction table proves itself: every row can be reached, from bytes made out of what the row says about itself,
 * in every mode and with every size and operand form it admits; cut short at any byte, these bytes ask for more; and
 * the columns of a row agree with each other.
 */
#include "cpu/insn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* One way to write a row down. */
struct form {
    unsigned mode_bits;
    unsigned operand_size, address_size; /* 0, 1, 2: 16, 32, 64 */
    unsigned w;
    unsigned prefix; /* mandatory: 0 none, 1 66H, 2 F3H, 3 F2H */
    unsigned modrm;
    unsigned vector_length;
};

struct bytes {
    uint8_t byte[40];
    unsigned count;
};

static void add(struct bytes *to, unsigned byte)
{
    to->byte[to->count++] = (uint8_t)byte;
}

static bool has_vvvv(const struct isa_row *row)
{
    for (unsigned i = 0; i < row->operand_count; i++)
        if (row->operand[i].source == FROM_VVVV)
            return true;
    return false;
}

static void add_vector_prefix(struct bytes *to, const struct isa_row *row, const struct form *form)
{
    unsigned vvvv = has_vvvv(row) ? 0x48 : 0x78, /* register 6 */
        map = row->accepts.map;

    if (map < ISA_MAP_EVEX_0F) {
        add(to, 0xC4);
        add(to, 0xE0 | (map - ISA_MAP_VEX_0F + 1));
        add(to, form->w << 7 | vvvv | form->vector_length << 2 | form->prefix);
    } else {
        add(to, 0x62);
        add(to, 0xF0 | (map <= ISA_MAP_EVEX_0F3A ? map - ISA_MAP_EVEX_0F + 1 : map - ISA_MAP_EVEX_MAP5 + 5));
        add(to, form->w << 7 | vvvv | 4 | form->prefix);
        add(to, form->vector_length << 5 | 8 | (row->attributes & ISA_VSIB ? 1 : 0)); /* a gather needs an opmask */
    }
}

/* Prefixes and opcode. False: this form cannot be written (66H would be both a mandatory and a size prefix, or
 * neither). */
static bool add_opcode(struct bytes *to, const struct isa_row *row, const struct form *form)
{
    unsigned default_size = form->mode_bits == 16 ? 0 : 1;
    bool operand_prefix = form->operand_size != default_size && form->operand_size != 2;

    if (form->address_size != (form->mode_bits == 64 ? 2 : default_size))
        add(to, 0x67);
    if (row->accepts.map >= ISA_MAP_VEX_0F) {
        add_vector_prefix(to, row, form);
        return true;
    }
    if (form->prefix == 0 && operand_prefix && row->accepts.prefixes != 0xF)
        return false;
    if (form->prefix == 1 || operand_prefix)
        add(to, 0x66);
    if (form->prefix >= 2)
        add(to, form->prefix == 2 ? 0xF3 : 0xF2);
    if (form->w)
        add(to, 0x48);
    if (row->accepts.map != ISA_MAP_LEGACY)
        add(to, 0x0F);
    if (row->accepts.map == ISA_MAP_0F38)
        add(to, 0x38);
    if (row->accepts.map == ISA_MAP_0F3A)
        add(to, 0x3A);
    return true;
}

static void add_address(struct bytes *to, const struct isa_row *row, const struct form *form)
{
    unsigned mod = form->modrm >> 6, rm = form->modrm & 7, size = form->address_size;
    unsigned displacement = mod == 1 ? 1 : mod == 2 ? (size ? 4 : 2) : 0;

    if (mod == 3 || (row->attributes & ISA_MOD_IGNORED))
        return;
    if (size && rm == 4)
        add(to, 0x48); /* RAX + RCX * 2 */
    if (mod == 0 && rm == (size ? 5 : 6))
        displacement = size ? 4 : 2;
    for (unsigned i = 0; i < displacement; i++)
        add(to, 0x11 * (i + 1));
}

static void add_immediates(struct bytes *to, const struct isa_row *row, const struct form *form)
{
    unsigned v = 2u << form->operand_size, z = v > 4 ? 4 : v, count;

    for (unsigned i = 0; i < row->operand_count; i++) {
        const struct operand_code *code = &row->operand[i];
        count = 0;
        if (code->source == FROM_IMMEDIATE || code->source == FROM_RELATIVE)
            count = code->size == SIZE_B || code->size == SIZE_SB ? 1
                    : code->size == SIZE_W                        ? 2
                    : code->size == SIZE_D                        ? 4
                    : code->size == SIZE_Z                        ? z
                                                                  : v;
        if (code->source == FROM_FAR)
            count = v + 2;
        if (code->source == FROM_OFFSET)
            count = 2u << form->address_size;
        if (code->source == FROM_IS4)
            count = 1;
        for (unsigned k = 0; k < count; k++)
            add(to, 0x81 + k);
    }
}

/* The operand size as seen by an instruction with these attributes. */
static void apply_default_size(const struct isa_row *row, struct form *form)
{
    if (row->accepts.map < ISA_MAP_VEX_0F && row->accepts.prefixes == 2)
        form->operand_size = form->w ? 2 : form->mode_bits == 16 ? 0 : 1;
    if (form->mode_bits == 64 &&
        ((row->attributes & ISA_F64) || ((row->attributes & ISA_D64) && form->operand_size == 1)))
        form->operand_size = 2;
}

static unsigned set_size(const struct isa_row *row)
{
    const struct isa_encoding *e = &row->accepts;

    return (unsigned)(__builtin_popcount(e->prefixes) * __builtin_popcount(e->operand_sizes) *
                      __builtin_popcount(e->address_sizes) * __builtin_popcount(e->w) * __builtin_popcount(e->modes) *
                      __builtin_popcount(e->mods) * __builtin_popcount(e->regs) * __builtin_popcount(e->rms) *
                      (e->plus_r ? 2 : 1));
}

struct reach {
    unsigned reached, written;
};

static void describe(const struct isa_row *row, const struct bytes *bytes, const struct form *form)
{
    print_message("%s | %s | %s in %u-bit mode:", row->mnemonic, row->encoding, row->operands, form->mode_bits);
    for (unsigned i = 0; i < bytes->count; i++)
        print_message(" %02x", bytes->byte[i]);
    print_message("\n");
}

/* Segment registers 6, 7, MOV to CS, CR1, CR5..: no such instruction, though the row is right. */
static bool register_exists(const struct isa_row *row, unsigned modrm)
{
    unsigned reg = modrm >> 3 & 7;

    for (unsigned i = 0; i < row->operand_count; i++) {
        if (row->operand[i].source != FROM_MODRM_REG)
            continue;
        if (row->operand[i].cls == CLASS_SEG && (reg > GS || (i == 0 && reg == CS)))
            return false;
        if (row->operand[i].cls == CLASS_CR && (reg == 1 || reg > 4))
            return false;
    }
    return true;
}

static void try_form(const struct isa_row *row, struct form form, unsigned low_bits, struct reach *reach)
{
    struct bytes bytes = { { 0 }, 0 };
    struct insn insn;

    if (!add_opcode(&bytes, row, &form))
        return;
    add(&bytes, row->accepts.opcode + low_bits);
    if (row->accepts.has_modrm) {
        add(&bytes, form.modrm);
        add_address(&bytes, row, &form);
    }
    apply_default_size(row, &form);
    add_immediates(&bytes, row, &form);
    assert_true(bytes.count <= 15);
    reach->written++;

    enum decode_status status = decode(bytes.byte, sizeof(bytes.byte), form.mode_bits, NULL, &insn);
    if (status == DECODE_UD && !register_exists(row, form.modrm))
        return;
    if (status != DECODE_OK || (insn.row != row && set_size(insn.row) >= set_size(row))) {
        describe(row, &bytes, &form);
        fail_msg("decodes as %s", status == DECODE_OK ? insn.row->encoding : "nothing");
    }
    if (insn.row != row)
        return;
    reach->reached++;
    if (insn.length != bytes.count) {
        describe(row, &bytes, &form);
        fail_msg("length %u", insn.length);
    }
    for (unsigned n = 1; n < bytes.count; n++) {
        struct insn cut;
        if (decode(bytes.byte, n, form.mode_bits, NULL, &cut) != DECODE_MORE) {
            describe(row, &bytes, &form);
            fail_msg("cut to %u bytes it does not ask for more", n);
        }
    }
    if (reach->reached % 16 != 1)
        return; /* the text of every form would take seconds */
    char text[200], small[9] = "xxxxxxxx";
    int length = insn_format(&insn, 0x1000, text, sizeof(text));
    assert_true(length > 0 && length < (int)sizeof(text) && strchr(text, '?') == NULL);
    assert_int_equal(insn_format(&insn, 0x1000, small, 4), length);
    assert_int_equal(small[4], 'x');
}

static void try_modrm(const struct isa_row *row, struct form form, struct reach *reach)
{
    const struct isa_encoding *e = &row->accepts;

    if (!e->has_modrm) {
        for (unsigned low = 0; low < (e->plus_r ? 8u : 1u); low++)
            try_form(row, form, low, reach);
        return;
    }
    for (form.modrm = 0; form.modrm < 256; form.modrm++) {
        bool reg_form = form.modrm >= 0xC0;
        unsigned reg = form.modrm >> 3 & 7;
        /* VSIB: a SIB byte, and registers that differ from the index (1) and the mask (6). */
        if (row->attributes & ISA_VSIB && ((form.modrm & 7) != 4 || reg == 1 || reg == 6 || form.address_size == 0))
            continue;
        if ((e->mods & (reg_form ? 2 : 1)) && (e->regs >> (form.modrm >> 3 & 7) & 1) &&
            (!reg_form || (e->rms >> (form.modrm & 7) & 1)))
            try_form(row, form, 0, reach);
    }
}

/* The operand size the prefixes say, for one the row is to see. */
static bool raw_size_exists(const struct isa_row *row, const struct form *form)
{
    struct form seen = *form;

    if (form->mode_bits != 64 ? form->operand_size == 2 || form->w : (form->operand_size == 2) != (form->w == 1))
        return false;
    if (form->prefix == 1 && row->accepts.map < ISA_MAP_VEX_0F && !form->w &&
        form->operand_size != (form->mode_bits == 16 ? 1u : 0u))
        return false; /* 66H is there, so it acts on the size */
    apply_default_size(row, &seen);
    return row->accepts.operand_sizes == 7 || (row->accepts.operand_sizes >> seen.operand_size & 1);
}

static void try_sizes(const struct isa_row *row, struct form form, struct reach *reach)
{
    const struct isa_encoding *e = &row->accepts;

    for (form.address_size = 0; form.address_size < 3; form.address_size++) {
        if (!(e->address_sizes >> form.address_size & 1) ||
            (form.mode_bits == 64 ? form.address_size == 0 : form.address_size == 2))
            continue;
        for (form.prefix = 0; form.prefix < 4; form.prefix++)
            for (form.w = 0; form.w < 2; form.w++)
                for (form.operand_size = 0; form.operand_size < 3; form.operand_size++)
                    if ((e->prefixes >> form.prefix & 1) && (e->w >> form.w & 1) && raw_size_exists(row, &form))
                        try_modrm(row, form, reach);
    }
}

static void every_row_is_reached(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
        const struct isa_row *row = &isa_rows[i];
        struct reach reach = { 0, 0 };
        struct form form = { 0 };
        for (form.mode_bits = 16; form.mode_bits <= 64; form.mode_bits *= 2)
            for (form.vector_length = 0; form.vector_length < 3; form.vector_length++)
                if ((row->accepts.modes & (form.mode_bits == 64 ? 2 : 1)) &&
                    (row->accepts.vector_lengths >> form.vector_length & 1) &&
                    (row->accepts.map >= ISA_MAP_VEX_0F || form.vector_length == 0))
                    try_sizes(row, form, &reach);
        if (!reach.reached)
            fail_msg("%s | %s | %s is never reached (%u tries)", row->mnemonic, row->encoding, row->operands,
                     reach.written);
    }
}

static void columns_agree(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
        const struct isa_row *row = &isa_rows[i];
        assert_true(row->cost >= 1);
        assert_int_equal(row->flags_undefined & ~row->flags_written, 0);
        assert_true((row->handlers == NULL) == ((row->attributes & ISA_UNIMPLEMENTED) != 0));
        assert_true(row->feature < ISA_FEATURE_COUNT);
        if ((row->attributes & ISA_ENDS) && (row->attributes & ISA_BRANCH))
            fail_msg("%s | %s: both `ends` and `branch`", row->mnemonic, row->encoding);
    }
    assert_int_equal(strlen(isa_fingerprint), 32);
    assert_true(ISA_FEATURE_COUNT <= 128);
}

/* A row is named by mnemonic, encoding, operands and the modes it exists in: coverage lists and logs rely on that. */
static void rows_are_distinct(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++)
        for (unsigned k = 0; k < i; k++) {
            const struct isa_row *a = &isa_rows[i], *b = &isa_rows[k];
            if (!strcmp(a->mnemonic, b->mnemonic) && !strcmp(a->encoding, b->encoding) &&
                !strcmp(a->operands, b->operands) && (a->accepts.modes & b->accepts.modes))
                fail_msg("%s | %s is there twice", a->mnemonic, a->encoding);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_reached),
        cmocka_unit_test(columns_agree),
        cmocka_unit_test(rows_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
