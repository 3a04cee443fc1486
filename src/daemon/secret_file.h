/* Reading small files that may hold secrets. Thread: any. */
#ifndef DAEMON_SECRET_FILE_H
#define DAEMON_SECRET_FILE_H

#include "base/err.h"
#include "base/macro.h"

/* The whole file, at most 1 MiB, as a string. ERR names the file, and says what to do where this
 * user may not read it. The caller wipes it: secret_file_free. */
int secret_file_read(const char *path, char **ret_text, struct err *err) MUST_CHECK;
/* Wipes and frees. NULL is fine. */
void secret_file_free(char *take_text);

#endif
