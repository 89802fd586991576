"""Who can do what, and why: over people, accounts, actions, and a change that is only thought of.

    holdings.holdings(...)     who may take which role where, by what, and what is in the way
    actions.who_can(...)       an action on a resource of one account: who can, who cannot and what stops them
    what_if.compare(...)       service control policies as they would be: whose access changes, over all accounts

It reads only; every answer is worked out from the same rows and the same decision that open and guard the accounts.
"""
