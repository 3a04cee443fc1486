/* Regions and their coordinates: see location.h. AWS names the city or area of each region and
 * Local Zone group, not its position: these are the cities'. Read when records are compiled and
 * validated, on any thread; constant. Invariant: sorted by name. */
#include "base/text.h"
#include "model/location.h"

#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT 64U

static const struct model_region aws_regions[] = {
    {"af-south-1", -33.92F, 18.42F},
    {"af-south-1-los-1", 6.52F, 3.38F},
    {"ap-east-1", 22.32F, 114.17F},
    {"ap-east-2", 25.03F, 121.57F},
    {"ap-northeast-1", 35.68F, 139.69F},
    {"ap-northeast-1-tpe-1", 25.03F, 121.57F},
    {"ap-northeast-2", 37.57F, 126.98F},
    {"ap-northeast-3", 34.69F, 135.50F},
    {"ap-south-1", 19.08F, 72.88F},
    {"ap-south-1-ccu-1", 22.57F, 88.36F},
    {"ap-south-1-del-1", 28.61F, 77.21F},
    {"ap-south-2", 17.39F, 78.49F},
    {"ap-southeast-1", 1.35F, 103.82F},
    {"ap-southeast-1-bkk-1", 13.76F, 100.50F},
    {"ap-southeast-1-mnl-1", 14.60F, 120.98F},
    {"ap-southeast-2", -33.87F, 151.21F},
    {"ap-southeast-2-akl-1", -36.85F, 174.76F},
    {"ap-southeast-2-per-1", -31.95F, 115.86F},
    {"ap-southeast-3", -6.21F, 106.85F},
    {"ap-southeast-4", -37.81F, 144.96F},
    {"ap-southeast-5", 3.14F, 101.69F},
    {"ap-southeast-6", -36.85F, 174.76F},
    {"ap-southeast-7", 13.76F, 100.50F},
    {"ca-central-1", 45.50F, -73.57F},
    {"ca-west-1", 51.05F, -114.07F},
    {"cn-north-1", 39.90F, 116.41F},
    {"cn-northwest-1", 37.51F, 105.20F},
    {"eu-central-1", 50.11F, 8.68F},
    {"eu-central-1-ham-1", 53.55F, 9.99F},
    {"eu-central-1-waw-1", 52.23F, 21.01F},
    {"eu-central-2", 47.38F, 8.54F},
    {"eu-north-1", 59.33F, 18.07F},
    {"eu-north-1-cph-1", 55.68F, 12.57F},
    {"eu-north-1-hel-1", 60.17F, 24.94F},
    {"eu-south-1", 45.46F, 9.19F},
    {"eu-south-2", 41.65F, -0.89F},
    {"eu-west-1", 53.35F, -6.26F},
    {"eu-west-2", 51.51F, -0.13F},
    {"eu-west-3", 48.86F, 2.35F},
    {"il-central-1", 32.09F, 34.78F},
    {"me-central-1", 24.45F, 54.38F},
    {"me-south-1", 26.07F, 50.56F},
    {"me-south-1-mct-1", 23.59F, 58.41F},
    {"mx-central-1", 20.59F, -100.39F},
    {"sa-east-1", -23.55F, -46.63F},
    {"us-east-1", 38.95F, -77.45F},
    {"us-east-1-atl-1", 33.75F, -84.39F},
    {"us-east-1-atl-2", 33.75F, -84.39F},
    {"us-east-1-bos-1", 42.36F, -71.06F},
    {"us-east-1-bue-1", -34.60F, -58.38F},
    {"us-east-1-chi-1", 41.88F, -87.63F},
    {"us-east-1-chi-2", 41.88F, -87.63F},
    {"us-east-1-dfw-1", 32.78F, -96.80F},
    {"us-east-1-dfw-2", 32.78F, -96.80F},
    {"us-east-1-iah-1", 29.76F, -95.37F},
    {"us-east-1-iah-2", 29.76F, -95.37F},
    {"us-east-1-lim-1", -12.05F, -77.04F},
    {"us-east-1-mci-1", 39.10F, -94.58F},
    {"us-east-1-mia-1", 25.76F, -80.19F},
    {"us-east-1-mia-2", 25.76F, -80.19F},
    {"us-east-1-msp-1", 44.98F, -93.27F},
    {"us-east-1-nyc-1", 40.71F, -74.01F},
    {"us-east-1-nyc-2", 40.71F, -74.01F},
    {"us-east-1-phl-1", 39.95F, -75.17F},
    {"us-east-1-qro-1", 20.59F, -100.39F},
    {"us-east-1-scl-1", -33.45F, -70.67F},
    {"us-east-2", 39.96F, -83.00F},
    {"us-gov-east-1", 39.96F, -83.00F},
    {"us-gov-west-1", 45.52F, -122.68F},
    {"us-west-1", 37.77F, -122.42F},
    {"us-west-2", 45.84F, -119.70F},
    {"us-west-2-den-1", 39.74F, -104.99F},
    {"us-west-2-hnl-1", 21.31F, -157.86F},
    {"us-west-2-las-1", 36.17F, -115.14F},
    {"us-west-2-lax-1", 34.05F, -118.24F},
    {"us-west-2-pdx-1", 45.52F, -122.68F},
    {"us-west-2-phx-1", 33.45F, -112.07F},
    {"us-west-2-phx-2", 33.45F, -112.07F},
    {"us-west-2-sea-1", 47.61F, -122.33F},
};

static int compare_region(const void *name, const void *region)
{
    return strcmp(name, ((const struct model_region *)region)->name);
}

const struct model_region *model_region_find(const struct model_region *own, size_t count,
                                             const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(own[i].name, name)) {
            return &own[i];
        }
    }
    return bsearch(name, aws_regions, ARRAY_SIZE(aws_regions), sizeof aws_regions[0],
                   compare_region);
}

int model_region_parse(const char *text, struct arena *arena, struct model_region *ret_region,
                       struct err *err)
{
    const char *equals = strchr(text, '=');
    const char *comma = equals != NULL ? strchr(equals, ',') : NULL;
    double latitude = 0;
    double longitude = 0;
    if (comma == NULL || equals == text || (size_t)(equals - text) > NAME_LIMIT ||
        text_to_double(arena_memdup(arena, equals + 1, (size_t)(comma - equals) - 1), &latitude) !=
            0 ||
        text_to_double(comma + 1 + strspn(comma + 1, " "), &longitude) != 0 ||
        !(latitude >= -90 && latitude <= 90) || !(longitude >= -180 && longitude <= 180)) {
        return err_set(err, ERR_INVALID,
                       "'%.80s' is no region with coordinates such as site-a=52.37,4.90", text);
    }
    *ret_region = (struct model_region){.name = arena_memdup(arena, text, (size_t)(equals - text)),
                                        .latitude = (float)latitude,
                                        .longitude = (float)longitude};
    return 0;
}
