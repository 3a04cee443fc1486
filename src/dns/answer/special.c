/* Signed queries and zone transfers: see special.h. Called by answer_query. Invariant: a response
 * to a query whose signature was verified is signed with the same key, whatever its RCODE. */
#include "dns/answer/special.h"

#include "base/time.h"
#include "dns/answer/options.h"
#include "dns/tsig/tsig.h"

static bool is_transfer(const struct message_query *query)
{
    return query->type == RR_AXFR || query->type == RR_IXFR;
}

/* Verifies where there is a signature. True when the response is to carry one. */
static bool verify(const struct answer_context *context, const struct message_query *query,
                   struct tsig_signer *signer, int64_t now_s, uint16_t *rcode)
{
    if (query->tsig_at == 0 || *rcode != RCODE_NOERROR) {
        return false;
    }
    struct tsig_keys *keys = context->transfer != NULL ? transfer_keys(context->transfer) : NULL;
    *rcode = tsig_verify(signer, keys, query->packet, query->length, query->tsig_at, now_s);
    tsig_keys_unref(keys);
    return *rcode == RCODE_NOERROR || *rcode == RCODE_NOTAUTH;
}

/* Keeps room for the signature. False when there is none: names of key and algorithm that nobody
 * uses. */
static bool keep_room(struct message_writer *writer, const struct tsig_signer *signer)
{
    size_t room = tsig_room(signer);
    if (room > writer->out.size - writer->out.at) {
        return false;
    }
    writer->limit -= room; /* it stands behind everything else, OPT too */
    writer->out.size -= room;
    return true;
}

static enum transfer_verdict judge(struct answer_context *context,
                                   const struct message_query *query, const struct sockaddr *source,
                                   const struct tsig_key *key, bool tcp,
                                   struct message_writer *writer, uint16_t *ret_rcode)
{
    *ret_rcode = RCODE_REFUSED;
    if (context->transfer == NULL || query->class != CLASS_IN) {
        return TRANSFER_ANSWERED;
    }
    return transfer_judge(context->transfer, context->zones, query, source, key, tcp, writer,
                          ret_rcode);
}

/* Anybody may say that a zone changed: what follows is a question to its primary. */
static uint16_t take_notify(struct answer_context *context, const struct message_query *query,
                            const struct sockaddr *source, struct message_writer *writer)
{
    if (context->notified == NULL) {
        return RCODE_NOTIMP;
    }
    if (query->type != RR_SOA || query->class != CLASS_IN) {
        return RCODE_FORMERR;
    }
    if (!context->notified(context->notified_context, query->name, source)) {
        return RCODE_NOTAUTH;
    }
    writer->flags |= MESSAGE_AA;
    return RCODE_NOERROR;
}

size_t special_answer(struct answer_context *context, struct answer_lookup *lookup,
                      const struct sockaddr *source, bool tcp, uint8_t *out, size_t size)
{
    struct message_query *query = &lookup->query;
    struct tsig_signer signer = {.key = NULL};
    struct message_writer writer;
    size_t limit = message_limit(query, tcp, context->udp_limit, size);
    int64_t now_s = wall_now().ns / TIME_S;
    uint16_t rcode = query->rcode;
    bool sign = verify(context, query, &signer, now_s, &rcode);
    enum transfer_verdict verdict = TRANSFER_ANSWERED;
    message_begin(&writer, query, out, limit);
    sign = sign && keep_room(&writer, &signer);
    bool notify = query->opcode == OPCODE_NOTIFY;
    if (rcode == RCODE_NOERROR && !is_transfer(query) && !notify) {
        rcode = answer_plain(context, lookup, source, tcp, &writer);
    } else {
        rcode = options_apply(context, &writer, source, tcp, rcode);
        if (rcode == RCODE_NOERROR && notify) {
            rcode = take_notify(context, query, source, &writer);
        } else if (rcode == RCODE_NOERROR && (writer.flags & MESSAGE_TC) == 0) {
            verdict = judge(context, query, source, signer.key, tcp, &writer, &rcode);
        }
        answer_note(context, query, NULL, rcode);
    }
    if (verdict == TRANSFER_STREAM && context->no_stream != RCODE_NOERROR) {
        verdict = TRANSFER_ANSWERED;
        rcode = context->no_stream;
    }
    size_t length = ANSWER_STREAM;
    if (verdict == TRANSFER_ANSWERED) {
        length = message_finish(&writer, rcode);
        length = sign ? tsig_sign(&signer, out, length, limit, now_s) : length;
    }
    tsig_signer_done(&signer);
    return length;
}
