/* Fuzz target: XML bodies of hostile clients. The first byte chooses the operation, the rest is
 * the body. Property: every body is decoded, or refused with a code and a message. */
#include "aws/test/fuzz.h"

static const struct fuzz_operation operations[] = {
    {"route53", "ChangeResourceRecordSets"},
    {"route53", "CreateHealthCheck"},
    {"route53", "ChangeTagsForResource"},
    {"s3", "DeleteObjects"},
    {"s3", "PutBucketAcl"},
    {"cloudfront", "CreateDistribution"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct codec_route route = fuzz_route(operations, ARRAY_SIZE(operations), data[0]);
    fuzz_decode(&route, data + 1, size - 1);
    return 0;
}
