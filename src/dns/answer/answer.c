/* The answer path: see answer.h. A pipeline of stages; each stage does its part and names the next.
 *
 *   parse -> FIND_ZONE -> FIND_NODE -> CHOOSE -> CHAIN -> FIND_ZONE ...   (CNAME)
 *                 |           |  |        |---> ADDITIONAL -> DONE
 *              REFUSED   REFERRAL|        |
 *                                '-> NEGATIVE <-'
 *
 * Called by DNS workers and by TestDNSAnswer, each with its own context; what is found in the zone
 * set is borrowed for the call. Invariants: no allocation, lock, log or system call; the response
 * is never larger than message_limit; a section holds whole RRsets. */
#include "dns/answer/answer.h"

#include "dns/answer/client.h"
#include "dns/answer/lookup.h"
#include "dns/answer/options.h"
#include "dns/answer/rrset.h"
#include "dns/answer/secure.h"
#include "dns/answer/special.h"
#include "dns/wire/message.h"
#include "dns/wire/rdata.h"
#include "dns/zone/zone_set.h"

#include <string.h>

#define AGAIN_LIMIT 64U      /* times an answer is made anew because the zone changed under it */
#define CHAIN_LIMIT 12U      /* CNAMEs followed within our zones */
#define ADDITIONAL_LIMIT 16U /* names whose addresses are added as a courtesy */
#define ANY_TTL 3600U        /* RFC 8482 section 4.2: "SHOULD be set to a large value" */

enum answer_state {
    ANSWER_FIND_ZONE,
    ANSWER_FIND_NODE,
    ANSWER_FOUND_NODE,
    ANSWER_CHOOSE,
    ANSWER_CHAIN,
    ANSWER_REFERRAL,
    ANSWER_NEGATIVE,
    ANSWER_ADDITIONAL,
    ANSWER_DONE,
};

/* One query on its way. */
struct answer {
    struct answer_context *context;
    const struct message_query *query;
    const struct zone *zone;
    const struct zone_node *node;
    struct message_writer *writer;
    size_t owner_at; /* where in the message the name looked for stands */
    size_t rrs_at;   /* what additional data is about: RRs from here ... */
    size_t rrs_end;  /* ... to here */
    size_t cut_size; /* referral: length of the cut's name */
    unsigned cut;    /* referral: label of the name where the cut's name starts */
    unsigned chain;  /* CNAMEs followed */
    uint16_t rcode;
    bool wildcard;     /* the node stands in for the name */
    unsigned encloser; /* label of the closest encloser, where the name does not exist */
    struct answer_client client;
    uint64_t seen[CHAIN_LIMIT]; /* hashes of the names that were CNAMEs */
    struct secure secure;       /* signatures and proofs, where they are wanted */
    struct zone_name *name;     /* looked for now: the question's, or a CNAME's target */
};

/* ---- find zone ---- */

static enum answer_state find_zone(struct answer *answer)
{
    const struct zone *zone =
        lookup_zone(answer->context->zones, answer->name, answer->query->type);
    if (UNLIKELY(zone == NULL)) {
        /* A CNAME that leaves our zones is the whole answer (RFC 1034 section 4.3.2). */
        answer->rcode = answer->chain == 0 ? RCODE_REFUSED : answer->rcode;
        return ANSWER_DONE;
    }
    answer->zone = zone;
    if (UNLIKELY(answer->query->dnssec_ok)) {
        answer->wildcard = false;
        secure_enter(&answer->secure, zone);
    }
    return ANSWER_FIND_NODE;
}

/* ---- find node ---- */

/* True when the name is at or below a delegation; the highest one counts. */
static bool find_cut(struct answer *answer)
{
    const struct zone_name *name = answer->name;
    for (unsigned label = (unsigned)name->labels - answer->zone->labels; label-- > 0;) {
        const struct zone_node *node = zone_find(answer->zone, name, label);
        if (node == NULL) {
            return false; /* nothing exists below a name that does not */
        }
        if (zone_node_has(node, ZONE_NODE_CUT)) {
            answer->node = node;
            answer->cut = label;
            return label != 0 || answer->query->type != RR_DS;
        }
    }
    return false;
}

