/* Tests of address.h. */
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct sockaddr_storage address_of(int family, const char *text, uint16_t port)
{
    struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
    struct sockaddr_in *four = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    if (family == AF_INET) {
        assert_int_equal(inet_pton(AF_INET, text, &four->sin_addr), 1);
        four->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        six->sin6_port = htons(port);
    }
    return address;
}

static void each_family_has_its_text(void **state)
{
    (void)state;
    static const struct {
        int family;
        const char *address;
        const char *text;
        const char *with_port;
    } rows[] = {
        {AF_INET, "192.0.2.1", "192.0.2.1", "192.0.2.1:53"},
        {AF_INET, "255.255.255.255", "255.255.255.255", "255.255.255.255:53"},
        {AF_INET6, "2001:db8::1", "2001:db8::1", "[2001:db8::1]:53"},
        {AF_INET6, "::ffff:192.0.2.1", "192.0.2.1", "[::ffff:192.0.2.1]:53"},
        {AF_INET6, "1111:2222:3333:4444:5555:6666:7777:8888",
         "1111:2222:3333:4444:5555:6666:7777:8888", "[1111:2222:3333:4444:5555:6666:7777:8888]:53"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sockaddr_storage address = address_of(rows[i].family, rows[i].address, 53);
        char text[ADDRESS_TEXT];
        char with_port[ADDRESS_PORT_TEXT];
        address_text((const struct sockaddr *)&address, text);
        address_port_text(&address, with_port);
        assert_string_equal(text, rows[i].text);
        assert_string_equal(with_port, rows[i].with_port);
    }
}

static void another_family_has_none(void **state)
{
    (void)state;
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    char text[ADDRESS_TEXT];
    char with_port[ADDRESS_PORT_TEXT];
    address_text((const struct sockaddr *)&address, text);
    address_port_text(&address, with_port);
    assert_string_equal(text, "");
    assert_string_equal(with_port, "?:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_family_has_its_text),
        cmocka_unit_test(another_family_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
