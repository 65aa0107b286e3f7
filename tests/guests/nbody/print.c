/* Text to the UART, and numbers in decimal without any rounding: by integers of 64 bits before and 128 behind the
 * point. */
#include "kernel.h"

static void print_character(char c)
{
    out8(0x3F8, (uint8_t)c);
}

void print(const char *text)
{
    while (*text)
        print_character(*text++);
}

void print_unsigned(uint64_t value)
{
    char text[21];
    char *at = text + sizeof(text) - 1;
    *at = 0;
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    print(at);
}

void print_hex(uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        print_character("0123456789abcdef"[value >> shift & 15]);
}

/* mantissa * 2^exponent. Digits below 2^-128 are lost. */
static void print_number(bool negative, uint64_t mantissa, int exponent, unsigned places)
{
    uint64_t whole = 0;
    unsigned __int128 fraction = 0;
    int up = exponent + 128; /* from units of 1 to units of 2^-128 */
    if (exponent >= 0) {
        whole = exponent < 64 ? mantissa << exponent : ~0ull;
    } else {
        whole = exponent > -64 ? mantissa >> -exponent : 0;
        if (up >= 0)
            fraction = (unsigned __int128)mantissa << up;
        else
            fraction = up > -64 ? mantissa >> -up : 0;
    }
    if (negative)
        print_character('-');
    print_unsigned(whole);
    print_character('.');
    while (places--) {
        unsigned __int128 low = (unsigned __int128)(uint64_t)fraction * 10;
        unsigned __int128 high = (fraction >> 64) * 10 + (low >> 64);
        print_character((char)('0' + (uint8_t)(high >> 64)));
        fraction = high << 64 | (uint64_t)low;
    }
}

void print_f64(const union number *x, unsigned places)
{
    uint64_t mantissa = x->bits & ((1ull << 52) - 1);
    int exponent = x->bits >> 52 & 0x7FF;
    if (exponent == 0x7FF) {
        print("not a number");
        return;
    }
    if (exponent)
        mantissa |= 1ull << 52;
    print_number(x->bits >> 63, mantissa, (exponent ? exponent : 1) - 1075, places);
}

void print_f80(const union number *x, unsigned places)
{
    int exponent = x->f80.exponent & 0x7FFF;
    if (exponent == 0x7FFF)
        print("not a number");
    else
        print_number(x->f80.exponent >> 15, x->f80.mantissa, exponent - 16446, places);
}

void print_fixed(const union number *x, unsigned places)
{
    int64_t value = x->fixed;
    print_number(value < 0, (uint64_t)(value < 0 ? -value : value), -16, places);
}
