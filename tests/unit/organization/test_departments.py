from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.core.actor import SYSTEM
from portal.core.audit import AuditEvent
from portal.core.errors import Conflict, Invalid, LimitReached, NotFound
from portal.core.organization import departments, members, organizations, queries
from portal.core.organization.models import Department, Organization
from portal.core.paging import Search


@pytest.fixture
def organization(session: Session) -> Organization:
    return organizations.create_organization(session, SYSTEM, name="Acme Corp")


def add(session: Session, organization: Organization, parent: Department, name: str, **fields: str) -> Department:
    return departments.create_department(session, SYSTEM, organization=organization, parent=parent, name=name, **fields)


def test_org_1_an_organization_begins_with_its_admin_account_under_root(session, organization):
    root = queries.root(session, organization)
    assert (root.name, root.parent_id) == ("Root", None)
    row = queries.member(session, organization, organization.admin_uin)
    assert (row.name, row.joined_by, row.department_id) == ("Acme-Corp-admin", "Admin", root.id)
    event = session.scalars(select(AuditEvent)).one()
    assert (event.action, event.organization_id) == ("organization.create", organization.id)


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "two\nlines"])
def test_org_1_an_organization_needs_a_name(session, name):
    with pytest.raises(Invalid) as refusal:
        organizations.create_organization(session, SYSTEM, name=name)
    assert refusal.value.field == "name"


def test_dep_1_a_department_is_created_renamed_described_and_deleted(session, organization):
    root = queries.root(session, organization)
    department = add(session, organization, root, "研发部_R&D", description="Builds it")
    departments.update_department(
        session,
        SYSTEM,
        organization=organization,
        department=department,
        name="Research",
        description="Thinks",
    )
    found = queries.department(session, organization, department.id)
    assert (found.name, found.description) == ("Research", "Thinks")
    departments.delete_department(session, SYSTEM, organization=organization, department=found)
    with pytest.raises(NotFound):
        queries.department(session, organization, department.id)
    actions = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert actions[1:] == ["department.create", "department.update", "department.delete"]


@pytest.mark.parametrize("name", ["", " ", "x" * 41, "Human Resources", "a/b", "<b>", "a!", "½"])
def test_dep_1_a_department_name_keeps_to_its_rule(session, organization, name):
    with pytest.raises(Invalid) as refusal:
        add(session, organization, queries.root(session, organization), name)
    assert refusal.value.field == "name"


@pytest.mark.parametrize("name", ["x" * 40, "+@&._[]-", "人力资源", "Köln2"])
def test_dep_1_a_department_name_has_letters_digits_and_the_listed_symbols(session, organization, name):
    assert add(session, organization, queries.root(session, organization), name).name == name


def test_dep_1_siblings_have_different_names_without_regard_to_case(session, organization):
    root = queries.root(session, organization)
    sales = add(session, organization, root, "Sales")
    other = add(session, organization, root, "Support")
    with pytest.raises(Conflict) as refusal:
        add(session, organization, root, "SALES")
    assert refusal.value.field == "name"
    with pytest.raises(Conflict):
        departments.update_department(session, SYSTEM, organization=organization, department=other, name="sales")
    assert add(session, organization, sales, "Sales").parent_id == sales.id
    departments.update_department(session, SYSTEM, organization=organization, department=sales, name="SALES")
    assert sales.name == "SALES"


def test_dep_1_only_an_empty_department_is_deleted_and_never_root(session, organization):
    root = queries.root(session, organization)
    sales = add(session, organization, root, "Sales")
    north = add(session, organization, sales, "North")
    account = members.create_member(session, SYSTEM, organization=organization, department=north, name="shop")

    def delete(department: Department) -> None:
        departments.delete_department(session, SYSTEM, organization=organization, department=department)

    with pytest.raises(Invalid, match="Root"):
        delete(root)
    with pytest.raises(Conflict, match="1 department below"):
        delete(sales)
    with pytest.raises(Conflict, match="1 member"):
        delete(north)
    members.move_members(session, SYSTEM, organization=organization, department=root, uins=[account.uin])
    delete(north)
    delete(sales)
    assert queries.tree(session, organization).children == []


def test_dep_3_there_are_at_most_five_levels_below_root(session, organization):
    department = queries.root(session, organization)
    for level in range(1, 6):
        department = add(session, organization, department, f"level{level}")
    with pytest.raises(LimitReached, match="department_levels"):
        add(session, organization, department, "level6")
    names = [step.name for step in queries.path(session, organization, department.id)]
    assert names == ["Root", "level1", "level2", "level3", "level4", "level5"]


def test_org_7_a_department_has_at_most_twenty_below_it(session, organization):
    root = queries.root(session, organization)
    for number in range(20):
        add(session, organization, root, f"d{number}")
    with pytest.raises(LimitReached, match="departments_per_parent"):
        add(session, organization, root, "one-more")


def test_org_2_the_tree_tells_names_depths_and_counts(session, organization):
    root = queries.root(session, organization)
    sales = add(session, organization, root, "sales")
    north = add(session, organization, sales, "north")
    add(session, organization, root, "Engineering")
    for name, department in (("shop", sales), ("shop-north", north)):
        members.create_member(session, SYSTEM, organization=organization, department=department, name=name)
    tree = queries.tree(session, organization)
    assert [(node.name, node.depth, node.member_count, node.total) for node in queries.flat(tree)] == [
        ("Root", 0, 1, 3),
        ("Engineering", 1, 0, 0),
        ("sales", 1, 1, 2),
        ("north", 2, 1, 1),
    ]


def test_org_2_a_department_shows_its_members_alone_or_with_those_below(session, organization):
    root = queries.root(session, organization)
    sales = add(session, organization, root, "sales")
    north = add(session, organization, sales, "north")
    for name, department in (("shop", sales), ("shop-north", north)):
        members.create_member(session, SYSTEM, organization=organization, department=department, name=name)

    def names(**options: object) -> list[str]:
        page = queries.members_page(session, organization, Search(), **options)  # type: ignore[arg-type]
        assert page.total == len(page.rows)
        return [row.name for row in page.rows]

    assert names(department_id=sales.id) == ["shop"]
    assert names(department_id=sales.id, with_below=True) == ["shop", "shop-north"]
    assert names() == ["Acme-Corp-admin", "shop", "shop-north"]


def test_another_organization_sees_none_of_it(session, organization):
    stranger = organizations.create_organization(session, SYSTEM, name="Other")
    root = queries.root(session, organization)
    for look in (queries.department, queries.path):
        with pytest.raises(NotFound):
            look(session, stranger, root.id)
    page = queries.members_page(session, stranger, Search(), department_id=root.id, with_below=True)
    assert page.total == 0
