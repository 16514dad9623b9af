/* What every unit test includes: cmocka with the headers that it expects before itself. */
#ifndef NST_TESTS_UNIT_H
#define NST_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
