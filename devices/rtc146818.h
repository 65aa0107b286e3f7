/*
 * MC146818 real-time clock with 128 bytes of CMOS RAM (Motorola MC146818A data sheet).
 *
 * Its time is a start date plus the board's clock; it has no other source of time.
 */
#ifndef DEVICES_RTC146818_H
#define DEVICES_RTC146818_H

#include "devices/board.h"

#define RTC_CENTURY 0x32u /* CMOS byte with the century, for the FADT */

struct rtc146818 {
    uint64_t deadline_cycles;    /* of the next interrupt that would raise the line */
    uint64_t next_update_cycles; /* when the seconds advance next; the divider's phase follows from it */
    uint64_t periodic_cycles;    /* up to which periodic ticks went into PF */
    uint8_t cmos[128];           /* registers as software sees them; UIP is computed */
    uint8_t index;               /* 70H: NMI mask 7, index 6:0 */
    uint8_t reserved[7];

    /* wiring */
    struct board *board;
    struct wire irq;
};

extern const struct field rtc146818_fields[];
extern const unsigned rtc146818_field_count;

/*
 * Joins the RTC at ports 70H and 71H, running, in BCD and 24-hour mode. start_seconds: the time at cycle 0, in seconds
 * since 1970-01-01 00:00:00, at most year 9999. irq: IRQ 8.
 */
void rtc146818_attach(struct board *board, struct rtc146818 *rtc, uint64_t start_seconds, struct wire irq);

/* Sets a byte of the CMOS RAM (0EH-7FH) that firmware would have left there; call before the run. */
void rtc146818_set_cmos(struct rtc146818 *rtc, uint8_t index, uint8_t value);

#endif
