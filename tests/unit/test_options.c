/*
 * The command line: values in each spelling, defaults that stay, mistakes that are refused.
 */
#include "sim/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct values {
    const char *text;
    struct option_list list;
    uint64_t size, count;
    unsigned choice;
    bool flag;
};

static const char *const colours[] = { "red", "green", NULL };
static const struct option options[] = {
    { "text", 't', "TEXT", "", OPTION_TEXT, offsetof(struct values, text), 0, NULL },
    { "list", 0, "TEXT", "", OPTION_TEXTS, offsetof(struct values, list), 0, NULL },
    { "size", 0, "N", "", OPTION_NUMBER, offsetof(struct values, size), 1024, NULL },
    { "count", 0, "N", "", OPTION_NUMBER, offsetof(struct values, count), 1000, NULL },
    { "choice", 0, "C", "", OPTION_CHOICE, offsetof(struct values, choice), 0, colours },
    { "flag", 'f', NULL, "", OPTION_FLAG, offsetof(struct values, flag), 0, NULL },
    { 0 },
};
static const struct command_line line = { "test", "FILE", "", options, false };
static const struct command_line many = { "test", "FILE...", "", options, true };

static char *argv[16];

/* Words in one string, parsed. */
static int parse_line(const struct command_line *how, const char *words, struct values *values, const char **positional)
{
    static char copy[256];
    int argc = 0;
    snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    *values = (struct values){ .text = "default", .size = 7 };
    return options_parse(how, values, positional, argc, argv);
}
static int parse(const char *words, struct values *values, const char **positional)
{
    return parse_line(&line, words, values, positional);
}

static void test_spellings(void **state)
{
    struct values values;
    const char *positional;
    (void)state;
    assert_int_equal(parse("test", &values, &positional), 0);
    assert_string_equal(values.text, "default");
    assert_int_equal(values.size, 7);
    assert_null(positional);
    assert_int_equal(parse("test --text a --list=b --list c file --size 0x10 --choice green -f", &values, &positional),
                     0);
    assert_string_equal(values.text, "a");
    assert_int_equal(values.list.count, 2);
    assert_string_equal(values.list.texts[1], "c");
    assert_int_equal(values.size, 16);
    assert_int_equal(values.choice, 1);
    assert_true(values.flag);
    assert_string_equal(positional, "file");
    assert_int_equal(parse("test -tx --size=256M --count 2G -- --text", &values, &positional), 0);
    assert_string_equal(values.text, "x");
    assert_int_equal(values.size, 256u << 20);
    assert_int_equal(values.count, 2000000000);
    assert_string_equal(positional, "--text");
}

static void test_many_arguments(void **state)
{
    struct values values;
    const char *positional;
    (void)state;
    assert_int_equal(parse_line(&many, "test a --text x b -f c -- -d", &values, &positional), 0);
    assert_string_equal(positional, "a");
    assert_string_equal(values.text, "x");
    assert_string_equal(argv[2], "b");
    assert_string_equal(argv[3], "c");
    assert_string_equal(argv[4], "-d");
    assert_null(argv[5]);
    assert_int_equal(parse_line(&many, "test -f", &values, &positional), 0);
    assert_null(positional);
    assert_null(argv[1]);
}

static void test_mistakes(void **state)
{
    static const char *const wrong[] = {
        "test --nothing",
        "test -x",
        "test --text",
        "test --flag=1",
        "test --size 1x",
        "test --size x",
        "test --size -1",
        "test --size 1MM",
        "test --size 18446744073709551616",
        "test --size 99999999999999G",
        "test --size 0x",
        "test --choice blue",
        "test a b",
        "test --tex a",
    };
    struct values values;
    const char *positional;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (parse(wrong[i], &values, &positional) != -EINVAL)
            fail_msg("accepted: %s", wrong[i]);
}

static void test_largest_numbers(void **state)
{
    uint64_t value;
    (void)state;
    assert_true(options_number("18446744073709551615", 0, &value));
    assert_true(value == UINT64_MAX);
    assert_true(options_number("0xFFFFFFFFFFFFFFFF", 0, &value));
    assert_false(options_number("1K", 0, &value));
    assert_false(options_number("", 0, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_many_arguments),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_largest_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
