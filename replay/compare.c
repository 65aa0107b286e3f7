/*
 * Comparison and dump over the field tables (compare.h).
 */
#include "replay/compare.h"

#include <inttypes.h>
#include <string.h>

struct difference_list {
    FILE *out;
    uint64_t count;
    unsigned max_lines;
};

/* True if this difference is to be printed. */
static bool difference_add(struct difference_list *list)
{
    return list->count++ < list->max_lines && list->out;
}

static bool field_is_integer(const struct field *field)
{
    return field->bytes == 1 || field->bytes == 2 || field->bytes == 4 || field->bytes == 8;
}

static void print_name(FILE *out, const struct part *part, const struct field *field, uint32_t element)
{
    fprintf(out, "%s.%s", part->name, field->name);
    if (field->count > 1)
        fprintf(out, "[%" PRIu32 "]", element);
}

static const uint8_t *element_bytes(const struct part *part, const struct field *field, uint32_t element)
{
    return (const uint8_t *)part->state + field->offset + (size_t)element * field->bytes;
}

/* An integer as a number; opaque bytes in order of address. */
static void print_element(FILE *out, const struct part *part, const struct field *field, uint32_t element)
{
    if (field_is_integer(field)) {
        fprintf(out, "%" PRIx64, field_value(part, field, element));
        return;
    }
    const uint8_t *bytes = element_bytes(part, field, element);
    for (unsigned i = 0; i < field->bytes; i++)
        fprintf(out, "%02x", bytes[i]);
}

static void compare_part(struct difference_list *list, const struct part *a, const struct part *b)
{
    for (unsigned i = 0; i < a->field_count; i++) {
        const struct field *field = &a->fields[i];
        if (field->kind != FIELD_STATE)
            continue;
        for (uint32_t j = 0; j < field->count; j++) {
            if (memcmp(element_bytes(a, field, j), element_bytes(b, field, j), field->bytes) == 0 ||
                !difference_add(list))
                continue;
            print_name(list->out, a, field, j);
            fputs(": ", list->out);
            print_element(list->out, a, field, j);
            fputs(" | ", list->out);
            print_element(list->out, b, field, j);
            fputc('\n', list->out);
        }
    }
}

/* Bytes of a page that differ, 8 aligned ones to a line. */
static void compare_page(struct difference_list *list, const struct ram *ram, uint64_t page, const uint8_t *a,
                         const uint8_t *b)
{
    for (unsigned at = 0; at < RAM_PAGE_BYTES; at += 8) {
        if (memcmp(a + at, b + at, 8) == 0 || !difference_add(list))
            continue;
        fprintf(list->out, "ram %" PRIx64 ":", ram_physical(ram, page) + at);
        for (unsigned i = 0; i < 8; i++)
            fprintf(list->out, " %02x", a[at + i]);
        fputs(" |", list->out);
        for (unsigned i = 0; i < 8; i++)
            fprintf(list->out, " %02x", b[at + i]);
        fputc('\n', list->out);
    }
}

uint64_t board_compare(const struct board *a, const struct board *b, FILE *out, unsigned max_lines)
{
    struct difference_list list = { .out = out, .max_lines = max_lines };
    board_assert(a, a->part_count == b->part_count && a->ram.size_bytes == b->ram.size_bytes);
    for (unsigned i = 0; i < a->part_count; i++) {
        board_assert(a, a->parts[i].fields == b->parts[i].fields);
        compare_part(&list, &a->parts[i], &b->parts[i]);
    }
    for (uint64_t page = 0; page < a->ram.size_bytes / RAM_PAGE_BYTES; page++) {
        const uint8_t *page_a = ram_page_bytes(&a->ram, page), *page_b = ram_page_bytes(&b->ram, page);
        if (memcmp(page_a, page_b, RAM_PAGE_BYTES) != 0)
            compare_page(&list, &a->ram, page, page_a, page_b);
    }
    if (out && list.count > max_lines)
        fprintf(out, "and %" PRIu64 " more\n", list.count - max_lines);
    return list.count;
}

void board_dump(const struct board *board, FILE *out)
{
    for (unsigned i = 0; i < board->part_count; i++) {
        const struct part *part = &board->parts[i];
        for (unsigned j = 0; j < part->field_count; j++) {
            const struct field *field = &part->fields[j];
            if (field->kind != FIELD_STATE)
                continue;
            for (uint32_t k = 0; k < field->count; k++) {
                const uint8_t *bytes = element_bytes(part, field, k);
                bool zero = true;
                for (unsigned n = 0; n < field->bytes && zero; n++)
                    zero = bytes[n] == 0;
                if (zero)
                    continue;
                print_name(out, part, field, k);
                fputs(" = ", out);
                print_element(out, part, field, k);
                fputc('\n', out);
            }
        }
    }
}
