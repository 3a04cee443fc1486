/* Windows for backups and for maintenance: see kept.h. Called by handlers on API threads. Pure but
 * for the trees that it is given. Nothing is done at these times; they are judged and shown as on
 * AWS, so that what was written for it is told of its mistakes. Invariant: windows of one resource
 * that were judged together do not overlap. */
#include "base/text.h"
#include "service/common/tree.h"
#include "service/rds/kept.h"

#include <string.h>

#define DAY 1440 /* minutes */
#define WEEK (7 * DAY)
#define LEAST 30
#define BACKUP "PreferredBackupWindow"
#define MAINTENANCE "PreferredMaintenanceWindow"

/* Within a day or a week; it may go past the end and on at the beginning. */
struct window {
    int start;
    int length;
};

/* "hh:mi" in minutes, or -1. */
static int read_time(const char *text)
{
    bool digits = text_is_digit(text[0]) && text_is_digit(text[1]) && text[2] == ':' &&
                  text_is_digit(text[3]) && text_is_digit(text[4]);
    int hours = digits ? (text[0] - '0') * 10 + text[1] - '0' : DAY;
    int minutes = digits ? (text[3] - '0') * 10 + text[4] - '0' : 0;
    return hours < 24 && minutes < 60 ? hours * 60 + minutes : -1;
}

/* "ddd:hh:mi" in minutes since the week's beginning, or -1. */
static int read_day_and_time(const char *text)
{
    static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    for (int i = 0; i < (int)ARRAY_SIZE(days); i++) {
        bool same = text_lower(text[0]) == days[i][0] && text_lower(text[1]) == days[i][1] &&
                    text_lower(text[2]) == days[i][2] && text[3] == ':';
        int time = same ? read_time(text + 4) : -1;
        if (time >= 0) {
            return i * DAY + time;
        }
    }
    return -1;
}

/* Both ends have `length` characters, with a hyphen in between. */
static bool read_window(const char *text, size_t length, int cycle, int (*read)(const char *),
                        struct window *ret_window)
{
    if (strlen(text) != 2 * length + 1 || text[length] != '-') {
        return false;
    }
    int start = read(text);
    int end = read(text + length + 1);
    if (start < 0 || end < 0) {
        return false;
    }
    *ret_window = (struct window){.start = start, .length = (end - start + cycle) % cycle};
    return true;
}

static bool read_backup(const char *text, struct window *ret_window)
{
    return read_window(text, strlen("hh:mi"), DAY, read_time, ret_window);
}

static bool read_maintenance(const char *text, struct window *ret_window)
{
    return read_window(text, strlen("ddd:hh:mi"), WEEK, read_day_and_time, ret_window);
}

static int judge_length(struct aws_call *call, const char *member, const struct window *window,
                        struct err *err)
{
    return window->length >= LEAST ? 0
                                   : rds_invalid(call, err,
                                                 "%s is too short: a window has %d minutes at "
                                                 "least.",
                                                 member, LEAST);
}

int rds_judge_windows(struct aws_call *call, const json_t *in, struct err *err)
{
    struct window window = {.start = 0};
    const char *backup = tree_text(in, BACKUP);
    const char *maintenance = tree_text(in, MAINTENANCE);
    int rc = 0;
    if (json_object_get(in, BACKUP) != NULL) {
        rc = read_backup(backup, &window)
                 ? judge_length(call, BACKUP, &window, err)
                 : rds_invalid(call, err,
                               "Invalid backup window format: %.64s. Should be specified as a "
                               "range hh24:mi-hh24:mi (24H Clock UTC). Example: 04:00-04:30",
                               backup);
    }
    if (rc == 0 && json_object_get(in, MAINTENANCE) != NULL) {
        rc = read_maintenance(maintenance, &window)
                 ? judge_length(call, MAINTENANCE, &window, err)
                 : rds_invalid(call, err,
                               "Invalid maintenance window format: %.64s. Should be specified as "
                               "a range ddd:hh24:mi-ddd:hh24:mi (24H Clock UTC). Example: "
                               "sun:23:45-mon:00:15",
                               maintenance);
    }
    return rc;
}

/* Whether the backup's window of any day meets the one for maintenance. */
static bool overlap(const char *backup_text, const char *maintenance_text)
{
    struct window backup = {.start = 0};
    struct window maintenance = {.start = 0};
    if (!read_backup(backup_text, &backup) || !read_maintenance(maintenance_text, &maintenance)) {
        return false; /* there is none, or one from before windows were judged */
    }
    for (int day = 0; day < WEEK; day += DAY) {
        int from = (backup.start + day - maintenance.start + WEEK) % WEEK;
        if (from < maintenance.length || (WEEK - from) % WEEK < backup.length) {
            return true;
        }
    }
    return false;
}

static void set(json_t *shown, const char *member, const char *text)
{
    (void)json_object_set_new(shown, member, json_string(text)); /* memory: writing finds it */
}

/* Of those that were not given, one at an hour at which the other is not. */
static void make_room(struct aws_call *call, const json_t *in, json_t *shown)
{
    bool moves_backup = json_object_get(in, BACKUP) == NULL;
    bool moves_maintenance = json_object_get(in, MAINTENANCE) == NULL;
    for (int hour = 0; hour < 24; hour++) {
        if (!overlap(tree_text(shown, BACKUP), tree_text(shown, MAINTENANCE))) {
            return;
        }
        if (moves_maintenance) {
            set(shown, MAINTENANCE,
                arena_printf(call->arena, "sun:%02d:00-sun:%02d:30", hour, hour));
        } else if (moves_backup) {
            set(shown, BACKUP, arena_printf(call->arena, "%02d:00-%02d:30", hour, hour));
        }
    }
}

int rds_settle_windows(struct aws_call *call, const json_t *in, bool created, json_t *shown,
                       struct err *err)
{
    const char *maintenance = tree_text(in, MAINTENANCE);
    bool given = json_object_get(in, BACKUP) != NULL || maintenance[0] != '\0';
    if (maintenance[0] != '\0') {
        set(shown, MAINTENANCE, rds_lower(call, maintenance));
    }
    if (created) {
        make_room(call, in, shown);
    }
    return given && overlap(tree_text(shown, BACKUP), tree_text(shown, MAINTENANCE))
               ? rds_invalid(call, err,
                             "The backup window and maintenance window must not overlap.")
               : 0;
}
