/*
 * A session: a machine, its guest, the console, and the log that is written or followed. `sim run`, `sim record` and
 * `sim replay` are this one loop, so that what stops a run when it is recorded stops it in the same way when it is
 * replayed.
 *
 * The loop meets the machine at boundaries: the chips' events of the cycle have fired, interrupts are not sampled yet.
 * There, and only there, inputs go in, marks are taken, and ends are decided. When and why it looks is invisible to the
 * guest.
 */
#ifndef SIM_SESSION_H
#define SIM_SESSION_H

#include "replay/recorder.h"
#include "replay/replayer.h"
#include "sim/console.h"
#include "sim/dialogue.h"
#include "sim/image.h"
#include "sim/machine.h"
#include "sim/progress.h"
#include "sim/status.h"

#include "cpu/undefined.h"

enum on_reset { ON_RESET_FAIL, ON_RESET_OK, ON_RESET_REBOOT };
extern const char *const on_reset_names[];   /* NULL-terminated, by enum on_reset */
extern const char *const load_entry_names[]; /* NULL-terminated, by enum load_entry */

/* Who runs the vCPU. */
enum backend_kind { BACKEND_INTERPRETER, BACKEND_KVM };
extern const char *const backend_names[]; /* NULL-terminated, by enum backend_kind */

#define SESSION_MODULES_MAX 14
#define SESSION_MARK_CYCLES 10000000ull

/* What a run is made of: all of it stands in the log's header. */
struct session_config {
    struct machine_config machine;
    unsigned on_reset; /* enum on_reset */
    unsigned entry;    /* enum load_entry */
    unsigned backend;  /* enum backend_kind; a run on KVM is not repeatable */
    const char *cmdline;
    char undefined[UNDEFINED_TEXT_BYTES]; /* machine.undefined as text */
    uint64_t mark_every;                  /* cycles, at least 1 */
    struct image_file kernel;
    struct image_file initrd; /* image.bytes NULL: none */
    struct image_file modules[SESSION_MODULES_MAX];
    unsigned module_count;
};

/* What only decides when a run ends and what is shown: not in the log, where the end itself stands. */
struct session_limits {
    uint64_t max_cycles; /* UINT64_MAX: none */
    uint64_t idle_limit_cycles;
    uint64_t step_from, step_to; /* between these cycles each instruction runs by itself; equal: nowhere */
    const char *until;           /* console texts; NULL: none */
    const char *fail;
    bool quiet;
    bool takes_input; /* from standard input */
    bool shows;       /* the guest's console on standard output */
};

struct session {
    const struct session_config *config;
    struct session_limits limits;
    struct machine *machine;
    struct state_hash hash;
    struct console console;
    struct progress progress;
    struct dialogue dialogue; /* of zeros: none */
    struct matcher until, fail;
    struct recorder recorder;  /* log NULL: nothing is recorded */
    struct replayer *replayer; /* NULL: inputs come from the host. Not owned */
    uint64_t replay_to;        /* stop here though the log goes on; UINT64_MAX: no */
    uint64_t goal_cycles;      /* of a replay, for the status line */
    bool until_seen, fail_seen;
    uint64_t boots;
    uint64_t retired_before;   /* instructions of the boots before a power cycle */
    uint64_t busy_before;      /* likewise machine_busy() */
    struct tally tally_before; /* what those boots lacked */
    uint64_t next_poll;        /* cycle of the next look at standard input */
    uint64_t idle_since;       /* cycle since which the guest has hardly done anything */
    uint64_t active_at_idle;   /* session_busy() at that cycle */
    uint64_t pace_debt_ns;     /* by how much the idle clock is ahead of the wall */
    /* how it ended */
    bool ended;
    int error; /* negative errno of a host error */
    const char *error_what;
    enum log_reason reason;
    uint64_t code;
    uint64_t final_hash;
    uint64_t host_ns; /* how long session_run took */
    uint64_t log_bytes, log_marks;
};

/* Fills the log's header; the strings are the config's own, fingerprint is the caller's buffer. */
void session_header(const struct session_config *config, const struct board *board,
                    char fingerprint[STATE_FINGERPRINT_BYTES], struct log_header *header);

/*
 * Takes the configuration of an exact log back from its header; images are not read. False, with one line in error, if
 * it does not have exactly what this sim knows, or was recorded on KVM.
 */
bool session_config_from_header(struct session_config *config, const struct log_header *header,
                                char error[IMAGE_ERROR_BYTES]);

/* Frees the images. */
void session_config_free(struct session_config *config);

/*
 * Builds the machine and loads the guest. STATUS_OK; or another status and one line in error, then the session is to be
 * closed all the same. config must outlive the session.
 */
enum status session_open(struct session *session, const struct session_config *config,
                         const struct session_limits *limits, char error[IMAGE_ERROR_BYTES]);

/* Runs to the end, whatever it is. Call once. */
void session_run(struct session *session);

/*
 * For whoever drives a replay step by step: the replayer is to be set, session_begin() called once, then each call goes
 * to the next boundary of the machine: one instruction, one event, or a jump of an idle clock. False: the run is over.
 */
void session_begin(struct session *session);
/* Runs on to a cycle at full speed. False: the run ended before. */
bool session_reach(struct session *session, uint64_t cycle);
bool session_step(struct session *session);

/*
 * The machine has asked for a reset: if the configuration follows resets, the next boot's machine takes its place. For
 * whoever drives session->machine without session_run(). False: it does not, or there is no memory for it.
 */
bool session_follow_reset(struct session *session);

/* What the end means as an exit status. */
enum status session_status(const struct session *session);

/* Prints the summary of the run on standard error; log_path NULL: none was written. */
void session_summary(const struct session *session, const char *log_path);

/* Instructions since cycle 0, power cycles included. */
uint64_t session_instructions(const struct session *session);

/* Adds the counts of a tally to another. */
void tally_add(struct tally *sum, const struct tally *tally);

void session_close(struct session *session);

#endif
