/* What a master user may not do with roles, although PostgreSQL would let anybody who may create
 * roles: take the ones that read files and start programs of the machine (the server's user could
 * write the lease file then), and change Leeward's own. Called for every utility statement. */
#include "database/fence/module.h"

#include <miscadmin.h>
#include <nodes/parsenodes.h>
#include <nodes/value.h>

static const char *const guarded[] = {
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_write_server_files",
    "rdsadmin",
    "rdsrepladmin",
};

static void check_name(const char *name)
{
    for (size_t i = 0; name != NULL && i < lengthof(guarded); i++) {
        if (strcmp(name, guarded[i]) == 0) {
            ereport(ERROR,
                    (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                     errmsg("the role \"%s\" belongs to the operator of this server", name)));
        }
    }
}

static void check_role(const RoleSpec *role)
{
    if (role != NULL && role->roletype == ROLESPEC_CSTRING) {
        check_name(role->rolename);
    }
}

static void check_roles(const List *roles)
{
    const ListCell *cell = NULL;
    foreach (cell, roles) {
        const Node *node = lfirst(cell);
        if (IsA(node, AccessPriv)) {
            check_name(((const AccessPriv *)node)->priv_name);
        } else if (IsA(node, RoleSpec)) {
            check_role((const RoleSpec *)node);
        }
    }
}

/* CREATE ROLE .. IN ROLE, ROLE, ADMIN */
static void check_options(const List *options)
{
    const ListCell *cell = NULL;
    foreach (cell, options) {
        const DefElem *option = lfirst(cell);
        if (option->arg != NULL && IsA(option->arg, List)) {
            check_roles((const List *)option->arg);
        }
    }
}

void module_check_roles(const void *node)
{
    if (superuser()) {
        return;
    }
    switch (nodeTag(node)) {
    case T_GrantRoleStmt:
        check_roles(((const GrantRoleStmt *)node)->granted_roles);
        break;
    case T_CreateRoleStmt:
        check_options(((const CreateRoleStmt *)node)->options);
        break;
    case T_AlterRoleStmt:
        check_role(((const AlterRoleStmt *)node)->role);
        check_options(((const AlterRoleStmt *)node)->options);
        break;
    case T_AlterRoleSetStmt:
        check_role(((const AlterRoleSetStmt *)node)->role);
        break;
    case T_DropRoleStmt:
        check_roles(((const DropRoleStmt *)node)->roles);
        break;
    case T_RenameStmt:
        if (((const RenameStmt *)node)->renameType == OBJECT_ROLE) {
            check_name(((const RenameStmt *)node)->subname);
        }
        break;
    default:
        break;
    }
}
