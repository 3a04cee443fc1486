/* The look ahead over XML bodies: see xml_scan.h. Called by the XML reader, on the request's
 * thread. It follows XML's own lexical rules (comments, CDATA, instructions, quotes), so that it
 * and the parser agree on what a tag is. libxml2 compares each attribute of an element with all
 * others, and keeps a stack as deep as the document: hence the bounds here. */
#include "aws/xml_scan.h"

#include "aws/internal.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct scan {
    const char *at;
    const char *end;
    size_t depth;
    size_t elements;
    const char *reason;
};

static bool fail(struct scan *scan, const char *reason)
{
    scan->reason = reason;
    return false;
}

/* Moves behind the first `mark`; false when there is none. */
static bool skip_past(struct scan *scan, const char *mark)
{
    const char *found = memmem(scan->at, (size_t)(scan->end - scan->at), mark, strlen(mark));
    if (found == NULL) {
        return fail(scan, "the document ends inside markup");
    }
    scan->at = found + strlen(mark);
    return true;
}

static bool starts(const struct scan *scan, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(scan->end - scan->at) >= length && memcmp(scan->at, text, length) == 0;
}

/* A start, end or empty tag, from behind its '<'. */
static bool skip_tag(struct scan *scan)
{
    bool closing = scan->at < scan->end && *scan->at == '/';
    size_t attributes = 0;
    char previous = '\0';
    while (scan->at < scan->end && *scan->at != '>') {
        char c = *scan->at++;
        if (c == '"' || c == '\'') {
            const char *quote = memchr(scan->at, c, (size_t)(scan->end - scan->at));
            if (quote == NULL) {
                return fail(scan, "the document ends inside an attribute");
            }
            scan->at = quote + 1;
            if (++attributes > CODEC_ATTRIBUTE_LIMIT) {
                return fail(scan, "an element has too many attributes");
            }
        }
        previous = c;
    }
    if (scan->at == scan->end) {
        return fail(scan, "the document ends inside a tag");
    }
    scan->at++;
    if (closing) {
        scan->depth -= scan->depth != 0 ? 1 : 0;
        return true;
    }
    if (++scan->elements > CODEC_VALUE_LIMIT) {
        return fail(scan, "the document has too many elements");
    }
    if (previous != '/' && ++scan->depth > CODEC_DEPTH_LIMIT) {
        return fail(scan, "the document is nested too deeply");
    }
    return true;
}

static bool skip_markup(struct scan *scan)
{
    scan->at++;
    if (starts(scan, "!--")) {
        return skip_past(scan, "-->");
    }
    if (starts(scan, "![CDATA[")) {
        return skip_past(scan, "]]>");
    }
    if (starts(scan, "!")) {
        return fail(scan, "a document type is not allowed");
    }
    if (starts(scan, "?")) {
        return skip_past(scan, "?>");
    }
    return skip_tag(scan);
}

/* Whether the parser will read the bytes as we do. The other encodings that it detects by itself
 * have zero bytes, or (EBCDIC) no '<' in front. */
static bool is_utf8_markup(struct scan *scan)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (memchr(scan->at, '\0', (size_t)(scan->end - scan->at)) != NULL) {
        return fail(scan, "the document is not UTF-8");
    }
    if (starts(scan, mark)) {
        scan->at += sizeof mark - 1;
    }
    while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL) {
        scan->at++;
    }
    return starts(scan, "<") || fail(scan, "the document does not begin with an element");
}

int xml_scan(const char *body, size_t size, const char **ret_reason)
{
    struct scan scan = {.at = body, .end = body + size};
    bool good = is_utf8_markup(&scan);
    while (good && scan.at < scan.end) {
        const char *markup = memchr(scan.at, '<', (size_t)(scan.end - scan.at));
        if (markup == NULL) {
            break;
        }
        scan.at = markup;
        good = skip_markup(&scan);
    }
    if (!good) {
        *ret_reason = scan.reason;
        return -EINVAL;
    }
    return 0;
}
