/* DNSSEC in a response: see secure.h. Called by answer.c on a worker's thread; what is found in the
 * zone set is borrowed for the read section. Invariant: an RRset is written with its signatures or
 * not at all. */
#include "dns/answer/secure.h"

#include "dns/answer/rrset.h"

#include <string.h>

#define POINTER 0xc000U
#define OWNER_SIZE 2U /* of a compression pointer */

void secure_enter(struct secure *secure, const struct zone *zone)
{
    secure->zone = SNAPSHOT_LOAD(&zone->security);
    if (secure->zone != NULL) {
        secure->version = atomic_load_explicit(&secure->zone->version, memory_order_acquire);
    }
}

/* Of the answers' records and signatures written from `at` on. */
static void set_owner(struct message_writer *writer, size_t at, size_t owner_at)
{
    while (at < writer->out.at) {
        bytes_patch_u16(&writer->out, at, (uint16_t)(POINTER | owner_at));
        struct bytes_reader reader = bytes_reader(writer->out.data, writer->out.at);
        reader.at = at + ZONE_RR_FIXED - 2;
        at += ZONE_RR_FIXED + (size_t)bytes_get_u16(&reader);
    }
}

bool secure_put(const struct secure *secure, struct message_writer *writer,
                enum message_section section, const struct zone_answer *leaf, size_t owner_at)
{
    size_t at = writer->out.at;
    size_t size = leaf->size + leaf->signatures * secure->zone->rrsig_size;
    uint16_t count = (uint16_t)(leaf->count + leaf->signatures);
    if (!message_put_compiled(writer, section, count, zone_leaf(leaf)->rrs, size)) {
        return false;
    }
    if (owner_at != MESSAGE_QUESTION_AT) {
        set_owner(writer, at, owner_at);
    }
    return true;
}

bool secure_put_signatures(const struct secure *secure, struct message_writer *writer,
                           const struct zone_answer *leaf, size_t owner_at)
{
    size_t at = writer->out.at;
    if (leaf->signatures == 0 ||
        !message_put_compiled(writer, MESSAGE_ANSWER, leaf->signatures,
                              zone_leaf(leaf)->rrs + leaf->size,
                              leaf->signatures * secure->zone->rrsig_size)) {
        return false;
    }
    set_owner(writer, at, owner_at);
    return true;
}

void secure_prove(struct secure *secure, const uint8_t *relative, size_t length, size_t apex_at)
{
    uint8_t key[ZONE_DENIAL_KEY_LIMIT];
    size_t size = zone_denial_key(relative, length, key);
    secure->proving = true;
    const struct zone_denial *denial = zone_denial_find(secure->zone, key, size);
    const struct zone_answer *nsec =
        denial != NULL ? atomic_load_explicit(&denial->nsec, memory_order_acquire) : NULL;
    atomic_thread_fence(memory_order_acquire);
    if ((secure->version & 1U) != 0 || nsec == NULL ||
        atomic_load_explicit(&secure->zone->version, memory_order_relaxed) != secure->version) {
        secure->again = true;
    }
    for (unsigned i = 0; i < secure->count; i++) {
        if (secure->proofs[i].denial == denial) {
            return;
        }
    }
    if (nsec != NULL && secure->count < SECURE_PROOFS_LIMIT) {
        secure->proofs[secure->count++] =
            (struct secure_proof){denial, nsec, secure->zone->rrsig_size, apex_at};
    }
}

/* The NSEC's owner is written out once, what follows points at it. */
static void put_proof(const struct secure_proof *proof, struct message_writer *writer)
{
    struct bytes_writer *out = &writer->out;
    const struct zone_answer *nsec = proof->nsec;
    size_t owner_at = out->at;
    bytes_put(out, zone_denial_name(proof->denial), proof->denial->name_length);
    bytes_put_u16(out, (uint16_t)(POINTER | proof->apex_at));
    bytes_put(out, zone_leaf(nsec)->rrs + OWNER_SIZE,
              nsec->size - OWNER_SIZE + nsec->signatures * proof->rrsig_size);
    size_t at = owner_at + proof->denial->name_length + nsec->size;
    if (proof->denial->name_length == 0) {
        owner_at = proof->apex_at;
    }
    if (owner_at >= RRSET_POINTER_LIMIT || proof->apex_at >= RRSET_POINTER_LIMIT) {
        out->failed = true;
    }
    if (!out->failed) {
        set_owner(writer, at, owner_at);
    }
    writer->counts[MESSAGE_AUTHORITY] =
        (uint16_t)(writer->counts[MESSAGE_AUTHORITY] + nsec->count + nsec->signatures);
}

bool secure_put_proofs(struct secure *secure, struct message_writer *writer)
{
    struct message_mark mark = message_mark(writer);
    while (secure->written < secure->count) {
        put_proof(&secure->proofs[secure->written++], writer);
    }
    if (writer->out.failed) {
        message_rollback(writer, mark);
        return false;
    }
    return true;
}