/* The wildcard below the closest encloser (RFC 4592 section 3.3.1); NULL when there is none. */
static const struct zone_node *find_wildcard(struct answer *answer)
{
    const struct zone_name *name = answer->name;
    unsigned apex = (unsigned)name->labels - answer->zone->labels;
    for (unsigned label = 1; label <= apex; label++) {
        const struct zone_node *encloser = zone_find(answer->zone, name, label);
        if (encloser != NULL) {
            answer->encloser = label;
            answer->wildcard = true;
            return zone_node_has(encloser, ZONE_NODE_WILDCARD)
                       ? zone_find_wildcard(answer->zone, answer->context->zones, name, label)
                       : NULL;
        }
    }
    return NULL;
}

static enum answer_state find_node(struct answer *answer)
{
    if (lookup_has_cuts(answer->zone) && find_cut(answer)) {
        return ANSWER_REFERRAL;
    }
    answer->node = zone_find(answer->zone, answer->name, 0);
    return ANSWER_FOUND_NODE;
}

static ALWAYS_INLINE enum answer_state found_node(struct answer *answer)
{
    if (UNLIKELY(answer->node != NULL && zone_node_has(answer->node, ZONE_NODE_CUT)) &&
        answer->query->type != RR_DS) {
        answer->cut = 0; /* a delegation that came after the zone was asked for any */
        return ANSWER_REFERRAL;
    }
    answer->writer->flags |= MESSAGE_AA;
    if (UNLIKELY(answer->node == NULL)) {
        answer->node = find_wildcard(answer);
        if (answer->node == NULL) {
            answer->rcode = RCODE_NXDOMAIN;
            return ANSWER_NEGATIVE;
        }
    }
    return ANSWER_CHOOSE;
}

/* ---- proofs ---- */

static size_t apex_at(const struct answer *answer)
{
    return answer->owner_at +
           answer->name->offset[(unsigned)answer->name->labels - answer->zone->labels];
}

/* Where the suffix of the name that starts with that label is, or would be, in the chain. */
static void prove_name(struct answer *answer, unsigned label)
{
    size_t at = answer->name->offset[label];
    secure_prove(&answer->secure, answer->name->wire + at,
                 (size_t)answer->name->length - at - answer->zone->apex_length, apex_at(answer));
}

/* The same for the wildcard at the closest encloser. */
static void prove_wildcard(struct answer *answer)
{
    uint8_t relative[NAME_WIRE_LIMIT + 2] = {1, '*'};
    size_t at = answer->name->offset[answer->encloser];
    size_t length = (size_t)answer->name->length - at - answer->zone->apex_length;
    (void)memcpy(relative + 2, answer->name->wire + at, length);
    secure_prove(&answer->secure, relative, length + 2, apex_at(answer));
}

/* ---- choose and write ---- */

static enum answer_state truncate(struct answer *answer)
{
    message_truncate(answer->writer);
    return ANSWER_DONE;
}

/* An RRset as rrset_pick gave it, with signatures where they are wanted. */
static bool put(struct answer *answer, enum message_section section,
                const struct zone_answer *picked, size_t owner_at)
{
    return UNLIKELY(answer->secure.zone != NULL) && picked->kind == ZONE_LEAF
               ? secure_put(&answer->secure, answer->writer, section, picked, owner_at)
               : rrset_put(answer->writer, section, picked, owner_at, &answer->client);
}

/* Into the answer section, with the proof that nothing closer exists where a wildcard stood in (RFC
 * 4035 section 3.1.3.3). */
static bool put_signed(struct answer *answer, const struct zone_answer *picked)
{
    if (!put(answer, MESSAGE_ANSWER, picked, answer->owner_at)) {
        return false;
    }
    if (answer->wildcard) {
        prove_name(answer, 0);
    }
    return true;
}

/* Writes the slot's answer into the answer section; its RRs become those that additional data is
 * about. Nothing to give: NEGATIVE. */
static enum answer_state write_slot(struct answer *answer, const struct zone_slot *slot,
                                    enum answer_state next)
{
    const struct zone_answer *picked = rrset_pick(zone_slot_answer(slot), &answer->client);
    if (UNLIKELY(picked == NULL)) {
        return ANSWER_NEGATIVE;
    }
    answer->rrs_at = answer->writer->out.at;
    if (LIKELY(answer->secure.zone == NULL)
            ? UNLIKELY(!rrset_put(answer->writer, MESSAGE_ANSWER, picked, answer->owner_at,
                                  &answer->client))
            : !put_signed(answer, picked)) {
        return truncate(answer);
    }
    answer->rrs_end = answer->writer->out.at;
    return answer->rrs_at != answer->rrs_end ? next : ANSWER_NEGATIVE;
}

