/* A server of pages, asked over loopback by a client that sends what it likes. See page.h. */
#include "page/page.h"

#include "base/descriptor.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER 16384U
#define LIMIT 4096U

struct fixture {
    struct page_server *server;
    unsigned asked;
    char answer[ANSWER];
};

static struct fixture fixture;

static void answer(void *context, const struct page_request *request, struct page *page)
{
    struct fixture *asked = context;
    asked->asked++;
    if (text_equal(request->path, "/here")) {
        page->type = "text/markdown";
        buf_printf(&page->text, "at %s\n", request->local);
    } else if (text_equal(request->path, "/large")) {
        for (size_t i = 0; i <= LIMIT; i++) {
            buf_putc(&page->text, 'x');
        }
    } else if (!text_equal(request->path, "/empty")) {
        page->status = PAGE_NOT_FOUND;
        buf_puts(&page->text, "it is /here\n");
    }
}

static const struct page_settings settings = {.name = "a test",
                                              .methods = "GET, HEAD, OPTIONS",
                                              .connections = 8,
                                              .connections_per_source = 8,
                                              .idle_s = 600,
                                              .memory = 8192,
                                              .limit = LIMIT,
                                              .answer = answer};

static struct sockaddr_storage loopback(void)
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int set_up(void **state)
{
    const struct sockaddr_storage address = loopback();
    struct err err = ERR_INIT;
    (void)state;
    fixture.asked = 0;
    assert_int_equal(page_open(&address, &settings, &fixture.server, &err), 0);
    assert_int_equal(page_run(fixture.server, &fixture, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    page_stop(fixture.server);
    return 0;
}

/* The whole answer, until the server closes. */
static const char *ask(const char *request)
{
    const struct sockaddr_storage *address = page_address(fixture.server);
    int fd CLEANUP(descriptor_close) = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t length = 0;
    ssize_t got = 1;
    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof(struct sockaddr_in)), 0);
    assert_int_equal(descriptor_write_all(fd, request, strlen(request)), 0);
    while (got > 0 && length < ANSWER - 1) {
        got = read(fd, fixture.answer + length, ANSWER - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    fixture.answer[length] = '\0';
    return fixture.answer;
}

static void assert_has(const char *answered, const char *part)
{
    if (strstr(answered, part) == NULL) {
        fail_msg("%s is not in: %s", part, answered);
    }
}

static void a_page_is_what_its_owner_says(void **state)
{
    (void)state;
    const char *answered = ask("GET /here HTTP/1.0\r\n\r\n");
    assert_has(answered, " 200 ");
    assert_has(answered, "Content-Type: text/markdown\r\n");
    assert_has(answered, "\r\n\r\nat 127.0.0.1\n");
    assert_has(ask("GET /there HTTP/1.0\r\n\r\n"), " 404 ");
    assert_has(fixture.answer, "\r\n\r\nit is /here\n");
    assert_has(ask("OPTIONS /empty HTTP/1.0\r\n\r\n"), " 200 ");
    assert_has(fixture.answer, "Content-Length: 0\r\n");
    assert_has(ask("HEAD /here HTTP/1.0\r\n\r\n"), "Content-Length: 13\r\n");
    assert_null(strstr(fixture.answer, "at 127"));
    assert_int_equal(fixture.asked, 4);
}

static void other_methods_are_refused_with_those_that_are_not(void **state)
{
    static const char *const methods[] = {"POST", "DELETE", "GE", "HEAD,", "get"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        char request[64];
        (void)snprintf(request, sizeof request, "%s /here HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
                       methods[i]); /* it fits */
        assert_has(ask(request), " 405 ");
        assert_has(fixture.answer, "Allow: GET, HEAD, OPTIONS\r\n");
    }
    assert_int_equal(fixture.asked, 0);
}

static void a_page_that_is_too_large_is_not_sent_by_half(void **state)
{
    (void)state;
    assert_has(ask("GET /large HTTP/1.0\r\n\r\n"), " 503 ");
    assert_has(fixture.answer, "\r\n\r\nthe page is too large\n");
}

static void who_cannot_listen_says_for_what(void **state)
{
    struct page_server *second = NULL;
    struct err err = ERR_INIT;
    (void)state;
    struct sockaddr_storage strange = loopback();
    strange.ss_family = AF_INET;
    ((struct sockaddr_in *)&strange)->sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1: nobody's */
    assert_int_equal(page_open(&strange, &settings, &second, &err), -EADDRNOTAVAIL);
    assert_has(err.message, "listening for a test");
    assert_null(second);
    page_stop(NULL);
}

static void one_that_never_ran_is_stopped(void **state)
{
    const struct sockaddr_storage address = loopback();
    struct page_server *second = NULL;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(page_open(&address, &settings, &second, &err), 0);
    page_stop(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_page_is_what_its_owner_says),
        TEST(other_methods_are_refused_with_those_that_are_not),
        TEST(a_page_that_is_too_large_is_not_sent_by_half),
        TEST(who_cannot_listen_says_for_what),
        TEST(one_that_never_ran_is_stopped),
    };
    return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
