"""The heart: tables and rules. Knows no Flask, XML, SCIM or vendor SDK.

    edge (page, SCIM request, command, task)
        with database.transaction() as session:      opened and ended at the edge
            verb(session, actor, *, ...)             changes rows, writes the audit event, never commits
            query(session, ...)                      filtered, sorted and paged in SQL

Each subject folder has the same files: `models.py` (tables), verbs in files named after the subject, `queries.py`.
"""