/* ANY is answered with one small RRset (RFC 8482 section 4.1 for a CNAME and in signed zones, whose
 * records are to be validated; else 4.2). */
static enum answer_state write_any(struct answer *answer)
{
    static const uint8_t hinfo[] = {7, 'R', 'F', 'C', '8', '4', '8', '2', 0};
    const struct zone_slot *slot = zone_node_slot(answer->node, RR_CNAME);
    if (SNAPSHOT_LOAD(&answer->zone->security) != NULL) {
        for (unsigned i = 0; i < answer->node->slot_count && slot == NULL; i++) {
            const struct zone_slot *other = &answer->node->slots[i];
            slot = zone_slot_answer(other) != NULL ? other : NULL;
        }
    }
    if (slot != NULL) {
        return write_slot(answer, slot, ANSWER_DONE);
    }
    if (answer->node->slot_count == 0) {
        return ANSWER_NEGATIVE;
    }
    if (!message_put_record(answer->writer, MESSAGE_ANSWER, answer->query->name, TYPE_HINFO,
                            ANY_TTL, hinfo, sizeof hinfo)) {
        return truncate(answer);
    }
    return ANSWER_DONE;
}

/* What a signed zone has besides its records. */
static enum answer_state write_security(struct answer *answer)
{
    const struct zone_security *security = SNAPSHOT_LOAD(&answer->zone->security);
    if (security == NULL) {
        return ANSWER_NEGATIVE;
    }
    const struct zone_node *node = answer->node;
    const struct zone_answer *leaf = NULL;
    bool written = false;
    if (answer->query->type == RR_DNSKEY && node->name_length == 0) {
        leaf = atomic_load_explicit(&security->dnskey, memory_order_acquire);
    } else if (answer->query->type != RR_DNSKEY && node->slot_count != 0) {
        uint8_t key[ZONE_DENIAL_KEY_LIMIT];
        size_t size = zone_denial_key(zone_node_name(node), node->name_length, key);
        const struct zone_denial *denial = zone_denial_find(security, key, size);
        leaf = denial != NULL ? atomic_load_explicit(&denial->nsec, memory_order_acquire) : NULL;
    }
    if (leaf == NULL) {
        return ANSWER_NEGATIVE;
    }
    if (answer->query->type == RR_RRSIG) {
        /* One of the name's will do: RFC 8482 is about this as much as about ANY. */
        struct secure here = {.zone = security};
        written = secure_put_signatures(&here, answer->writer, leaf, answer->owner_at);
    } else {
        written = put(answer, MESSAGE_ANSWER, leaf, answer->owner_at);
    }
    if (!written) {
        return truncate(answer);
    }
    if (answer->secure.zone != NULL && answer->wildcard) {
        prove_name(answer, 0);
    }
    return ANSWER_DONE;
}

static bool is_service(uint16_t type)
{
    return type == RR_SVCB || type == RR_HTTPS;
}

static bool has_additional(uint16_t type)
{
    return type == RR_NS || type == RR_MX || type == RR_SRV || is_service(type);
}

static ALWAYS_INLINE enum answer_state choose_answer(struct answer *answer)
{
    uint16_t type = answer->query->type;
    const struct zone_slot *slot = zone_node_slot(answer->node, type);
    if (LIKELY(slot != NULL)) {
        return write_slot(answer, slot, has_additional(type) ? ANSWER_ADDITIONAL : ANSWER_DONE);
    }
    if (UNLIKELY(type == RR_ANY)) {
        return write_any(answer);
    }
    if (zone_node_has(answer->node, ZONE_NODE_CNAME)) {
        slot = zone_node_slot(answer->node, RR_CNAME);
        if (UNLIKELY(type == RR_NSEC || type == RR_RRSIG)) {
            return write_security(answer); /* these stand beside a CNAME: RFC 4034 section 4 */
        }
        return write_slot(answer, slot, ANSWER_CHAIN);
    }
    if (UNLIKELY(type >= RR_RRSIG && type <= RR_DNSKEY)) {
        return write_security(answer);
    }
    return ANSWER_NEGATIVE;
}

