/*
 * Texts on the console (dialogue.h).
 */
#include "sim/dialogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- matcher --- */

int matcher_init(struct matcher *matcher, const void *text, size_t length)
{
    memset(matcher, 0, sizeof(*matcher));
    if (length == 0 || length > DIALOGUE_TEXT_MAX)
        return -EINVAL;
    matcher->text = malloc(length);
    matcher->failure = calloc(length, sizeof(*matcher->failure));
    if (!matcher->text || !matcher->failure) {
        matcher_destroy(matcher);
        return -ENOMEM;
    }
    memcpy(matcher->text, text, length);
    matcher->length = (uint16_t)length;
    /* failure[i]: the longest proper prefix of the text that also ends text[0..i]. */
    uint16_t prefix = 0;
    for (size_t i = 1; i < length; i++) {
        while (prefix && matcher->text[i] != matcher->text[prefix])
            prefix = matcher->failure[prefix - 1];
        if (matcher->text[i] == matcher->text[prefix])
            prefix++;
        matcher->failure[i] = prefix;
    }
    return 0;
}

bool matcher_next(struct matcher *matcher, uint8_t byte)
{
    if (!matcher->length)
        return false;
    if (matcher->matched == matcher->length)
        matcher->matched = matcher->failure[matcher->length - 1];
    while (matcher->matched && matcher->text[matcher->matched] != byte)
        matcher->matched = matcher->failure[matcher->matched - 1];
    if (matcher->text[matcher->matched] == byte)
        matcher->matched++;
    return matcher->matched == matcher->length;
}

void matcher_destroy(struct matcher *matcher)
{
    free(matcher->text);
    free(matcher->failure);
    memset(matcher, 0, sizeof(*matcher));
}

/* --- reading a dialogue --- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The byte that the escape behind a backslash stands for, or -1. Moves *at behind it. */
static int unescape(const char **at, const char *end)
{
    static const char names[] = "nrte\"\\", values[] = "\n\r\t\x1b\"\\";
    if (*at == end)
        return -1;
    char c = *(*at)++;
    if (c == 'x') {
        if (end - *at < 2 || hex_digit((*at)[0]) < 0 || hex_digit((*at)[1]) < 0)
            return -1;
        *at += 2;
        return hex_digit((*at)[-2]) << 4 | hex_digit((*at)[-1]);
    }
    const char *name = c ? strchr(names, c) : NULL;
    return name ? values[name - names] : -1;
}

const char *dialogue_unquote(const char *text, const char *end, uint8_t *out, size_t size, size_t *length)
{
    size_t count = 0;
    if (text == end || *text++ != '"')
        return NULL;
    while (text < end && *text != '"') {
        int byte = (uint8_t)*text++;
        if (byte == '\\')
            byte = unescape(&text, end);
        if (byte < 0 || count == size)
            return NULL;
        out[count++] = (uint8_t)byte;
    }
    if (text == end)
        return NULL;
    *length = count;
    return text + 1;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* Reads one line that holds a step. Returns what is wrong with it, or NULL. */
static const char *parse_step(struct dialogue_step *step, const char *at, const char *end)
{
    uint8_t text[DIALOGUE_TEXT_MAX];
    size_t length, word = 0;
    while (at + word < end && at[word] >= 'a' && at[word] <= 'z')
        word++;
    if (word == 4 && memcmp(at, "send", 4) == 0)
        step->is_send = true;
    else if (word != 6 || memcmp(at, "expect", 6) != 0)
        return "a line begins with expect, send or #";
    at = dialogue_unquote(skip_blanks(at + word, end), end, text, sizeof(text), &length);
    if (!at || skip_blanks(at, end) != end)
        return "expected one text in double quotes, with \\n \\r \\t \\e \\\" \\\\ or \\xHH";
    if (length == 0)
        return "the text is empty";
    return matcher_init(&step->text, text, length) ? "no memory" : NULL;
}

/* Starts the step under way, at this cycle. */
static void dialogue_enter(struct dialogue *dialogue, uint64_t cycle)
{
    dialogue->sent = 0;
    dialogue->next_cycle = DIALOGUE_NEVER;
    if (dialogue->current < dialogue->step_count && dialogue->steps[dialogue->current].is_send)
        dialogue->next_cycle = cycle;
}

int dialogue_parse(struct dialogue *dialogue, const char *text, size_t size, char *error, size_t error_bytes)
{
    const char *end = text + size;
    unsigned line = 0;
    memset(dialogue, 0, sizeof(*dialogue));
    dialogue->steps = calloc(DIALOGUE_STEPS_MAX, sizeof(*dialogue->steps));
    if (!dialogue->steps)
        return -ENOMEM;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        line_end = line_end ? line_end : end;
        const char *at = skip_blanks(text, line_end);
        line++;
        if (at < line_end && *at != '#') {
            struct dialogue_step *step = &dialogue->steps[dialogue->step_count];
            const char *wrong = "too many steps";
            if (dialogue->step_count < DIALOGUE_STEPS_MAX) {
                dialogue->step_count++;
                step->line = line;
                wrong = parse_step(step, at, line_end);
            }
            if (wrong) {
                snprintf(error, error_bytes, "line %u: %s", line, wrong);
                return -EINVAL;
            }
        }
        text = line_end < end ? line_end + 1 : end;
    }
    dialogue_enter(dialogue, DIALOGUE_ANSWER_CYCLES);
    return 0;
}

void dialogue_destroy(struct dialogue *dialogue)
{
    for (unsigned i = 0; i < dialogue->step_count; i++)
        matcher_destroy(&dialogue->steps[i].text);
    free(dialogue->steps);
    memset(dialogue, 0, sizeof(*dialogue));
}

/* --- holding it --- */

bool dialogue_done(const struct dialogue *dialogue)
{
    return dialogue->current == dialogue->step_count;
}

bool dialogue_output(struct dialogue *dialogue, uint8_t byte, uint64_t cycle)
{
    if (dialogue_done(dialogue) || dialogue->steps[dialogue->current].is_send ||
        !matcher_next(&dialogue->steps[dialogue->current].text, byte))
        return false;
    dialogue->current++;
    dialogue_enter(dialogue, cycle + DIALOGUE_ANSWER_CYCLES);
    return true;
}

bool dialogue_peek(const struct dialogue *dialogue, uint8_t *byte)
{
    if (dialogue_done(dialogue) || !dialogue->steps[dialogue->current].is_send)
        return false;
    *byte = dialogue->steps[dialogue->current].text.text[dialogue->sent];
    return true;
}

void dialogue_advance(struct dialogue *dialogue)
{
    if (++dialogue->sent < dialogue->steps[dialogue->current].text.length)
        return;
    dialogue->current++;
    dialogue_enter(dialogue, dialogue->next_cycle);
}

void dialogue_defer(struct dialogue *dialogue, uint64_t cycle)
{
    dialogue->next_cycle = cycle + DIALOGUE_RETRY_CYCLES;
}
