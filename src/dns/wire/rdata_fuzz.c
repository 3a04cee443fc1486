/* Fuzz target: values. The first byte picks the type; the rest is tried as text and as RDATA. What
 * is accepted as text must be shown, and mean the same when it is read again. */
#include "dns/wire/rdata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void try_text(uint16_t type, const char *text)
{
    static uint8_t wire[RDATA_LIMIT];
    static uint8_t again[RDATA_LIMIT];
    static char shown[5 * RDATA_LIMIT];
    struct err err = ERR_INIT;
    int length = rdata_from_text(type, text, wire, sizeof wire, &err);
    if (length < 0) {
        require(err.kind != ERR_NONE && err.message[0] != '\0');
        return;
    }
    require(rdata_to_text(type, wire, (size_t)length, shown, sizeof shown) == 0);
    /* Shown text may be longer than a Value may be. */
    if (strlen(shown) <= 4000) {
        require(rdata_from_text(type, shown, again, sizeof again, &err) == length);
        require(memcmp(wire, again, (size_t)length) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t types[] = {RR_A,     RR_AAAA, RR_CAA,   RR_CNAME, RR_DS,   RR_MX,
                                     RR_NAPTR, RR_NS,   RR_PTR,   RR_SOA,   RR_SPF,  RR_SRV,
                                     RR_TXT,   65280,   RR_SSHFP, RR_TLSA,  RR_SVCB, RR_HTTPS};
    static char shown[5 * RDATA_LIMIT];
    if (size == 0 || size > RDATA_LIMIT) {
        return 0;
    }
    uint16_t type = types[(data[0] - 'a' + 256U) % ARRAY_SIZE(types)];
    char *text = malloc(size);
    require(text != NULL);
    (void)memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    try_text(type, text);
    free(text);
    int result = rdata_to_text(type, data + 1, size - 1, shown, sizeof shown);
    require(result == 0 || result == -EINVAL);
    return 0;
}