/* Goes on with the CNAME's target, unless that was a CNAME before or there were too many. */
static enum answer_state follow_chain(struct answer *answer)
{
    const struct bytes_writer *out = &answer->writer->out;
    answer->seen[answer->chain++] = answer->name->hash[0];
    size_t target = answer->rrs_at + ZONE_RR_FIXED;
    if (target >= RRSET_POINTER_LIMIT || answer->chain == CHAIN_LIMIT ||
        zone_name_read(answer->name, answer->context->zones, out->data + target,
                       out->at - target) == 0) {
        return ANSWER_DONE;
    }
    for (unsigned i = 0; i < answer->chain; i++) {
        if (answer->seen[i] == answer->name->hash[0]) {
            return ANSWER_DONE;
        }
    }
    answer->owner_at = target;
    return ANSWER_FIND_ZONE;
}

/* ---- additional data and glue ---- */

/* Both kinds of address of a node, and where services were asked for the services of another name
 * (RFC 9460 section 4.1); false when they did not fit (nothing of them is left). */
static bool put_addresses(struct answer *answer, const struct zone_node *node, uint16_t type,
                          size_t owner_at)
{
    const uint16_t types[] = {RR_A, RR_AAAA, type};
    size_t count = is_service(type) && node != answer->node ? 3 : 2;
    struct message_mark mark = message_mark(answer->writer);
    for (size_t i = 0; i < count; i++) {
        const struct zone_slot *slot = zone_node_slot(node, types[i]);
        const struct zone_answer *picked =
            slot != NULL ? rrset_pick(zone_slot_answer(slot), &answer->client) : NULL;
        if (picked == NULL) {
            continue;
        }
        /* Glue is not the zone's own: no signatures over it. Only of glue are owners worth much
         * room, where no pointer reaches. */
        bool glue = answer->cut_size != 0;
        if ((!glue && owner_at >= RRSET_POINTER_LIMIT) ||
            !(glue
                  ? rrset_put(answer->writer, MESSAGE_ADDITIONAL, picked, owner_at, &answer->client)
                  : put(answer, MESSAGE_ADDITIONAL, picked, owner_at))) {
            message_rollback(answer->writer, mark);
            return false;
        }
    }
    return true;
}

/* Of a name that the RRs point at. */
enum address_need { ADDRESS_FOREIGN, ADDRESS_WELCOME, ADDRESS_REQUIRED };

/* In-domain glue is required in a referral (RFC 9471 section 2.1); all else is a courtesy. */
static enum address_need address_need(const struct answer *answer, const struct zone_name *target)
{
    const struct zone *zone = answer->zone;
    if (target->length < zone->apex_length || !name_is_under(target->wire, zone->apex)) {
        return ADDRESS_FOREIGN;
    }
    if (answer->cut_size != 0 && target->length >= answer->cut_size &&
        name_is_under(target->wire, answer->name->wire + answer->name->offset[answer->cut])) {
        return ADDRESS_REQUIRED;
    }
    return ADDRESS_WELCOME;
}

/* The name that an RR points at, whose RDATA is what `rdata` has left: its place in the message, or
 * 0 when there is none. A service's "." is the service's own name (RFC 9460 section 2.5.2). */
static size_t read_target(const struct answer *answer, uint16_t type, struct bytes_reader rdata,
                          struct zone_name *ret_target)
{
    uint16_t priority = is_service(type) ? bytes_get_u16(&rdata) : 0;
    rdata.at += type == RR_MX ? 2 : type == RR_SRV ? 6 : 0;
    if (rdata.failed || rdata.at >= rdata.size) {
        return 0;
    }
    if (priority != 0 && rdata.data[rdata.at] == 0) {
        *ret_target = *answer->name;
        return answer->owner_at;
    }
    return zone_name_read(ret_target, answer->context->zones, rdata.data + rdata.at,
                          rdata.size - rdata.at) != 0
               ? rdata.at
               : 0;
}

/* One pass over the RRs written last: adds the addresses of the names they point at, those that are
 * needed in this pass; of required ones all. False when some of these did not fit. */
