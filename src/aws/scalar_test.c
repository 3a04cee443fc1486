/* Unit tests of scalars on the wire. */
#include "aws/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int read_as(enum codec_type type, const char *text, json_t **ret_value)
{
    struct codec_shape shape = {.name = "Test", .type = (uint8_t)type};
    return codec_scalar_read(&shape, text, strlen(text), ret_value);
}

static void timestamps_of_every_format_become_iso_8601(void **state)
{
    (void)state;
    static const struct {
        const char *wire;
        const char *tree;
    } vectors[] = {
        {"2026-11-21T09:48:44Z", "2026-11-21T09:48:44Z"},
        {" 2026-11-21T09:48:44.120Z\n", "2026-11-21T09:48:44.120Z"},
        {"Sat, 21 Nov 2026 09:48:44 GMT", "2026-11-21T09:48:44Z"},
        {"1795254524", "2026-11-21T09:48:44Z"},
        {"1795254524.5", "2026-11-21T09:48:44.500Z"},
        {"-1", "1969-12-31T23:59:59Z"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        json_t *value = NULL;
        assert_int_equal(read_as(CODEC_TIMESTAMP, vectors[i].wire, &value), 0);
        assert_string_equal(json_string_value(value), vectors[i].tree);
        json_decref(value);
    }
}

static void what_is_no_value_of_its_type_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum codec_type type;
        const char *wire;
    } vectors[] = {
        {CODEC_INTEGER, ""},
        {CODEC_INTEGER, "1.5"},
        {CODEC_INTEGER, "2147483648"},
        {CODEC_LONG, "9223372036854775808"},
        {CODEC_LONG, "0x10"},
        {CODEC_DOUBLE, "nan"},
        {CODEC_DOUBLE, "1e999"},
        {CODEC_BOOLEAN, "yes"},
        {CODEC_TIMESTAMP, "yesterday"},
        {CODEC_TIMESTAMP, "2026-02-30T00:00:00Z"},
        {CODEC_TIMESTAMP, "1e300"},
        {CODEC_TIMESTAMP, "Sat, 21 Xxx 2026 09:48:44 GMT"},
        {CODEC_BLOB, "a"},
        {CODEC_STRING, "\xff"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        json_t *value = NULL;
        assert_int_equal(read_as(vectors[i].type, vectors[i].wire, &value), -EINVAL);
        assert_null(value);
    }
}

static void write_as(enum codec_type type, enum codec_time time, json_t *take_value,
                     const char *wire)
{
    struct codec_shape shape = {.name = "Test", .type = (uint8_t)type};
    struct codec_member member = {.name = "Test", .shape = &shape};
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(codec_scalar_write(&member, time, take_value, &out), 0);
    assert_string_equal(buf_text(&out), wire);
    buf_done(&out);
    json_decref(take_value);
}

static void numbers_are_written_so_that_they_read_back(void **state)
{
    (void)state;
    write_as(CODEC_DOUBLE, CODEC_TIME_DEFAULT, json_real(0.1), "0.1");
    write_as(CODEC_DOUBLE, CODEC_TIME_DEFAULT, json_real(1.0 / 3.0), "0.3333333333333333");
    write_as(CODEC_LONG, CODEC_TIME_DEFAULT, json_integer(INT64_MIN), "-9223372036854775808");
    write_as(CODEC_BOOLEAN, CODEC_TIME_DEFAULT, json_false(), "false");
}

static void timestamps_are_written_as_the_wire_wants_them(void **state)
{
    (void)state;
    write_as(CODEC_TIMESTAMP, CODEC_TIME_ISO8601, json_string("2026-11-21T09:48:44.120Z"),
             "2026-11-21T09:48:44.120Z");
    write_as(CODEC_TIMESTAMP, CODEC_TIME_UNIX, json_string("2026-11-21T09:48:44.120Z"),
             "1795254524.120");
    write_as(CODEC_TIMESTAMP, CODEC_TIME_UNIX, json_string("1969-12-31T23:59:58.500Z"), "-2.500");
    write_as(CODEC_TIMESTAMP, CODEC_TIME_RFC822, json_string("2026-11-21T09:48:44Z"),
             "Sat, 21 Nov 2026 09:48:44 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamps_of_every_format_become_iso_8601),
        cmocka_unit_test(what_is_no_value_of_its_type_is_refused),
        cmocka_unit_test(numbers_are_written_so_that_they_read_back),
        cmocka_unit_test(timestamps_are_written_as_the_wire_wants_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
