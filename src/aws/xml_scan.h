/* A first look over an XML body, before libxml2 sees it: one linear pass that bounds what hostile
 * documents make expensive. Pure; any thread. */
#ifndef AWS_XML_SCAN_H
#define AWS_XML_SCAN_H

#include "base/macro.h"

#include <stddef.h>

/* 0 when the body nests no deeper than CODEC_DEPTH_LIMIT, has at most CODEC_VALUE_LIMIT elements
 * and CODEC_ATTRIBUTE_LIMIT attributes an element, and no document type. Otherwise -EINVAL and
 * *ret_reason a constant sentence. Whether it is well formed is for the parser to say. */
int xml_scan(const char *body, size_t size, const char **ret_reason) MUST_CHECK;

#endif