static bool add_addresses(struct answer *answer, uint16_t type, enum address_need need)
{
    uint64_t seen[ADDITIONAL_LIMIT];
    size_t count = 0;
    bool whole = true;
    struct bytes_reader rrs = bytes_reader(answer->writer->out.data, answer->rrs_end);
    rrs.at = answer->rrs_at;
    bool required = need == ADDRESS_REQUIRED;
    while (bytes_left(&rrs) != 0 && !rrs.failed && (required ? whole : count < ADDITIONAL_LIMIT)) {
        (void)bytes_get(&rrs, ZONE_RR_FIXED - 2); /* a failed read ends the loop */
        size_t size = bytes_get_u16(&rrs);
        struct bytes_reader rdata = rrs;
        (void)bytes_get(&rrs, size); /* likewise */
        rdata.size = rrs.failed ? rdata.at : rrs.at;
        struct zone_name target;
        size_t at = read_target(answer, type, rdata, &target);
        size_t i = 0;
        while (at != 0 && i < count && seen[i] != target.hash[0]) {
            i++;
        }
        if (at == 0 || i < count || address_need(answer, &target) != need) {
            continue;
        }
        if (!required) { /* the names of an NS RRset differ, those of MX and SRV need not */
            seen[count++] = target.hash[0];
        }
        const struct zone_node *node =
            at == answer->owner_at ? answer->node : zone_find(answer->zone, &target, 0);
        whole = (node == NULL || put_addresses(answer, node, type, at)) && whole;
    }
    return whole;
}

static enum answer_state write_additional(struct answer *answer)
{
    if (UNLIKELY(!secure_put_proofs(&answer->secure, answer->writer))) {
        return truncate(answer);
    }
    /* What does not fit is left out, without TC (RFC 2181 section 9). */
    (void)add_addresses(answer, answer->query->type, ADDRESS_WELCOME);
    return ANSWER_DONE;
}

/* Whether the delegation is to a signed zone: its DS, or that there is none (RFC 4035 section
 * 3.1.4). False when it did not fit. */
static bool put_delegation_signer(struct answer *answer, size_t cut_at)
{
    const struct zone_slot *slot = zone_node_slot(answer->node, RR_DS);
    const struct zone_answer *picked =
        slot != NULL ? rrset_pick(zone_slot_answer(slot), &answer->client) : NULL;
    if (picked == NULL) {
        prove_name(answer, answer->cut);
    } else if (!put(answer, MESSAGE_AUTHORITY, picked, cut_at)) {
        return false;
    }
    return secure_put_proofs(&answer->secure, answer->writer);
}

static enum answer_state write_referral(struct answer *answer)
{
    const struct zone_slot *slot = zone_node_slot(answer->node, RR_NS);
    const struct zone_answer *picked =
        slot != NULL ? rrset_pick(zone_slot_answer(slot), &answer->client) : NULL;
    if (picked == NULL) {
        answer->rcode = RCODE_SERVFAIL; /* a delegation to nobody */
        return ANSWER_DONE;
    }
    size_t cut_at = answer->owner_at + answer->name->offset[answer->cut];
    answer->cut_size = (size_t)answer->name->length - answer->name->offset[answer->cut];
    answer->rrs_at = answer->writer->out.at;
    if (cut_at >= RRSET_POINTER_LIMIT ||
        !rrset_put(answer->writer, MESSAGE_AUTHORITY, picked, cut_at, &answer->client)) {
        return truncate(answer);
    }
    answer->rrs_end = answer->writer->out.at;
    if (UNLIKELY(answer->secure.zone != NULL) && !put_delegation_signer(answer, cut_at)) {
        return truncate(answer);
    }
    if (!add_addresses(answer, RR_NS, ADDRESS_REQUIRED)) {
        answer->writer->flags |= MESSAGE_TC;
        return ANSWER_DONE;
    }
    (void)add_addresses(answer, RR_NS, ADDRESS_WELCOME); /* sibling glue may be left out */
    return ANSWER_DONE;
}

/* ---- negative answers ---- */

/* RFC 4035 section 3.1.3. */
static void prove_negative(struct answer *answer)
{
    prove_name(answer, 0);
    if (answer->node == NULL || answer->wildcard) {
        prove_wildcard(answer);
    }
}

