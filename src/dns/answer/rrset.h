/* Putting compiled answers into a response: which leaf of a weighted or multivalue answer is given,
 * and its RRs with the owner and TTL they need here. Private to dns/answer; on the answer path: no
 * allocation, no lock. */
#ifndef DNS_ANSWER_RRSET_H
#define DNS_ANSWER_RRSET_H

#include "base/macro.h"
#include "base/random.h"
#include "dns/answer/client.h"
#include "dns/wire/message.h"
#include "dns/zone/zone_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a compression pointer can reach (RFC 1035 section 4.1.4). */
#define RRSET_POINTER_LIMIT 0x4000U

/* What a weighted answer or a map stands for; the rest of rrset_pick. */
const struct zone_answer *rrset_pick_routed(const struct zone_answer *answer,
                                            struct answer_client *client);
/* What an answer stands for this time and this client: a leaf, or a multivalue answer; NULL:
 * nothing. */
static ALWAYS_INLINE const struct zone_answer *rrset_pick(const struct zone_answer *answer,
                                                          struct answer_client *client)
{
    return LIKELY(answer == NULL || answer->kind <= ZONE_MULTIVALUE)
               ? answer
               : rrset_pick_routed(answer, client);
}
/* As rrset_pick, but always a leaf or NULL. */
const struct zone_answer *rrset_pick_leaf(const struct zone_answer *answer,
                                          struct answer_client *client);
/* The rest of rrset_put: another owner than the question's name, or several leaves. */
bool rrset_put_other(struct message_writer *writer, enum message_section section,
                     const struct zone_answer *picked, size_t owner_at,
                     struct answer_client *client);
/* Writes what rrset_pick gave; owner_at: where in the message the owner's name stands. Where that
 * is beyond RRSET_POINTER_LIMIT its name is written whole (of a multivalue answer one record).
 * False when it did not fit; nothing was written then. */
static ALWAYS_INLINE bool rrset_put(struct message_writer *writer, enum message_section section,
                                    const struct zone_answer *picked, size_t owner_at,
                                    struct answer_client *client)
{
    return LIKELY(picked->kind == ZONE_LEAF && owner_at == MESSAGE_QUESTION_AT)
               ? message_put_compiled(writer, section, picked->count, zone_leaf(picked)->rrs,
                                      picked->size)
               : rrset_put_other(writer, section, picked, owner_at, client);
}

#endif
