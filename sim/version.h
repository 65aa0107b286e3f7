/*
 * Version of sim, and of the machine it simulates.
 *
 * MACHINE_MODEL changes whenever a run of the same inputs could come out differently for a reason that the fingerprint
 * of isa.def and the field tables does not show: timing, wiring, loaders, a fix in a chip or handler.
 */
#ifndef SIM_VERSION_H
#define SIM_VERSION_H

#define SIM_VERSION   "0.1.0"
#define MACHINE_MODEL 3

#endif
