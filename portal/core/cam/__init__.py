"""The inside of one account (CAM-1..CAM-4). Every row belongs to an account by `account_uin`.

    users, roles       hold policies: their own, and those of their groups          policies, queries
    identity providers vouch for whoever comes in by SAML                           providers
    sessions           a role or CAM user, for a time                               sessions
    the decision       policies of the session + action, resource, context          policy, decision

What a space of the Identity Center made names it in `managed_by` and is read-only for the account's own people.
"""