static enum answer_state write_negative(struct answer *answer)
{
    const struct zone_answer *soa =
        atomic_load_explicit(&answer->zone->negative, memory_order_acquire);
    if (soa == NULL) {
        /* A zone without SOA is broken: nobody may cache what it does not have. */
        answer->rcode = RCODE_SERVFAIL;
        return ANSWER_DONE;
    }
    size_t owner_at = apex_at(answer);
    if (owner_at >= RRSET_POINTER_LIMIT || !put(answer, MESSAGE_AUTHORITY, soa, owner_at)) {
        return truncate(answer);
    }
    if (UNLIKELY(answer->secure.zone != NULL)) {
        prove_negative(answer);
    }
    return ANSWER_DONE;
}

/* ---- the pipeline ---- */

static void run(struct answer *answer, enum answer_state state)
{
    while (state != ANSWER_DONE) {
        switch (state) {
        case ANSWER_FIND_ZONE:
            state = find_zone(answer);
            break;
        case ANSWER_FIND_NODE:
            state = find_node(answer);
            break;
        case ANSWER_FOUND_NODE:
            state = found_node(answer);
            break;
        case ANSWER_CHOOSE:
            state = choose_answer(answer);
            break;
        case ANSWER_CHAIN:
            state = follow_chain(answer);
            break;
        case ANSWER_REFERRAL:
            state = write_referral(answer);
            break;
        case ANSWER_NEGATIVE:
            state = write_negative(answer);
            break;
        case ANSWER_ADDITIONAL:
            state = write_additional(answer);
            break;
        case ANSWER_DONE:
            break;
        }
    }
}

static ALWAYS_INLINE void start(struct answer *answer)
{
    answer->owner_at = MESSAGE_QUESTION_AT;
    answer->cut_size = 0;
    answer->chain = 0;
    answer->rcode = RCODE_NOERROR;
    answer->zone = NULL;
    secure_init(&answer->secure);
}

/* With proofs, and once more for as long as the zone changes under it. */
static COLD void run_again(struct answer *answer)
{
    const struct message_mark none = {.at = MESSAGE_QUESTION_AT +
                                            (size_t)answer->query->question_size};
    for (unsigned i = 0; i < AGAIN_LIMIT && answer->secure.again; i++) {
        message_rollback(answer->writer, none);
        answer->writer->flags &= (uint16_t) ~(MESSAGE_AA | MESSAGE_TC);
        start(answer);
        lookup_set_name(answer->name, answer->context->zones, answer->query);
        run(answer, ANSWER_FIND_ZONE);
    }
}

/* From a node that was looked up. Most answers are whole after these two stages. */
static ALWAYS_INLINE void run_on(struct answer *answer)
{
    enum answer_state state = found_node(answer);
    if (LIKELY(state == ANSWER_CHOOSE)) {
        state = choose_answer(answer);
    }
    if (UNLIKELY(state != ANSWER_DONE)) {
        run(answer, state);
    }
}

/* For the caller to count. */
void answer_note(struct answer_context *context, const struct message_query *query,
                 const struct zone *zone, uint16_t rcode)
{
    struct answer_outcome *outcome = &context->outcome;
    outcome->zone = zone;
    outcome->type = query->type;
    outcome->rcode = rcode;
    outcome->question_size = query->question_size;
    outcome->opcode = query->opcode;
    outcome->has_edns = query->has_edns;
    outcome->dnssec_ok = query->dnssec_ok;
}

/* Fills the message; returns the rcode. */
static ALWAYS_INLINE uint16_t make(struct answer_context *context, struct answer_lookup *lookup,
                                   bool looked_up, struct message_writer *writer,
                                   const struct sockaddr *source)
{
    const struct message_query *query = &lookup->query;
    struct answer answer;
    answer.context = context;
    answer.query = query;
    answer.writer = writer;
    answer.name = &lookup->name;
    answer_client_init(&answer.client, context, query, source);
    start(&answer);
    if (looked_up) {
        answer.zone = lookup->zone;
        answer.node = lookup->node;
        if (UNLIKELY(query->dnssec_ok)) {
            answer.wildcard = false;
            answer.secure.zone = lookup->security;
            answer.secure.version = lookup->version;
        }
        run_on(&answer);
    } else {
        run(&answer, ANSWER_FIND_ZONE);
    }
    if (UNLIKELY(answer.secure.proving)) {
        run_again(&answer);
        if ((writer->flags & MESSAGE_TC) == 0 && !secure_put_proofs(&answer.secure, writer)) {
            message_truncate(writer);
        }
    }
    if (UNLIKELY(answer.client.filled) && query->has_subnet) {
        message_set_scope(writer, answer_client_scope(&answer.client));
    }
    answer_note(context, query, answer.zone, answer.rcode);
    return answer.rcode;
}

