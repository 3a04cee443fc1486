/* Tests of bytes.h. */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void numbers_are_big_endian_both_ways(void **state)
{
    (void)state;
    uint8_t data[7];
    struct bytes_writer writer = bytes_writer(data, sizeof data);
    bytes_put_u8(&writer, 0xff);
    bytes_put_u16(&writer, 0x8001);
    bytes_put_u32(&writer, 0xfedcba98U);
    assert_false(writer.failed);
    assert_memory_equal(data, "\xff\x80\x01\xfe\xdc\xba\x98", 7);
    struct bytes_reader reader = bytes_reader(data, sizeof data);
    assert_int_equal(bytes_get_u8(&reader), 0xff);
    assert_int_equal(bytes_get_u16(&reader), 0x8001);
    assert_int_equal(bytes_get_u32(&reader), 0xfedcba98U);
    assert_int_equal(bytes_left(&reader), 0);
    assert_false(reader.failed);
}

static void a_read_past_the_end_gives_zero_and_stays_failed(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3};
    struct bytes_reader reader = bytes_reader(data, sizeof data);
    assert_int_equal(bytes_get_u16(&reader), 0x0102);
    assert_int_equal(bytes_get_u16(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(bytes_get_u8(&reader), 0); /* there is one, but it failed before */
    assert_null(bytes_get(&reader, 0));
    assert_int_equal(bytes_left(&reader), 1);
    reader = bytes_reader(data, sizeof data);
    assert_null(bytes_get(&reader, SIZE_MAX));
    assert_true(reader.failed);
    reader = bytes_reader(data, 3);
    assert_int_equal(bytes_get_u32(&reader), 0);
    assert_true(reader.failed);
}

static void bytes_are_borrowed_from_the_input(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3};
    struct bytes_reader reader = bytes_reader(data, sizeof data);
    assert_ptr_equal(bytes_get(&reader, 2), data);
    assert_ptr_equal(bytes_get(&reader, 0), data + 2);
    assert_ptr_equal(bytes_get(&reader, 1), data + 2);
    assert_false(reader.failed);
}

static void a_write_past_the_end_writes_nothing_and_stays_failed(void **state)
{
    (void)state;
    uint8_t data[4] = {0xee, 0xee, 0xee, 0xee};
    struct bytes_writer writer = bytes_writer(data, 3);
    bytes_put_u16(&writer, 0x0102);
    bytes_put_u32(&writer, 0);
    assert_true(writer.failed);
    bytes_put_u8(&writer, 7);
    bytes_put(&writer, "x", 1);
    bytes_patch_u16(&writer, 0, 7);
    assert_null(bytes_put_room(&writer, 0));
    assert_memory_equal(data, "\x01\x02\xee\xee", 4);
    assert_int_equal(writer.at, 2);
}

static void patch_reaches_only_what_was_written(void **state)
{
    (void)state;
    uint8_t data[8] = {0};
    struct bytes_writer writer = bytes_writer(data, sizeof data);
    bytes_put_u16(&writer, 0);
    bytes_put(&writer, "abc", 3);
    bytes_put(&writer, NULL, 0);
    bytes_patch_u16(&writer, 0, 3);
    assert_false(writer.failed);
    assert_memory_equal(data, "\0\3abc", 5);
    bytes_patch_u16(&writer, 3, 0x7a7a);
    assert_false(writer.failed);
    bytes_patch_u16(&writer, 4, 0xffff);
    assert_true(writer.failed);
    assert_memory_equal(data, "\0\3azz\0\0\0", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian_both_ways),
        cmocka_unit_test(a_read_past_the_end_gives_zero_and_stays_failed),
        cmocka_unit_test(bytes_are_borrowed_from_the_input),
        cmocka_unit_test(a_write_past_the_end_writes_nothing_and_stays_failed),
        cmocka_unit_test(patch_reaches_only_what_was_written),
    };
    return cmocka_run_group_tests_name("base bytes", tests, NULL, NULL);
}
