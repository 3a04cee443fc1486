/* The conformance suite: everything store.h promises, as tests that know no backend. A backend's
 * test program gives a factory and calls store_conformance_run from main. */
#ifndef STORE_CONFORMANCE_H
#define STORE_CONFORMANCE_H

#include "store/store.h"

struct store_factory {
    const char *name; /* "memory", "sqlite", "etcd" */
    void *context;
    /* An empty store, for one test. */
    int (*open)(void *context, struct store **ret_store, struct err *err);
    /* Closes it and removes what it left. */
    void (*close)(void *context, struct store *take_store);
};

/* Runs every test; the number of those that failed. */
int store_conformance_run(const struct store_factory *factory) MUST_CHECK;

#endif
