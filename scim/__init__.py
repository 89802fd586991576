"""SCIM 2.0 (RFC 7643, RFC 7644): the door through which an IdP pushes users and groups (IC-5, IC-7).

    request -> bearer credential tells the space (routes)
            -> body read by the attribute definitions: names without case, unknown ones dropped (shaping)
            -> PATCH applied to the plain resource, memberships as differences (patch)
            -> core verbs: same rules, audit and tasks as everywhere (casting)
            -> rows to a plain dict, cut to `attributes` / `excludedAttributes` (casting, projection)

    many at once -> bulk: the same, one savepoint an operation
    page by page -> by index (resources) or by cursor (cursors)

    filter text -> parsing (scim2-filter-parser's tree, precedence rebuilt)
                -> filters (SQL), or matching (entries in memory, for the paths of PATCH)

`attributes` defines every attribute once; discovery, shaping, filters, patch and casting all read it there.
"""
