"""Who may enter which account, and as what (IC-8..IC-15).

    grant / synchronize / redeploy / undeploy      verbs: desired state and one task per unit, in one transaction
        -> Task rows (Queued)                      the truth that people see
        -> after commit: worker.dispatch()         tells the worker; a lost call is found by its next sweep
        -> worker.engine: claim, ensure through the account's connector, record the result

    grant_departments / move_members / ...         the authorizations of accounts follow their departments: the same

Desired state: `DepartmentAuthorization`, `Authorization`, `UserSync`. Deployed state: `Deployment`, `SyncedUser`.
"""
