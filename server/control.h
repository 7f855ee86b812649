/*
 * control.h - what amendd does besides serving: `amendd backup FILE`, `amendd restore FILE`, and `amendd
 * --healthcheck`, the probe for containers without curl. Each prints one line and returns the exit code.
 */
#ifndef AM_SERVER_CONTROL_H
#define AM_SERVER_CONTROL_H

#include <stdbool.h>

/* argv[1] is the command; settings may follow the file (--data_dir=...). */
bool am_control_knows(const char *command);
int am_control(int argc, char **argv);

#endif
