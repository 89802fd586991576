"""How an IdP's push is let in, watched and held back: SCIM credentials, access tokens, request log, guard (IC-7).

The protocol itself is `scim`; what it changes are users and groups, which the directory holds.
"""
