/* Domain names: see name.h. Called by every room that handles names, any thread; keeps nothing.
 *
 * The text parser is one loop over characters that fills one label at a time; it reports the first
 * problem and where it is, so that Route 53's sentence can quote the offending part. */
#include "dns/wire/name.h"

#include "base/text.h"
#include "dns/wire/fatal.h"

#include <errno.h>
#include <string.h>

enum problem {
    PROBLEM_NONE,
    PROBLEM_EMPTY_NAME,
    PROBLEM_EMPTY_LABEL,
    PROBLEM_LONG_LABEL,
    PROBLEM_LONG_NAME,
    PROBLEM_CHARACTER,
};

/* One pass over a name's text. */
struct parse {
    const char *at; /* next character */
    bool octal;
    uint8_t *wire;
    size_t length; /* bytes of wire in use, the open label's length byte included */
    size_t label;  /* where the open label's length byte is */
    const char *label_text;
    bool spelled; /* some character is not as Route 53 writes it, or may not be */
    enum problem problem;
};

/* Route 53 leaves only these as they are; everything else is shown in octal. */
static const bool plain[UINT8_MAX + 1] = {
    ['-'] = true, ['_'] = true, ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true,
    ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true,
    ['a'] = true, ['b'] = true, ['c'] = true, ['d'] = true, ['e'] = true, ['f'] = true,
    ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true, ['k'] = true, ['l'] = true,
    ['m'] = true, ['n'] = true, ['o'] = true, ['p'] = true, ['q'] = true, ['r'] = true,
    ['s'] = true, ['t'] = true, ['u'] = true, ['v'] = true, ['w'] = true, ['x'] = true,
    ['y'] = true, ['z'] = true,
};

/* Value of the three digits at text in the base, or -1. */
static int three_digits(const char *text, int base)
{
    int value = 0;
    for (int i = 0; i < 3; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit >= base) {
            return -1;
        }
        value = value * base + digit;
    }
    return value <= UINT8_MAX ? value : -1;
}

/* The byte that the text at parse->at stands for; -1 when it stands for none. Moves on. */
static int next_byte(struct parse *parse)
{
    unsigned char c = (unsigned char)*parse->at;
    if (c <= ' ' || c > '~') {
        return -1;
    }
    if (c != '\\') {
        parse->at++;
        return c;
    }
    int value = three_digits(parse->at + 1, parse->octal ? 8 : 10);
    if (value >= 0) {
        parse->at += 4;
        return value;
    }
    unsigned char escaped = (unsigned char)parse->at[1];
    /* Route 53 knows only the three octal digits. */
    if (parse->octal || escaped <= ' ' || escaped > '~' || text_is_digit((char)escaped)) {
        return -1;
    }
    parse->at += 2;
    return escaped;
}

/* Opens the next label; its bytes follow. */
static void open_label(struct parse *parse)
{
    parse->label = parse->length++;
    parse->wire[parse->label] = 0; /* until it is closed */
    parse->label_text = parse->at;
}

static enum problem close_label(struct parse *parse)
{
    size_t size = parse->length - parse->label - 1;
    if (size == 0) {
        return PROBLEM_EMPTY_LABEL;
    }
    parse->wire[parse->label] = (uint8_t)size;
    return PROBLEM_NONE;
}

/* Adds the characters at parse->at that stand for themselves, as nearly all do. */
static void add_plain(struct parse *parse)
{
    size_t limit = MIN(parse->label + NAME_LABEL_LIMIT + 1, NAME_WIRE_LIMIT - 1);
    while (parse->length < limit && plain[(uint8_t)*parse->at]) {
        parse->wire[parse->length++] = (uint8_t)*parse->at++;
    }
}

/* Any character, and what is too much. */
static enum problem add_byte(struct parse *parse)
{
    parse->spelled = true;
    int value = next_byte(parse);
    if (value < 0) {
        return PROBLEM_CHARACTER;
    }
    if (parse->length - parse->label > NAME_LABEL_LIMIT) {
        return PROBLEM_LONG_LABEL;
    }
    /* The root label needs one more byte. */
    if (parse->length >= NAME_WIRE_LIMIT - 1) {
        return PROBLEM_LONG_NAME;
    }
    parse->wire[parse->length++] = (uint8_t)text_lower((char)value);
    return PROBLEM_NONE;
}

static struct parse parse_text(const char *text, bool octal, uint8_t wire[NAME_WIRE_LIMIT])
{
    struct parse parse = {.at = text, .octal = octal, .wire = wire};
    if (*text == '\0') {
        parse.problem = PROBLEM_EMPTY_NAME;
        return parse;
    }
    if (text_equal(text, ".")) {
        wire[parse.length++] = 0;
        return parse;
    }
    open_label(&parse);
    while (parse.problem == PROBLEM_NONE && *parse.at != '\0') {
        add_plain(&parse);
        if (*parse.at == '\0') {
            break;
        }
        if (*parse.at != '.') {
            parse.problem = add_byte(&parse);
            continue;
        }
        parse.problem = close_label(&parse);
        parse.at++;
        if (parse.problem != PROBLEM_NONE || *parse.at == '\0') {
            break;
        }
        if (parse.length >= NAME_WIRE_LIMIT - 1) {
            parse.problem = PROBLEM_LONG_NAME;
            break;
        }
        open_label(&parse);
    }
    /* Without a trailing dot the last label is still open. */
    if (parse.problem == PROBLEM_NONE && wire[parse.label] == 0) {
        parse.problem = close_label(&parse);
    }
    if (parse.problem == PROBLEM_NONE) {
        wire[parse.length++] = 0;
    }
    return parse;
}

