"""What happens in the company, one action after the other, chosen by chance; kills go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError

from portal.core.access.models import Authorization, Deployment, DuplicationStrategy, Task, TaskStatus, UserSync
from tests.chaos.company import POLICIES, Company, Unanswered, query

One = TypeVar("One")


class Driver:
    def __init__(self, company: Company, random: Random) -> None:
        self.company, self.random = company, random
        self.stopping = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """For a thread; `failure` is what a correct portal never answers."""
        try:
            while not self.stopping.is_set():
                self.act()
        except BaseException as error:
            self.failure = error

    def act(self) -> None:
        weighted = [self.grant] * 5 + [self.synchronize] * 2 + [self.move] * 5 + [self.change_policy] * 2
        weighted += [self.redeploy] * 3 + [self.undeploy, self.revoke, self.revoke, self.end_sync, self.retry]
        try:
            self.random.choice(weighted)()
        except (Unanswered, SQLAlchemyError):  # the second: we look into the database to know what there is
            self.company.ledger.unanswered += 1
            self.stopping.wait(0.1)

    def grant(self) -> None:
        users, groups, accounts = self._people(), self._some(self.company.groups, 0, 1), self._uins()
        chosen = [one.id for one in self._some(self.company.configurations, 1, 2)]
        picked: dict[str, Any] = {"account": accounts, "user": users, "configuration": chosen}
        picked["group"] = [group.id for group in groups]
        tasks = len(accounts) * (len(users) + len(groups)) * len(chosen)
        page = f"/console/grant-roles/review?{query(**picked)}"
        self.company.submit(page, "/console/grant-roles/submit", tasks=tasks, **picked)

    def synchronize(self) -> None:
        users, groups, accounts = self._people(), self._some(self.company.groups, 0, 1), self._uins()
        picked: dict[str, Any] = {"account": accounts, "user": users, "group": [group.id for group in groups]}
        picked["duplication_strategy"] = self.random.choice(list(DuplicationStrategy)).value
        picked["deletion_strategy"] = "Delete"
        tasks = len(accounts) * (len(users) + len(groups))
        page = f"/console/grant-users?{query(account=accounts)}"
        self.company.submit(page, "/console/grant-users/submit", tasks=tasks, **picked)

    def move(self) -> None:
        group, user = self.random.choice(self.company.groups), self.random.choice(self.company.users)
        joins = not self.company.ledger.switched[group.id, user.id]
        self.company.switch(group.id, user.id, joins, lambda: self.company.move(group, user, joins))

    def change_policy(self) -> None:
        one, name = self.random.choice(self.company.configurations), self.random.choice(POLICIES)
        page = f"/console/configurations/{one.id}/policies"
        adds = self.random.random() < 0.5
        fields: dict[str, Any] = {"add": "1", "policy": [name]} if adds else {}
        page += "/add" if adds else f"/{name}/remove"
        self.company.switch(one.id, name, adds, lambda: self.company.submit(page, **fields))

    def redeploy(self) -> None:
        chosen = self._some([one.id for one in self._rows(select(Deployment))], 1, 6)
        if chosen:
            page = f"/console/deployments/redeploy?{query(deployment=chosen)}"
            self.company.submit(page, tasks=0, deployment=chosen)  # one may have been undeployed since we looked

    def undeploy(self) -> None:
        for one in self._some(self._rows(select(Deployment)), 1, 1):
            self.company.submit(f"/console/deployments/{one.id}/undeploy?step=2", tasks=0)

    def revoke(self) -> None:
        for one in self._some(self._rows(select(Authorization)), 1, 1):
            principal = one.user_id or one.group_id
            mine = or_(Authorization.user_id == principal, Authorization.group_id == principal)
            held = self._rows(select(Authorization).where(mine, Authorization.account_uin == one.account_uin))
            fields: dict[str, Any] = {"authorization": [found.id for found in self._some(held, 1, 3)]}
            fields |= {"undeploy_last": "y"} if self.random.random() < 0.5 else {}
            self.company.submit(
                f"/console/accounts/{one.account_uin}/permissions/{principal}/remove", tasks=0, **fields
            )

    def end_sync(self) -> None:
        for one in self._some(self._rows(select(UserSync)), 1, 1):
            self.company.submit(f"/console/syncs/{one.id}/delete", tasks=1)

    def retry(self) -> None:
        ran = select(Task).where(Task.status == TaskStatus.FAILED, Task.attempts > 0)
        for task in self._some(self._rows(ran), 1, 1):
            self.company.submit("/console/tasks?status=Failed", f"/console/tasks/{task.id}/retry")

    def _people(self) -> list[str]:
        return [user.id for user in self._some(self.company.users, 1, 3)]

    def _uins(self) -> list[int]:
        return [account.uin for account in self._some(self.company.accounts, 1, 4)]

    def _some(self, rows: Sequence[One], least: int, most: int) -> list[One]:
        return self.random.sample(rows, min(len(rows), self.random.randint(least, most)))

    def _rows(self, statement: Any) -> list[Any]:
        with self.company.database.transaction(write=False) as session:
            return list(session.scalars(statement))
