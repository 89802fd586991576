"""Service control policies: the boundary inside which an account's own policies decide (SCP-1..5).

    enable -> every department and member is bound to FullQcloudAccess
    bind / unbind                      policies on departments and members; a node keeps at least one
    levels.levels_of(account)          the account, its department, ... up to Root, each with its policies
    access.decide_access(levels, ...)  level by level, then CAM; with a trace of every step

They grant nothing. Service-linked roles and the admin account are exempt.
"""
