/* The table of commands: every noun, verb, argument, option and line of help; see cli.h. Read by
 * the parser, the help and the dispatch. A new command is a row here and a function in its noun's
 * file. */
#include "cli/cli.h"

#define JSON_OPTION                                                                                \
    {                                                                                              \
        .name = "json", .help = "print the answer as JSON, for programs"                           \
    }

static const char *const roles[] = {"viewer", "operator", "admin", NULL};

/* Those that Route 53 has, and Leeward answers (RecordType of the service's model). */
static const char *const record_types[] = {"SOA",   "A",    "TXT",   "NS",   "CNAME", "MX",
                                           "NAPTR", "PTR",  "SRV",   "SPF",  "AAAA",  "CAA",
                                           "DS",    "TLSA", "SSHFP", "SVCB", "HTTPS", NULL};

const struct cli_command cli_commands[] = {
    {.noun = "status",
     .summary = "zones, health checks with each checker's view, and which records are served now",
     .options = {JSON_OPTION},
     .run = cli_status},
    {.noun = "dig",
     .summary = "what is answered for a name, and why: policy, candidates, their health",
     .arguments = {{"NAME", "the name, such as www.example.com"},
                   {"TYPE", "the record type, such as A, AAAA, MX or TXT", record_types}},
     .options = {{"client", "ADDR[/PREFIX]",
                  "explain the answer to this client, for the policies that look at it"},
                 JSON_OPTION},
     .run = cli_dig},
    {.noun = "key",
     .verb = "create",
     .summary = "make an access key; its secret is shown once",
     .options = {{"role", "ROLE",
                  "viewer (default: may look), operator (may also fail over) or admin", roles},
                 {"comment", "TEXT", "what the key is for"},
                 JSON_OPTION},
     .run = cli_key_create},
    {.noun = "key",
     .verb = "list",
     .summary = "the access keys, without their secrets",
     .options = {JSON_OPTION},
     .run = cli_key_list},
    {.noun = "key",
     .verb = "delete",
     .summary = "delete an access key; the last admin key stays",
     .arguments = {{"ID", "the access key's id, as `leeward key list` shows it"}},
     .run = cli_key_delete},
    {.noun = "tsig",
     .verb = "create",
     .summary = "make a TSIG key for secondary name servers; its secret is shown once",
     .arguments = {{"NAME", "the key's name, a domain name such as secondary.example.com"}},
     .options = {{"algorithm", "ALGORITHM", "hmac-sha256 (default), hmac-sha384 or hmac-sha512"},
                 {"secret", "BASE64", "a secret that exists already, instead of a new one"},
                 JSON_OPTION},
     .run = cli_tsig_create},
    {.noun = "tsig",
     .verb = "list",
     .summary = "the TSIG keys, without their secrets",
     .options = {JSON_OPTION},
     .run = cli_tsig_list},
    {.noun = "tsig",
     .verb = "delete",
     .summary = "delete a TSIG key: what is signed with it is refused from then on",
     .arguments = {{"NAME", "the key's name, as `leeward tsig list` shows it"}},
     .run = cli_tsig_delete},
    {.noun = "check",
     .verb = "reset",
     .summary = "let a latched health check follow its results again",
     .arguments = {{"ID", "the health check's id, as `leeward status` shows it"}},
     .run = cli_check_reset},
    {.noun = "controls",
     .summary = "routing controls and their states, and the safety rules in words",
     .options = {JSON_OPTION},
     .run = cli_controls},
    {.noun = "arc",
     .verb = "explain",
     .summary = "what a change of routing controls would do, before it is made",
     .arguments = {{"CHANGES", "what is wanted, such as east=Off,west=On: names or ARNs of routing "
                               "controls (PANEL/NAME where a name is not enough)"}},
     .options = {{"override", "RULES", "safety rules to override: names or ARNs, with commas"},
                 JSON_OPTION},
     .run = cli_arc_explain},
    {.noun = "zone",
     .verb = "import",
     .summary = "put the records of a zone file into a hosted zone",
     .arguments = {{"FILE", "the zone file; - reads it from standard input"},
                   {"ZONE", "the zone's name, such as example.com (it is made when it is not "
                            "there), or its id"}},
     .options = {{"dry-run", NULL, "read the file, say what would be written, write nothing"},
                 {"skip-unsupported", NULL, "leave out records of types that Route 53 lacks"},
                 JSON_OPTION},
     .run = cli_zone_import},
};
const size_t cli_command_count = ARRAY_SIZE(cli_commands);

const struct cli_option cli_common_options[] = {
    {"endpoint", "URL", "where leewardd's API is (LEEWARD_ENDPOINT, http://127.0.0.1:4566)"},
    {"region", "NAME", "the region to ask for (LEEWARD_REGION, AWS_DEFAULT_REGION, us-east-1)"},
    {"ca-file", "FILE", "certificates to trust for https (AWS_CA_BUNDLE, the system's)"},
    {"help", NULL, "show this help"},
    {NULL, NULL, NULL},
};
