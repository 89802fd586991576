"""What the terminal says when everything answers: where to go, who can sign in, how to stop."""

from __future__ import annotations

from portal.addresses import login_url
from portal.demo import company
from portal.demo.preparing import Prepared
from portal.settings import Settings


def greeting(settings: Settings, prepared: Prepared, *, idp_port: int) -> str:
    base = settings.base_url
    people = "\n".join(f"    {person.user_name:8}{person.job}" for person in company.PEOPLE[:3])
    others = ", ".join(person.user_name for person in company.PEOPLE[3:])
    if prepared.scim_secret:
        credential = f"credential {prepared.scim_secret}, shown this once"
    else:
        credential = "its credential was shown at the first start; make another one in the console"
    console = f"{company.ADMINISTRATOR}, password {company.ADMINISTRATOR_PASSWORD}, account {prepared.admin_uin}"
    return f"""
Identity Center with the sample company {company.ORGANIZATION}

  Employees      {login_url(base, company.SPACE)}
    password {company.EMPLOYEE_PASSWORD}
{people}
    and {others}

  Administrator  {base}/console
    {console} (or {company.SPACE})

  SCIM           {base}/scim/v2
    {credential}

  Sample IdP     http://127.0.0.1:{idp_port}   (its metadata: /metadata)
  Data           {settings.data_dir}

Ctrl+C stops both.
"""
