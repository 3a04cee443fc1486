/* Where sites and addresses are: the coordinates of the configuration's own regions, of this site
 * (its first region), and the location database. place_prepare runs on the main thread, before root
 * is given up; place_regions on the compiler's thread; place_locate on DNS workers and on the
 * compiler's thread, inside a read section. */
#include "daemon/daemon.h"

static int read_regions(struct daemon *daemon, struct err *err)
{
    const struct config_list *list = &daemon->config->region_coordinates;
    daemon->regions = arena_array(&daemon->arena, list->count, sizeof *daemon->regions);
    for (size_t i = 0; i < list->count; i++) {
        int rc = model_region_parse(list->items[i], &daemon->arena,
                                    &daemon->regions[daemon->region_count++], err);
        if (rc != 0) {
            return err_wrap(err, "region-coordinates");
        }
    }
    return 0;
}

void place_regions(struct zone_database *database, void *argument)
{
    const struct daemon *daemon = argument;
    zone_database_set_regions(database, daemon->regions, daemon->region_count);
}

int place_prepare(struct daemon *daemon, struct err *err)
{
    int rc = read_regions(daemon, err);
    rc = rc != 0 ? rc : locate_open(daemon->config->dns_location_database, &daemon->locate, err);
    if (rc != 0) {
        return rc;
    }
    const struct model_region *home =
        model_region_find(daemon->regions, daemon->region_count, daemon->config->regions.items[0]);
    if (home != NULL) {
        daemon->home = (struct model_place){
            .placed = true, .latitude = home->latitude, .longitude = home->longitude};
    }
    return 0;
}

void place_locate(void *context, uint8_t family, const uint8_t address[16],
                  struct model_place *ret_place)
{
    struct daemon *daemon = context;
    locate_find(daemon->locate, family, address, ret_place);
}
