"""Trust in the enterprise IdP, sign-in sessions, seen assertions, our own SAML keys.

begin_sign_in     pending row: request id, browser binding, RelayState token, target page
take_pending      taken out at the first answer, right or wrong
finish_sign_in    assertion id seen once, an enabled user of that name (or one made by joining) -> SignIn row
attempts          recent sign-ins, accepted and refused, to look at
logouts           single logout: what waits for the IdP's answer, what the IdP ends
sign_out, end     sign-out; disabling a user ends all its sessions (IC-6, IC-7, IC-16)
"""
