"""`portal demo`: the portal with a sample company and a sample identity provider, to try everything on one machine.

    running.run     own data folder -> schema -> sample data -> two processes:
      portal serve              the portal itself, as in production
      portal.demo.idp           the sample IdP, with its own port and key
    company         who and what there is
    data.load       makes it, by the product's own verbs, once
    authn_request   what the portal asks of the sample IdP

Nothing outside this folder but the command imports it: a portal that is served otherwise has no sample IdP.
"""
