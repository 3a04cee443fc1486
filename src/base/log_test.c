/* Tests of log.h: what a line looks like whatever its values hold. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PREFIX "2026-11-21T09:48:44.123Z level=info event=test.event"

static const struct wall when = {1795254524 * TIME_S + 123 * TIME_MS};

static const char *line_of(struct log_field field)
{
    static char line[4096];
    size_t length = log_format(line, sizeof line, when, LOG_INFO, "test.event", &field, 1);
    assert_int_equal(length, strlen(line));
    assert_memory_equal(line, PREFIX " ", sizeof PREFIX);
    return line + sizeof PREFIX;
}

static void each_type_has_its_form(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_INVALID, "bad \"TTL\""); /* the code does not matter here */
    bool flag = true;
    assert_string_equal(line_of(F("k", "plain-value.1")), "k=plain-value.1");
    assert_string_equal(line_of(F("k", (char *)NULL)), "k=\"\"");
    assert_string_equal(line_of(F("k", -5)), "k=-5");
    assert_string_equal(line_of(F("k", LLONG_MIN)), "k=-9223372036854775808");
    assert_string_equal(line_of(F("k", ULLONG_MAX)), "k=18446744073709551615");
    assert_string_equal(line_of(F("k", (unsigned char)255)), "k=255");
    assert_string_equal(line_of(F("k", flag)), "k=true");
    assert_string_equal(line_of(F("k", 1.5)), "k=1.5");
    assert_string_equal(line_of(F("k", when)), "k=2026-11-21T09:48:44.123Z");
    assert_string_equal(line_of(F("k", &err)), "k=\"bad \\\"TTL\\\"\"");
}

static void text_is_escaped_where_it_could_be_misread(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *line;
    } rows[] = {
        {"", "k=\"\""},
        {"two words", "k=\"two words\""},
        {"a=b", "k=\"a=b\""},
        {"quote\"", "k=\"quote\\\"\""},
        {"back\\slash", "k=\"back\\\\slash\""},
        {"line\nbreak", "k=\"line\\x0abreak\""},
        {"\r\t\x1b[31m", "k=\"\\x0d\\x09\\x1b[31m\""},
        {"\x7f", "k=\"\\x7f\""},
        {"\xc2\x85", "k=\"\\xc2\\x85\""}, /* a line break of Unicode's */
        {"x level=error event=forged", "k=\"x level=error event=forged\""},
        {"\" level=error event=\"forged", "k=\"\\\" level=error event=\\\"forged\""},
        {"end\\", "k=\"end\\\\\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_string_equal(line_of(F("k", rows[i].value)), rows[i].line);
    }
}

/* Reads a line back as a consumer of logs would: returns the count of key=value pairs, -1 when the
 * line is malformed. */
static int pairs_in(const char *line)
{
    int pairs = 0;
    while (*line != '\0') {
        line += strcspn(line, "= \"");
        if (*line != '=') {
            return -1;
        }
        line++;
        if (*line == '"') {
            for (line++; *line != '"'; line++) {
                line += *line == '\\';
                if (*line == '\0') {
                    return -1;
                }
            }
            line++;
        } else {
            line += strcspn(line, " \"");
        }
        pairs++;
        if (*line == ' ') {
            line++;
        } else if (*line != '\0') {
            return -1;
        }
    }
    return pairs;
}

static void no_value_can_forge_a_field_or_a_line(void **state)
{
    (void)state;
    for (int a = 1; a < 256; a++) {
        for (int b = 1; b < 256; b++) {
            char value[] = {(char)a, (char)b, ' ', 'k', '=', (char)a, (char)b, '\0'};
            char line[256];
            const struct log_field fields[] = {F("one", value), F("two", "x")};
            (void)log_format(line, sizeof line, when, LOG_WARN, "e", fields,
                             2); /* measured below */
            assert_null(strpbrk(line, "\r\n"));
            assert_int_equal(pairs_in(line + strcspn(line, " ") + 1), 4);
        }
    }
}