int name_from_text(const char *text, bool octal, uint8_t wire[NAME_WIRE_LIMIT])
{
    uint8_t scratch[NAME_WIRE_LIMIT];
    struct parse parse = parse_text(text, octal, scratch);
    if (parse.problem != PROBLEM_NONE) {
        return -EINVAL;
    }
    (void)memcpy(wire, scratch, parse.length);
    return (int)parse.length;
}

int name_explain(const char *text, bool octal, struct err *err)
{
    uint8_t scratch[NAME_WIRE_LIMIT];
    struct parse parse = parse_text(text, octal, scratch);
    switch (parse.problem) {
    case PROBLEM_EMPTY_NAME:
        return fatal_problem(err, "DomainNameEmpty", "Domain name is empty", "", 0);
    case PROBLEM_EMPTY_LABEL:
        return fatal_problem(err, "DomainLabelEmpty", "Domain label is empty", text, strlen(text));
    case PROBLEM_LONG_LABEL:
        return fatal_problem(err, "DomainLabelTooLong", "Domain label is too long",
                             parse.label_text, strcspn(parse.label_text, "."));
    case PROBLEM_LONG_NAME:
        return fatal_problem(err, "DomainNameTooLong", "Domain name is too long", text,
                             strlen(text));
    case PROBLEM_CHARACTER:
        return fatal_character(err, parse.at);
    case PROBLEM_NONE:
    default:
        return 0;
    }
}

static size_t put_digits(char *text, uint8_t value, unsigned base)
{
    text[0] = '\\';
    text[1] = (char)('0' + value / (base * base));
    text[2] = (char)('0' + value / base % base);
    text[3] = (char)('0' + value % base);
    return 4;
}

static size_t put_octal(char *text, uint8_t c)
{
    uint8_t lower = (uint8_t)text_lower((char)c);
    if (plain[lower]) {
        text[0] = (char)lower;
        return 1;
    }
    return put_digits(text, c, 8);
}

static size_t put_decimal(char *text, uint8_t c)
{
    if (c <= ' ' || c > '~') {
        return put_digits(text, c, 10);
    }
    size_t length = 0;
    /* RFC 1035 section 5.1: what means something in a zone file. */
    if (strchr(".\\\"();@$", c) != NULL) {
        text[length++] = '\\';
    }
    text[length++] = (char)c;
    return length;
}

void name_to_text(const uint8_t *wire, bool octal, char text[NAME_TEXT_LIMIT])
{
    size_t length = 0;
    size_t at = 0;
    while (wire[at] != 0) {
        size_t end = at + 1 + wire[at];
        for (at++; at < end; at++) {
            length +=
                octal ? put_octal(text + length, wire[at]) : put_decimal(text + length, wire[at]);
        }
        text[length++] = '.';
    }
    if (length == 0) {
        text[length++] = '.';
    }
    text[length] = '\0';
}

int name_canonical(const char *text, char out[NAME_TEXT_LIMIT])
{
    uint8_t wire[NAME_WIRE_LIMIT];
    struct parse parse = parse_text(text, true, wire);
    if (parse.problem != PROBLEM_NONE) {
        return -EINVAL;
    }
    if (parse.spelled) {
        name_to_text(wire, true, out);
        return 0;
    }
    size_t length = (size_t)(parse.at - text);
    (void)memcpy(out, text, length);
    if (length == 0 || out[length - 1] != '.') {
        out[length++] = '.';
    }
    out[length] = '\0';
    return 0;
}

int name_check(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at < size && at < NAME_WIRE_LIMIT) {
        if (data[at] == 0) {
            return (int)at + 1;
        }
        if (data[at] > NAME_LABEL_LIMIT) {
            return -EINVAL;
        }
        at += 1U + data[at];
    }
    return -EINVAL;
}

size_t name_length(const uint8_t *wire)
{
    size_t at = 0;
    while (wire[at] != 0) {
        at += 1U + wire[at];
    }
    return at + 1;
}

unsigned name_labels(const uint8_t *wire)
{
    unsigned labels = 0;
    for (size_t at = 0; wire[at] != 0; at += 1U + wire[at]) {
        labels++;
    }
    return labels;
}

bool name_equal(const uint8_t *a, const uint8_t *b)
{
    size_t at = 0;
    while (a[at] == b[at]) {
        if (a[at] == 0) {
            return true;
        }
        if (memcmp(a + at + 1, b + at + 1, a[at]) != 0) {
            return false;
        }
        at += 1U + a[at];
    }
    return false;
}

bool name_is_under(const uint8_t *name, const uint8_t *ancestor)
{
    size_t length = name_length(name);
    size_t want = name_length(ancestor);
    size_t at = 0;
    while (length - at > want) {
        at += 1U + name[at];
    }
    return length - at == want && memcmp(name + at, ancestor, want) == 0;
}
