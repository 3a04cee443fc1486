/* A plain main for fuzz targets: runs LLVMFuzzerTestOneInput over every file of a corpus folder, in
 * the ordinary test run. Prints TAP; a finding is a crash or a failed assertion of the target.
 *
 * usage: NAME_replay NAME FOLDER */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT (1U << 20U)

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return -errno;
    }
    uint8_t *data = malloc(FILE_LIMIT);
    size_t size = data != NULL ? fread(data, 1, FILE_LIMIT, file) : 0;
    (void)fclose(file); /* only read from */
    /* A copy of the exact size, so that the address sanitizer sees a read past its end. */
    uint8_t *exact = malloc(size != 0 ? size : 1);
    if (data == NULL || exact == NULL) {
        abort();
    }
    (void)memcpy(exact, data, size);
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, size); /* always 0 */
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent **names = NULL;
    int count = argc == 3 ? scandir(argv[2], &names, NULL, alphasort) : -1;
    if (count < 0) {
        (void)fprintf(stderr, "usage: %s NAME FOLDER (a folder with inputs)\n", argv[0]);
        return 2;
    }
    int ran = 0;
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", argv[2], names[i]->d_name);
        if (names[i]->d_name[0] != '.' && replay(path) == 0) {
            ran++;
        }
        free(names[i]);
    }
    free(names);
    (void)printf("1..1\n%s 1 - %s: %d inputs\n", ran > 0 ? "ok" : "not ok", argv[1], ran);
    return ran > 0 ? 0 : 1;
}
