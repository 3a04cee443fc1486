/* ListGeoLocations and GetGeoLocation: what geolocation records may name (model/location.h). Called
 * as handlers on API threads; constant. Invariant: pages follow AWS's order: the default, countries
 * with their subdivisions, continents. */
#include "base/text.h"
#include "model/location.h"
#include "service/route53/handlers.h"
#include "service/route53/support.h"

#include <string.h>

static const char *or_none(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static json_t *show(const struct model_geo_location *location)
{
    if (location->continent[0] != '\0') {
        return json_pack("{s:s, s:s}", "ContinentCode", location->continent, "ContinentName",
                         location->name);
    }
    bool part = location->subdivision[0] != '\0';
    const struct model_geo_location *country =
        part ? model_geo_location_find("", location->country, "") : location;
    return json_pack("{s:s, s:s, s:s*, s:s*}", "CountryCode", location->country, "CountryName",
                     country->name, "SubdivisionCode", or_none(location->subdivision),
                     "SubdivisionName", part ? location->name : NULL);
}

int route53_get_geo_location(struct aws_call *call, const json_t *in, json_t **ret_out,
                             struct err *err)
{
    const char *continent = route53_text(in, "ContinentCode");
    const char *country = route53_text(in, "CountryCode");
    const char *subdivision = route53_text(in, "SubdivisionCode");
    if (continent[0] != '\0' && (country[0] != '\0' || subdivision[0] != '\0')) {
        return aws_error(call, err, "InvalidInput",
                         "ContinentCode cannot be specified together with CountryCode or "
                         "SubdivisionCode");
    }
    if (subdivision[0] != '\0' && country[0] == '\0') {
        return aws_error(call, err, "InvalidInput",
                         "SubdivisionCode cannot be specified without CountryCode");
    }
    if (continent[0] == '\0' && country[0] == '\0') {
        country = "*";
    }
    const struct model_geo_location *location =
        model_geo_location_find(continent, country, subdivision);
    if (location == NULL) {
        return aws_error(call, err, "NoSuchGeoLocation",
                         "The geolocation [ContinentCode=%.8s, CountryCode=%.8s, "
                         "SubdivisionCode=%.8s] is not supported",
                         continent, country, subdivision);
    }
    return route53_answer(json_pack("{s:o}", "GeoLocationDetails", show(location)), ret_out, err);
}

/* Where the list starts: at the named location, or where it would be. */
static size_t find_start(const struct model_geo_location *locations, size_t count, const json_t *in)
{
    const char *continent = route53_text(in, "StartContinentCode");
    const char *country = route53_text(in, "StartCountryCode");
    const char *subdivision = route53_text(in, "StartSubdivisionCode");
    if (continent[0] == '\0' && country[0] == '\0') {
        return 0;
    }
    size_t at = 0;
    while (at < count) {
        const struct model_geo_location *here = &locations[at];
        int order = 0;
        if (continent[0] != '\0') {
            order = here->continent[0] != '\0' ? strcmp(here->continent, continent) : -1;
        } else {
            order = here->continent[0] != '\0' ? 1 : strcmp(here->country, country);
            order = order != 0 ? order : strcmp(here->subdivision, subdivision);
        }
        if (order >= 0) {
            break;
        }
        at++;
    }
    return at;
}

int route53_list_geo_locations(struct aws_call *call, const json_t *in, json_t **ret_out,
                               struct err *err)
{
    size_t count = 0;
    size_t size = 0;
    const struct model_geo_location *locations = model_geo_locations(&count);
    if (route53_text(in, "StartSubdivisionCode")[0] != '\0' &&
        route53_text(in, "StartCountryCode")[0] == '\0') {
        return aws_error(call, err, "InvalidInput",
                         "StartSubdivisionCode cannot be specified without StartCountryCode");
    }
    int rc = route53_page_size(call, in, ROUTE53_PAGE_LIMIT, &size, err);
    if (rc != 0) {
        return rc;
    }
    json_t *list = route53_keep(call, json_array());
    size_t at = find_start(locations, count, in);
    for (; at < count && json_array_size(list) < size; at++) {
        if (json_array_append_new(list, show(&locations[at])) != 0) {
            return err_set(err, ERR_MEMORY, "listing geolocations");
        }
    }
    const struct model_geo_location none = {"", "", "", ""};
    const struct model_geo_location *next = at < count ? &locations[at] : &none;
    return route53_answer(
        json_pack("{s:O, s:b, s:s*, s:s*, s:s*, s:o}", "GeoLocationDetailsList", list,
                  "IsTruncated", at < count, "NextContinentCode", or_none(next->continent),
                  "NextCountryCode", or_none(next->country), "NextSubdivisionCode",
                  or_none(next->subdivision), "MaxItems", json_sprintf("%zu", size)),
        ret_out, err);
}
