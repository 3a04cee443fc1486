/* What the files of this room share. Private to site/. Thread: any. */
#ifndef SITE_INTERNAL_H
#define SITE_INTERNAL_H

#include "site/site.h"

#include <jansson.h>

#define TOKEN_ID 16U     /* hexadecimal digits */
#define TOKEN_SECRET 64U /* as above: 256 bits */

/* For CLEANUP. */
void site_release(json_t **tree);
/* "" when it is absent or no text. */
const char *site_text(const json_t *tree, const char *name);
/* Compact; in the arena. NULL: out of memory. */
const char *site_dump(const json_t *tree, struct arena *arena);

/* ---- tokens: "leeward1.ID.SECRET.FINGERPRINT-OF-CA.ADDR:PORT" ---- */

struct site_token {
    char id[TOKEN_ID + 1];
    char secret[TOKEN_SECRET + 1];
    char fingerprint[SITE_FINGERPRINT];
    char address[128];
};

void site_token_write(const struct site_token *token, char out[SITE_TOKEN_LIMIT]);
int site_token_read(const char *text, struct site_token *ret_token, struct err *err) MUST_CHECK;
/* SHA-256 of the secret, as the store keeps it. */
void site_token_hash(const char *secret, char out[SITE_FINGERPRINT]);

/* ---- record.c ---- */

const char *site_member_encode(const struct site_self *self, const char *fingerprint,
                               struct wall joined, struct arena *arena);
/* A tree that was read, changed to what self says. */
int site_member_update(json_t *tree, const struct site_self *self, bool *ret_changed,
                       struct err *err) MUST_CHECK;
json_t *site_texts(const char *const *texts, size_t count);

/* ---- folder.c ---- */

/* Files into FOLDER/site.new/, synced; the arrays end at a NULL name. */
struct site_file {
    const char *name;
    const char *text;
};
int site_folder_write(const char *folder, const struct site_file *files, struct err *err)
    MUST_CHECK;
/* FOLDER/site.new/ becomes FOLDER/site/. */
int site_folder_commit(const char *folder, struct err *err) MUST_CHECK;
bool site_folder_exists(const char *folder, const char *name);
/* A file of at most 1 MiB, as text in the arena. */
int site_folder_read(const char *folder, const char *name, struct arena *arena,
                     const char **ret_text, struct err *err) MUST_CHECK;
void site_folder_remove(const char *folder, const char *name);
/* Gives the files to the owner of the folder, where root made them. */
int site_folder_give(const char *folder, struct err *err) MUST_CHECK;

#endif