static void a_long_value_is_cut_inside_its_quotes(void **state)
{
    (void)state;
    char wide[3000];
    (void)memset(wide, 'x', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    char line[2048];
    const struct log_field fields[] = {F("name", (const char *)wide), F("after", 1)};
    size_t length = log_format(line, sizeof line, when, LOG_INFO, "e", fields, 2);
    assert_true(length < 700);
    assert_non_null(strstr(line, "xxx...\" after=1"));
    wide[512] = '\0'; /* the longest that is not cut */
    (void)log_format(line, sizeof line, when, LOG_INFO, "e", fields, 2);
    assert_null(strstr(line, "..."));
}

static void a_line_never_passes_the_room_given(void **state)
{
    (void)state;
    const struct log_field fields[] = {F("name", "value"), F("number", 12)};
    char whole[256];
    size_t full = log_format(whole, sizeof whole, when, LOG_INFO, "e", fields, 2);
    for (size_t size = 1; size <= full + 2; size++) {
        char line[256];
        (void)memset(line, '#', sizeof line);
        size_t length = log_format(line, size, when, LOG_INFO, "e", fields, 2);
        assert_int_equal(length, MIN(full, size - 1));
        assert_memory_equal(line, whole, length);
        assert_int_equal(line[length], '\0');
        assert_int_equal(line[size], '#');
    }
}

static void levels_parse_by_name_alone(void **state)
{
    (void)state;
    enum log_level level = LOG_ERROR;
    assert_int_equal(log_parse_level("debug", &level), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_parse_level("error", &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_parse_level("Warn", &level), -EINVAL);
    assert_int_equal(log_parse_level("", &level), -EINVAL);
    assert_int_equal(level, LOG_ERROR);
}

/* What log_write puts on standard error for one line of each level. */
static size_t lines_at(enum log_level threshold)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    log_set_level(threshold);
    log_debug("d", F("k", 1));
    log_info("i", F("k", 1));
    log_warn("w", F("k", 1));
    log_error("e", F("k", 1));
    log_set_level(LOG_INFO);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    char text[1024];
    ssize_t got = read(ends[0], text, sizeof text);
    size_t lines = 0;
    for (ssize_t i = 0; i < got; i++) {
        lines += text[i] == '\n';
    }
    assert_int_equal(close(saved), 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    return lines;
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    assert_int_equal(lines_at(LOG_DEBUG), 4);
    assert_int_equal(lines_at(LOG_INFO), 3);
    assert_int_equal(lines_at(LOG_WARN), 2);
    assert_int_equal(lines_at(LOG_ERROR), 1);
}

static void a_limit_lets_so_many_lines_a_second_through(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    struct mono start = mono_now();
    unsigned allowed = 0;
    for (int i = 0; i < 1000; i++) {
        allowed += log_limit_allows(&limit, 5);
    }
    int64_t seconds = mono_since(mono_now(), start) / TIME_S + 2; /* windows it may have touched */
    assert_in_range(allowed, 5, 5 * seconds);
    assert_false(log_limit_allows(&limit, 0));
}

#define LIMIT_THREADS 4
#define LIMIT_EACH 200000

struct limit_user {
    pthread_t thread;
    struct log_limit *limit;
    unsigned allowed;
};

static void *use_limit(void *argument)
{
    struct limit_user *user = argument;
    for (int i = 0; i < LIMIT_EACH; i++) {
        user->allowed += log_limit_allows(user->limit, 3);
    }
    return NULL;
}

static void a_limit_holds_for_all_threads_together(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    struct limit_user users[LIMIT_THREADS] = {0};
    struct mono start = mono_now();
    unsigned allowed = 0;
    for (int i = 0; i < LIMIT_THREADS; i++) {
        users[i].limit = &limit;
        assert_int_equal(pthread_create(&users[i].thread, NULL, use_limit, &users[i]), 0);
    }
    for (int i = 0; i < LIMIT_THREADS; i++) {
        assert_int_equal(pthread_join(users[i].thread, NULL), 0);
        allowed += users[i].allowed;
    }
    int64_t seconds = mono_since(mono_now(), start) / TIME_S + 2;
    assert_in_range(allowed, 3, 3 * seconds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_has_its_form),
        cmocka_unit_test(text_is_escaped_where_it_could_be_misread),
        cmocka_unit_test(no_value_can_forge_a_field_or_a_line),
        cmocka_unit_test(a_long_value_is_cut_inside_its_quotes),
        cmocka_unit_test(a_line_never_passes_the_room_given),
        cmocka_unit_test(levels_parse_by_name_alone),
        cmocka_unit_test(lines_below_the_level_are_dropped),
        cmocka_unit_test(a_limit_lets_so_many_lines_a_second_through),
        cmocka_unit_test(a_limit_holds_for_all_threads_together),
    };
    return cmocka_run_group_tests_name("base log", tests, NULL, NULL);
}
