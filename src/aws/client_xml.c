/* Single texts out of XML answers, for clients of the services that speak XML: see client.h. No
 * document type is followed, no entity expanded but the predefined ones, nothing fetched. */
#include "aws/client.h"

#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

static void document_free(xmlDocPtr *document)
{
    xmlFreeDoc(*document);
}

static xmlNodePtr child_named(xmlNodePtr first, const char *name, size_t length)
{
    xmlNodePtr node = first;
    while (node != NULL) {
        const char *own = (const char *)node->name;
        if (node->type == XML_ELEMENT_NODE && strlen(own) == length &&
            memcmp(own, name, length) == 0) {
            return node;
        }
        node = node->next;
    }
    return NULL;
}

const char *aws_client_text(const struct aws_client_response *response, const char *path,
                            struct arena *arena)
{
    if (response->size == 0 || response->size > INT32_MAX) {
        return NULL;
    }
    xmlDocPtr document CLEANUP(document_free) =
        xmlReadMemory(response->body, (int)response->size, NULL, NULL,
                      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNodePtr node = document != NULL ? xmlDocGetRootElement(document) : NULL;
    const char *at = path;
    while (node != NULL) {
        size_t length = strcspn(at, "/");
        node = child_named(node, at, length);
        if (node == NULL || at[length] == '\0') {
            break;
        }
        at += length + 1;
        node = node->children;
    }
    if (node == NULL) {
        return NULL;
    }
    xmlChar *text = xmlNodeGetContent(node);
    const char *copy = text != NULL ? arena_strdup(arena, (const char *)text) : NULL;
    xmlFree(text);
    return copy;
}
