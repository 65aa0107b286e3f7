/*
 * Fuzz target "dialogue": the parser of --expect files and the matcher behind it.
 *
 * Input: a dialogue, then, behind the first byte 0 (if there is one), what the guest prints.
 *
 * Policy: every byte string is admitted. dialogue_parse() takes it or refuses it with one line; a dialogue that was
 * taken answers exactly at those bytes of the output where a plain search over what came since the last match finds the
 * expected text; what is typed is the text of the send steps, in order; nothing comes before its cycle.
 */
#include "fuzz/fuzz.h"
#include "sim/dialogue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* True if the bytes of output[from .. to) end with the text. */
static bool ends_with(const uint8_t *output, size_t from, size_t to, const struct matcher *text)
{
    return to - from >= text->length && memcmp(output + to - text->length, text->text, text->length) == 0;
}

/* Types all that is due. */
static void type(struct dialogue *dialogue)
{
    uint8_t byte;

    while (dialogue->next_cycle != DIALOGUE_NEVER && dialogue_peek(dialogue, &byte)) {
        const struct dialogue_step *step = &dialogue->steps[dialogue->current];
        if (!step->is_send || dialogue->sent >= step->text.length || step->text.text[dialogue->sent] != byte)
            fuzz_finding("types %02x, which is not the next byte of step %u", byte, dialogue->current);
        dialogue_advance(dialogue);
    }
}

static void play(struct dialogue *dialogue, const uint8_t *output, size_t size)
{
    size_t since = 0;

    type(dialogue);
    for (size_t i = 0; i < size && !dialogue_done(dialogue); i++) {
        const struct dialogue_step *step = &dialogue->steps[dialogue->current];
        bool expected = !step->is_send && ends_with(output, since, i + 1, &step->text);
        if (dialogue_output(dialogue, output[i], i) != expected)
            fuzz_finding("line %u: the matcher differs from a plain search at byte %zu", step->line, i);
        if (expected) {
            since = i + 1;
            if (dialogue->next_cycle != DIALOGUE_NEVER && dialogue->next_cycle < i)
                fuzz_finding("line %u: an answer before its question", step->line);
            type(dialogue);
        }
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct dialogue dialogue;
    char error[200];
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t length = zero ? (size_t)(zero - data) : size;
    const char *text = (const char *)fuzz_guarded(data, length);

    memset(error, 'x', sizeof(error));
    int status = dialogue_parse(&dialogue, text, length, error, sizeof(error));
    if (status == -EINVAL) {
        size_t bytes = strnlen(error, sizeof(error));
        if (bytes == 0 || bytes == sizeof(error) || strchr(error, '\n'))
            fuzz_finding("refused without one line");
    } else if (status == 0) {
        play(&dialogue, zero ? zero + 1 : data, zero ? size - length - 1 : 0);
    }
    dialogue_destroy(&dialogue);
    return 0;
}
