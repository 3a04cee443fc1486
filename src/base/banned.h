/* Functions nobody here may call, by the compiler: forced into every unit of ours (meson.build).
 * Each has a bound, re-entrant or strict replacement. rand() is left to clang-tidy (cert-msc30-c):
 * OpenSSL's headers have parameters of that name. Idea: git's banned.h. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/* The system headers declare these names: they must be read before the names are poisoned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* With clang, glibc's fortified headers make macros of these. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok
#pragma GCC poison atoi atol atoll atof
#pragma GCC poison gmtime localtime ctime asctime
#pragma GCC poison system

#endif
