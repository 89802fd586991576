"""CAM-1: the preset policies that are offered, and what they let through."""

from __future__ import annotations

import json

import pytest

from portal.core.cam.decision import AccessRequest, NamedPolicy, decide
from portal.core.cam.policy import parse
from portal.core.cam.presets import Preset, find, presets, search

WRITES = ("Create", "Delete", "Modify", "Run", "Put", "Update", "Terminate", "Attach", "Reset", "Add")


def allows(name: str, action: str, resource: str = "*") -> bool:
    preset = find(name)
    assert preset is not None, name
    named = NamedPolicy(preset.name, "System", preset.policy)
    return decide([named], AccessRequest(action, resource, 100000000001)).allowed


def test_at_least_sixty_are_offered_sorted_and_none_of_a_service_role() -> None:
    names = [preset.name for preset in presets()]
    assert len(names) >= 60
    assert names == sorted(names, key=str.casefold)
    assert not [name for name in names if name.startswith("QcloudAccessFor")]


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_every_preset_is_described_and_its_document_parses(preset: Preset) -> None:
    assert preset.description
    assert preset.service
    assert parse(preset.document) == preset.policy
    assert json.loads(preset.document)["version"] == "2.0"


@pytest.mark.parametrize("preset", [p for p in presets() if "ReadOnly" in p.name], ids=lambda preset: preset.name)
def test_a_read_only_preset_lets_no_write_of_its_product_through(preset: Preset) -> None:
    service = "cvm" if preset.service == "global" else preset.service
    assert not [verb for verb in WRITES if allows(preset.name, f"{service}:{verb}Things")]


@pytest.mark.parametrize(
    ("name", "action", "expected"),
    [
        ("AdministratorAccess", "cam:CreateUser", True),
        ("ReadOnlyAccess", "cvm:DescribeInstances", True),
        ("ReadOnlyAccess", "cam:GetUser", True),
        ("ReadOnlyAccess", "cos:GetObject", True),
        ("ReadOnlyAccess", "cvm:RunInstances", False),
        ("ReadOnlyAccess", "cam:CreateUser", False),
        ("ReadOnlyAccess", "cam:AttachRolePolicy", False),
        ("ReadOnlyAccess", "cos:PutObject", False),
        ("ReadOnlyAccess", "ssm:GetSecretValue", False),
        ("ReadOnlyAccess", "sts:GetFederationToken", False),
        ("ReadOnlyAccess", "sts:AssumeRole", False),
        ("ReadOnlyAccess", "finance:DescribeBillSummary", False),
        ("QCloudResourceFullAccess", "cvm:TerminateInstances", True),
        ("QCloudResourceFullAccess", "cam:GetUser", False),
        ("QCloudResourceFullAccess", "finance:PayDeals", False),
        ("QCloudResourceFullAccess", "organization:CreateOrganizationMember", False),
        ("QCloudFinanceFullAccess", "finance:PayDeals", True),
        ("QCloudFinanceFullAccess", "cvm:DescribeInstances", False),
        ("QcloudFinanceBillReadOnlyAccess", "finance:DescribeBillSummary", True),
        ("QcloudFinanceBillReadOnlyAccess", "finance:PayDeals", False),
        ("QcloudCamFullAccess", "cam:CreateUser", True),
        ("QcloudCamReadOnlyAccess", "cam:CreateUser", False),
        ("QcloudOrganizationFullAccess", "organization:CreateUser", True),
        ("QcloudOrganizationFullAccess", "cam:GetRole", True),
        ("QcloudOrganizationFullAccess", "cam:CreateRole", False),
        ("QcloudOrganizationReadOnlyAccess", "organization:ListUsers", True),
        ("QcloudOrganizationReadOnlyAccess", "organization:ExplorePermissions", True),
        ("QcloudOrganizationReadOnlyAccess", "organization:ListAccountDrifts", True),
        ("QcloudOrganizationReadOnlyAccess", "organization:DescribePolicy", True),
        ("QcloudOrganizationReadOnlyAccess", "organization:RepairAccountDrift", False),
        ("QcloudTAGFullAccess", "tag:CreateTag", True),
        ("QcloudCVMFullAccess", "vpc:CreateVpc", True),
        ("QcloudCVMInnerReadOnlyAccess", "vpc:DescribeVpcs", False),
        ("QcloudCBSFullAccess", "cvm:AttachCbsStorages", True),
        ("QcloudCBSFullAccess", "cvm:RunInstances", False),
        ("QcloudCOSReadOnlyAccess", "cos:HeadObject", True),
        ("QcloudTCRReadOnlyAccess", "tcr:PullRepository", True),
    ],
)
def test_a_preset_grants_what_its_name_says(name: str, action: str, expected: bool) -> None:
    assert allows(name, action) is expected


def test_a_preset_can_be_bound_to_some_resources() -> None:
    assert allows("QcloudCDBFullAccess", "cvm:ModifySecurityGroupPolicies", "qcs::cvm:::sg/sg-1")
    assert not allows("QcloudCDBFullAccess", "cvm:TerminateInstances", "qcs::cvm:::instance/ins-1")


def test_a_preset_is_found_by_its_exact_name() -> None:
    assert find("AdministratorAccess") is not None
    assert find("administratoraccess") is None


def test_search_looks_in_name_service_and_description() -> None:
    assert {preset.name for preset in search(" object storage ")} >= {
        "QcloudCOSFullAccess",
        "QcloudCOSReadOnlyAccess",
    }
    assert {preset.service for preset in search("QCLOUDCVM")} == {"cvm"}
    assert len(search("")) == len(presets())
    assert search("no such thing") == []
