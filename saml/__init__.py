"""SAML 2.0 as a protocol. No database, no web framework: strings and times in, small frozen objects out.

    their metadata   -> metadata.parse_identity_provider -> IdentityProvider
    sign-in          -> service_provider.authn_request   -> browser -> IdP
    IdP's answer     -> service_provider.accept_response:
                          xml.parse        UTF-8, no DTD, no comments, bounded
                          shape.check      only the elements and attributes we know, in their order
                          signatures.check one reference to the own element, SHA-2, no other transforms
                          rules.read       who, for whom, in answer to what, until when -> Assertion
                          library.verify   python3-saml in strict mode, with the signature itself
    our answer       -> issuing.issue_response -> auto-submitted form -> the account

What a caller must keep, because this package remembers nothing: the pending request ids (used once, bound
to the browser) and the ids of accepted assertions until `Assertion.not_on_or_after`.
"""
