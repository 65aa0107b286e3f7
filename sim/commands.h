/*
 * The subcommands of sim, one function each, in sim/cmd_<name>.c. argv[0] is the subcommand's name. They return the
 * exit status: 0 success, 2 wrong usage; a command that has further ones documents them at its function.
 */
#ifndef SIM_COMMANDS_H
#define SIM_COMMANDS_H

/* sim isa: prints the instruction table. */
int cmd_isa(int argc, char **argv);
/* sim decode: disassembles bytes given in hex. 1: some bytes are no instruction, or the last one is cut off. */
int cmd_decode(int argc, char **argv);

#endif
