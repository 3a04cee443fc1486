/* leeward: the command line. Everything is in cli_run; see cli.h. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    struct cli_world world = cli_real_world();
    return (int)cli_run(&world, argc, (const char *const *)argv);
}
