/* A temporary folder of a test, for stores in it. Test programs only; one thread. */
#ifndef STORE_SQLITE_FOLDER_H
#define STORE_SQLITE_FOLDER_H

#include <stddef.h>

#define FOLDER_TEXT 256U

/* Makes <TMPDIR or /tmp>/leeward-store-XXXXXX; ends the program when it cannot. */
void folder_make(char out[FOLDER_TEXT]);
/* Removes what stores and replicas leave there, and the folder. */
void folder_remove(const char *folder);

#endif
