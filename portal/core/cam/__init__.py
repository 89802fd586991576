"""The inside of one account (CAM-1..CAM-4): CAM users, groups, roles, policies, identity providers, sessions; the access decision.

Every row belongs to an account by `account_uin`. What the Identity Center made is `managed` and read-only for the account's own people.
"""
