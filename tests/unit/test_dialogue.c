/*
 * Console dialogues: the file format, the matching, and when what is typed.
 */
#include "sim/dialogue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct dialogue parse(const char *text)
{
    struct dialogue dialogue;
    char error[128] = "";
    if (dialogue_parse(&dialogue, text, strlen(text), error, sizeof(error)))
        fail_msg("%s", error);
    return dialogue;
}

static void test_matcher_finds_overlaps(void **state)
{
    struct matcher matcher;
    const char *stream = "ababaabab";
    char found[16] = "";
    (void)state;
    assert_int_equal(matcher_init(&matcher, "abab", 4), 0);
    for (size_t i = 0; stream[i]; i++)
        found[i] = matcher_next(&matcher, (uint8_t)stream[i]) ? 'x' : '.';
    assert_string_equal(found, "...x....x");
    matcher_destroy(&matcher);
}

/* Against the plain definition, over all streams of 12 bytes of a two-letter alphabet. */
static void test_matcher_is_exact(void **state)
{
    static const char *const texts[] = { "a", "ab", "aab", "abaab", "aaaa", "babab" };
    (void)state;
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
        size_t length = strlen(texts[t]);
        for (unsigned bits = 0; bits < 4096; bits++) {
            struct matcher matcher;
            char stream[12];
            assert_int_equal(matcher_init(&matcher, texts[t], length), 0);
            for (size_t i = 0; i < 12; i++) {
                stream[i] = bits >> i & 1 ? 'b' : 'a';
                bool expected = i + 1 >= length && memcmp(stream + i + 1 - length, texts[t], length) == 0;
                assert_int_equal(matcher_next(&matcher, (uint8_t)stream[i]), expected);
            }
            matcher_destroy(&matcher);
        }
    }
}

static void test_empty_matcher_finds_nothing(void **state)
{
    struct matcher matcher = { 0 };
    (void)state;
    assert_false(matcher_next(&matcher, 0));
    assert_int_equal(matcher_init(&matcher, "", 0), -EINVAL);
}

static void output(struct dialogue *dialogue, const char *text, uint64_t cycle, bool matches)
{
    for (size_t i = 0; text[i]; i++)
        assert_int_equal(dialogue_output(dialogue, (uint8_t)text[i], cycle + i), matches && !text[i + 1]);
}

static void expect_typed(struct dialogue *dialogue, const char *text)
{
    uint8_t byte;
    for (size_t i = 0; text[i]; i++) {
        assert_true(dialogue_peek(dialogue, &byte));
        assert_int_equal(byte, (uint8_t)text[i]);
        dialogue_advance(dialogue);
    }
}

static void test_answers_after_a_fixed_time(void **state)
{
    struct dialogue dialogue =
        parse("# a shell\n\n  expect \"# \"\nsend \"uname\\n\"\r\n\texpect \"Linux\"\nsend \"x\"");
    uint8_t byte;
    (void)state;
    assert_true(dialogue.next_cycle == DIALOGUE_NEVER);
    assert_false(dialogue_peek(&dialogue, &byte));
    output(&dialogue, "welcome #", 100, false);
    output(&dialogue, " ", 500, true);
    assert_int_equal(dialogue.next_cycle, 500 + DIALOGUE_ANSWER_CYCLES);
    expect_typed(&dialogue, "una");
    dialogue_defer(&dialogue, 2000000); /* no room for more */
    assert_int_equal(dialogue.next_cycle, 2000000 + DIALOGUE_RETRY_CYCLES);
    expect_typed(&dialogue, "me\n");
    assert_true(dialogue.next_cycle == DIALOGUE_NEVER);
    output(&dialogue, "Linux", 3000000, true);
    assert_int_equal(dialogue.next_cycle, 3000004 + DIALOGUE_ANSWER_CYCLES);
    assert_false(dialogue_done(&dialogue));
    expect_typed(&dialogue, "x");
    assert_true(dialogue_done(&dialogue));
    assert_true(dialogue.next_cycle == DIALOGUE_NEVER);
    assert_false(dialogue_output(&dialogue, 'x', 4000000));
    dialogue_destroy(&dialogue);
}

static void test_sends_in_a_row_and_at_the_top(void **state)
{
    struct dialogue dialogue = parse("send \"a\"\nsend \"b\"\nexpect \"q\"\n");
    (void)state;
    assert_int_equal(dialogue.next_cycle, DIALOGUE_ANSWER_CYCLES);
    expect_typed(&dialogue, "a");
    assert_int_equal(dialogue.next_cycle, DIALOGUE_ANSWER_CYCLES);
    expect_typed(&dialogue, "b");
    assert_true(dialogue.next_cycle == DIALOGUE_NEVER);
    output(&dialogue, "pq", 5, true);
    assert_true(dialogue_done(&dialogue));
    dialogue_destroy(&dialogue);
}

static void test_escapes(void **state)
{
    struct dialogue dialogue = parse("send \"\\n\\r\\t\\e\\\"\\\\\\x00\\x7f\\xFf #\"\n");
    static const uint8_t expected[] = { '\n', '\r', '\t', 27, '"', '\\', 0, 0x7F, 0xFF, ' ', '#' };
    uint8_t byte;
    (void)state;
    for (size_t i = 0; i < sizeof(expected); i++) {
        assert_true(dialogue_peek(&dialogue, &byte));
        assert_int_equal(byte, expected[i]);
        dialogue_advance(&dialogue);
    }
    assert_true(dialogue_done(&dialogue));
    dialogue_destroy(&dialogue);
}

static void test_mistakes_name_their_line(void **state)
{
    static const char *const wrong[] = {
        "wait \"x\"",   "expect",        "expect x",  "expect \"x",  "expect \"x\" y", "send \"\"",
        "send \"\\q\"", "send \"\\x1\"", "send \"\\", "sendx \"a\"", "SEND \"a\"",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct dialogue dialogue;
        char text[64], error[128] = "";
        snprintf(text, sizeof(text), "# first\nsend \"fine\"\n%s\n", wrong[i]);
        assert_int_equal(dialogue_parse(&dialogue, text, strlen(text), error, sizeof(error)), -EINVAL);
        assert_memory_equal(error, "line 3: ", 8);
        dialogue_destroy(&dialogue);
    }
}

static void test_limits(void **state)
{
    struct dialogue dialogue;
    char text[DIALOGUE_TEXT_MAX + 16], error[128];
    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "send \"", 6);
    text[6 + DIALOGUE_TEXT_MAX] = '"';
    assert_int_equal(dialogue_parse(&dialogue, text, 7 + DIALOGUE_TEXT_MAX, error, sizeof(error)), 0);
    dialogue_destroy(&dialogue);
    text[6 + DIALOGUE_TEXT_MAX] = 'x';
    text[7 + DIALOGUE_TEXT_MAX] = '"';
    assert_int_equal(dialogue_parse(&dialogue, text, 8 + DIALOGUE_TEXT_MAX, error, sizeof(error)), -EINVAL);
    dialogue_destroy(&dialogue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matcher_finds_overlaps),        cmocka_unit_test(test_matcher_is_exact),
        cmocka_unit_test(test_empty_matcher_finds_nothing),   cmocka_unit_test(test_answers_after_a_fixed_time),
        cmocka_unit_test(test_sends_in_a_row_and_at_the_top), cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_mistakes_name_their_line),      cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
