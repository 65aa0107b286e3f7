/*
 * Texts on the console: what ends a run (--until, --fail), and the dialogue of --expect.
 *
 * A dialogue is a text file, a step a line:
 *
 *     # a comment
 *     expect "login: "
 *     send "root\n"
 *
 * Texts stand in double quotes, with \n \r \t \e \" \\ and \xHH. "expect" waits until the guest has transmitted the
 * text, counted from the previous match on; the "send" lines behind it are typed DIALOGUE_ANSWER_CYCLES after the cycle
 * of the match. "send" lines at the top of the file are typed at that time after the start. What is typed enters the
 * UART as its FIFO has room, and waits DIALOGUE_RETRY_CYCLES when it has none. All of it is a function of the guest's
 * own output, so equal runs get equal answers.
 */
#ifndef SIM_DIALOGUE_H
#define SIM_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIALOGUE_ANSWER_CYCLES 1000000ull
#define DIALOGUE_RETRY_CYCLES  1000000ull
#define DIALOGUE_TEXT_MAX      1024 /* bytes */
#define DIALOGUE_STEPS_MAX     4096
#define DIALOGUE_NEVER         UINT64_MAX

/* Finds a text in a stream of bytes (Knuth, Morris, Pratt). All zero: finds nothing. */
struct matcher {
    uint8_t *text;     /* owned */
    uint16_t *failure; /* owned */
    uint16_t length, matched;
};

/* 0, -ENOMEM, or -EINVAL for an empty text or one longer than DIALOGUE_TEXT_MAX. */
int matcher_init(struct matcher *matcher, const void *text, size_t length);
/* Takes the next byte of the stream; true if the text ends with it. */
bool matcher_next(struct matcher *matcher, uint8_t byte);
void matcher_destroy(struct matcher *matcher);

struct dialogue_step {
    bool is_send;
    unsigned line;
    struct matcher text; /* of a send step: only the text is used */
};

struct dialogue {
    struct dialogue_step *steps; /* owned */
    unsigned step_count;
    unsigned current;    /* the step that is under way */
    unsigned sent;       /* bytes of it that were typed */
    uint64_t next_cycle; /* when typing goes on; DIALOGUE_NEVER while an expect step is under way */
};

/* Reads a dialogue from memory. 0; -ENOMEM; or -EINVAL with one line in error. The dialogue is to be destroyed in each
 * case. */
int dialogue_parse(struct dialogue *dialogue, const char *text, size_t size, char *error, size_t error_bytes);
void dialogue_destroy(struct dialogue *dialogue);

/* The guest transmitted a byte at this cycle. True if it completed an expected text: next_cycle is new. */
bool dialogue_output(struct dialogue *dialogue, uint8_t byte, uint64_t cycle);

/* The byte to type next, once next_cycle has come. False: none. */
bool dialogue_peek(const struct dialogue *dialogue, uint8_t *byte);
/* That byte was taken. */
void dialogue_advance(struct dialogue *dialogue);
/* The rest waits for room from this cycle on. */
void dialogue_defer(struct dialogue *dialogue, uint64_t cycle);

/* True if nothing is left to wait for or to type. */
bool dialogue_done(const struct dialogue *dialogue);

/* Takes the quotes and escapes off a text: "a\n". Returns what follows it, or NULL if it is malformed or longer than
 * size. */
const char *dialogue_unquote(const char *text, const char *end, uint8_t *out, size_t size, size_t *length);

#endif
