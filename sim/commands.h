/*
 * The subcommands of sim, one function each, in sim/cmd_<name>.c. argv[0] is the subcommand's name. They return the
 * exit status (sim/status.h); a command that has further ones documents them at its function.
 */
#ifndef SIM_COMMANDS_H
#define SIM_COMMANDS_H

/* sim run: runs a guest. */
int cmd_run(int argc, char **argv);
/* sim record: the same, recorded. */
int cmd_record(int argc, char **argv);
/* sim replay: replays a log and verifies it. */
int cmd_replay(int argc, char **argv);
/* sim log: prints a log. */
int cmd_log(int argc, char **argv);
/* sim isa: prints the instruction table. */
int cmd_isa(int argc, char **argv);
/* sim decode: disassembles bytes given in hex. STATUS_BAD_INPUT: some are no instruction. */
int cmd_decode(int argc, char **argv);
/* sim difftest: compares instructions with the host's processor. */
int cmd_difftest(int argc, char **argv);
/* sim host: what this host's KVM offers. 77: there is none. */
int cmd_host(int argc, char **argv);

#endif
