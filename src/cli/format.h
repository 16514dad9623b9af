/* Figures for people. All write into `buf`, which they return. */
#ifndef NST_CLI_FORMAT_H
#define NST_CLI_FORMAT_H

#include <stdint.h>

#define NST_CLI_FORMAT 48

/* 512 B, 1.5 KiB, 64.0 MiB. */
char *nst_cli_format_bytes(char buf[NST_CLI_FORMAT], uint64_t bytes);

/* A duration, by its two largest units: 7 s, 1 min 30 s, 2 d 4 h. */
char *nst_cli_format_duration(char buf[NST_CLI_FORMAT], uint64_t seconds);

/* Milliseconds as seconds with one digit, or a duration when that says enough. */
char *nst_cli_format_age(char buf[NST_CLI_FORMAT], uint64_t ms);

#endif
