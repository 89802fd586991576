"""Accounts, the organization that an admin account runs, its tree of departments and members (ORG, DEP, MEM).

create_organization     admin account + Root + the admin account's membership
create_department       below Root, at most five levels; deleted only when empty
create_member           a new account with OrganizationAccessControlRole, trusted to the admin account
move, rename, remove    never the admin account; never where the Identity Center still holds something
"""