/* What is not looked up at all: other classes (CHAOS version.bind too), and types that cannot be
 * asked for. Transfers of class IN never come here (special.c). */
static uint16_t judge(const struct message_query *query)
{
    if (query->rcode != RCODE_NOERROR || query->question_size == 0) {
        return query->rcode;
    }
    if (UNLIKELY(query->class != CLASS_IN)) {
        return RCODE_REFUSED;
    }
    if (LIKELY(query->type < TYPE_TKEY && query->type != RR_OPT)) {
        return RCODE_NOERROR;
    }
    switch (query->type) {
    case TYPE_MAILB:
    case TYPE_MAILA:
        return RCODE_NOTIMP; /* RFC 1035 section 3.2.3, obsolete */
    case RR_OPT:
    case TYPE_TKEY:
    case TYPE_TSIG:
        return RCODE_FORMERR; /* pseudo-RRs: no question can be about them */
    default:
        return RCODE_NOERROR;
    }
}

/* The rest of an answer about a name that may be looked for. */
static ALWAYS_INLINE uint16_t answer_name(struct answer_context *context,
                                          struct answer_lookup *lookup, bool looked_up,
                                          const struct sockaddr *source,
                                          struct message_writer *writer, uint16_t rcode)
{
    const struct message_query *query = &lookup->query;
    if (UNLIKELY(rcode != RCODE_NOERROR || (writer->flags & MESSAGE_TC) != 0)) {
        answer_note(context, query, NULL, rcode);
        return rcode;
    }
    if (query->has_subnet) {
        /* Its scope is known when the answer is. */
        (void)message_add_subnet(writer, 0); /* left out when there is no room */
    }
    return make(context, lookup, looked_up, writer, source);
}

uint16_t answer_plain(struct answer_context *context, struct answer_lookup *lookup,
                      const struct sockaddr *source, bool tcp, struct message_writer *writer)
{
    const struct message_query *query = &lookup->query;
    uint16_t rcode = options_apply(context, writer, source, tcp, judge(query));
    if (query->question_size == 0) {
        answer_note(context, query, NULL, rcode);
        return rcode;
    }
    return answer_name(context, lookup, false, source, writer, rcode);
}

/* What was not looked up. */
static COLD size_t write_unusual(struct answer_context *context, struct answer_lookup *lookup,
                                 const struct sockaddr *source, bool tcp, uint8_t *out, size_t size)
{
    struct message_query *query = &lookup->query;
    if (lookup->progress == ANSWER_UNREADABLE) {
        return 0;
    }
    if (special_needed(query)) {
        return special_answer(context, lookup, source, tcp, out, size);
    }
    struct message_writer writer;
    message_begin(&writer, query, out, message_limit(query, tcp, context->udp_limit, size));
    return message_finish(&writer, answer_plain(context, lookup, source, tcp, &writer));
}

size_t answer_write(struct answer_context *context, struct answer_lookup *lookup,
                    const struct sockaddr *source, bool tcp, uint8_t *out, size_t size)
{
    if (UNLIKELY(lookup->progress != ANSWER_LOOKED_UP)) {
        return write_unusual(context, lookup, source, tcp, out, size);
    }
    const struct message_query *query = &lookup->query;
    struct message_writer writer;
    message_begin(&writer, query, out, message_limit(query, tcp, context->udp_limit, size));
    uint16_t rcode = options_apply(context, &writer, source, tcp, RCODE_NOERROR);
    rcode = answer_name(context, lookup, true, source, &writer, rcode);
    return message_finish(&writer, rcode);
}

size_t answer_query(struct answer_context *context, const uint8_t *query, size_t length,
                    const struct sockaddr *source, bool tcp, uint8_t *out, size_t size)
{
    struct answer_lookup lookup;
    lookup.packet = query;
    lookup.length = length;
    answer_look_up(context, &lookup, 1);
    return answer_write(context, &lookup, source, tcp, out, size);
}
