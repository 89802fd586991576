"""SCIM 2.0 (RFC 7643, RFC 7644): the door through which an IdP pushes users and groups (IC-5, IC-7).

    request -> bearer credential, or an access token got with client credentials (oauth), tells the space (routes)
            -> of a strict credential: what the RFCs do not allow is refused (strict)
            -> body read by the attribute definitions: names without case, unknown ones dropped (shaping)
            -> PATCH applied to the plain resource, memberships as differences (patch, members)
            -> core verbs: same rules, audit and tasks as everywhere (casting)
            -> rows to a plain dict, cut to `attributes` / `excludedAttributes` (casting, projection)

    many at once -> bulk: the same, one savepoint an operation
    page by page -> by index (resources) or by cursor (cursors); users and groups together (everything)

        before the work, per credential: throttle (429)
    whatever came of it: recording, a line of the SCIM log without secrets (redaction), for reads by log_buffer

filter text -> parsing (scim2-filter-parser's tree, precedence rebuilt)
                -> filters (SQL), or matching (entries in memory, for the paths of PATCH)

`attributes` defines every attribute once; discovery, shaping, filters, patch and casting all read it there.
"""
