"""Trust in the enterprise IdP, sign-in sessions, seen assertions, SCIM credentials, our own SAML keys (IC-6, IC-7, IC-16).

    begin_sign_in     pending row: request id, browser binding, RelayState token, target page
    finish_sign_in    pending row taken out at the first answer, assertion id seen once, an enabled user of that name -> SignIn row
    end_sign_in       sign-out, deactivation, expiry
"""
