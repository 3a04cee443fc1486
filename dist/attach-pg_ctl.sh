#!/bin/sh
# Commands of an attachment (docs/databases.md, "Servers that somebody else runs") for a PostgreSQL server
# that pg_ctl starts and stops on the agent's own machine, as the agent's user:
#
#     status = /usr/local/lib/leeward/attach-pg_ctl.sh /srv/orders/data
#
# and the same for start, stop, follow, rewind, rebuild, and fence. Where something else starts and stops
# the server (systemd, a container), change those three. PATH has PostgreSQL's programs.
set -eu
data=$1
cd "$data" || exit 3 # what cannot be looked at is not known to be down
cd /
log=${2:-$data/../server.log}
CONFIG="postgresql.conf pg_hba.conf pg_ident.conf"

# A process of it works in its folder, also when the postmaster is gone.
processes() {
    find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$(readlink -f "$data")" 2>/dev/null | cut -d/ -f3 || true
}

# What comes from another server must not bring its configuration along.
keep() { mkdir -p "$data.kept"; for file in $CONFIG; do cp -p "$data/$file" "$data.kept/$file" 2>/dev/null || true; done; }
put_back() { for file in $CONFIG; do cp -p "$data.kept/$file" "$data/$file" 2>/dev/null || true; done; }

# Starts in recovery, and follows the primary of the environment; nobody, where it is empty.
follow() {
    touch "$data/standby.signal" "$data/postgresql.auto.conf"
    sed -i -e '/^primary_conninfo/d' -e '/^primary_slot_name/d' "$data/postgresql.auto.conf"
    {
        printf "primary_conninfo = '%s'\n" "$(printf %s "$LEEWARD_PRIMARY_CONNINFO" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")"
        printf "primary_slot_name = '%s'\n" "$LEEWARD_PRIMARY_SLOT"
    } >> "$data/postgresql.auto.conf"
}

case $LEEWARD_VERB in
status)
    [ -z "$(processes)" ] || exit 1
    [ -f "$data/PG_VERSION" ] || exit 0
    pg_controldata "$data"
    [ ! -f "$data/standby.signal" ] || echo "standby.signal: present"
    ;;
start)
    [ "$LEEWARD_ROLE" = reader ] || rm -f "$data/standby.signal"
    pg_ctl start -W -D "$data" -l "$log"
    ;;
stop)
    [ -n "$(processes)" ] || exit 0
    pg_ctl stop -w -t 3600 -D "$data" -m "$LEEWARD_STOP"
    ;;
follow)
    follow
    ;;
rewind)
    keep
    psql -XqAt -d "$LEEWARD_PRIMARY_CONNINFO" -c checkpoint # or pg_rewind takes a new primary for the old one
    pg_rewind --target-pgdata="$data" --source-server="$LEEWARD_PRIMARY_CONNINFO" 2>&1 || exit 2
    put_back
    follow
    ;;
rebuild)
    keep
    find "$data" -mindepth 1 -delete
    pg_basebackup -D "$data" -d "$LEEWARD_PRIMARY_CONNINFO" -S "$LEEWARD_PRIMARY_SLOT" -X stream -c fast
    put_back
    follow
    ;;
fence)
    # Here, where the same user's server is at hand. Another machine is switched off, and stays so.
    for process in $(processes); do kill -KILL "$process" 2>/dev/null || true; done
    sleep 0.2
    [ -z "$(processes)" ]
    ;;
*)
    echo "attach-pg_ctl.sh: there is no command $LEEWARD_VERB" >&2
    exit 64
    ;;
esac
