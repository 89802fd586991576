"""Filter text to tree: what scim2-filter-parser gets wrong by itself is right here, every fault is invalidFilter."""

from __future__ import annotations

import pytest

from scim.errors import ScimError
from scim.parsing import And, Comparison, Node, Not, OneEntry, Or, Path, parse


def eq(name: str, value: object = "x", op: str = "eq") -> Node:
    whole, _, sub = name.partition(".")
    return Comparison(Path(whole, sub or None), op, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('a eq "x" or b eq "x" and c eq "x"', Or((eq("a"), And((eq("b"), eq("c")))))),
        ('a eq "x" and b eq "x" or c eq "x"', Or((And((eq("a"), eq("b"))), eq("c")))),
        ('(a eq "x" or b eq "x") and c eq "x"', And((Or((eq("a"), eq("b"))), eq("c")))),
        ('a eq "x" and (b eq "x" or c eq "x")', And((eq("a"), Or((eq("b"), eq("c")))))),
        ('not (a eq "x") and b eq "x"', And((Not(eq("a")), eq("b")))),
        ('not (a eq "x" or b eq "x")', Not(Or((eq("a"), eq("b"))))),
        ("a pr and not (b pr)", And((eq("a", None, "pr"), Not(eq("b", None, "pr"))))),
        ('a Eq "x" AND b EQ "x"', And((eq("a"), eq("b")))),
    ],
)
def test_and_binds_tighter_than_or(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ('"say \\"hi\\""', 'say "hi"'),
        ('"back\\\\slash"', "back\\slash"),
        ('"\\u00e4"', "ä"),
        ('"a) or (b"', "a) or (b"),
        ('" and b eq "', " and b eq "),
        ('""', ""),
        ("701984", 701984),
        ("-1.5", -1.5),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ('"true"', "true"),
        ("2026-01-31T12:00:00.1234567Z", "2026-01-31T12:00:00.1234567Z"),
        ("bjensen", "bjensen"),
        ("%_", "%_"),
    ],
)
def test_literals_are_json_values_and_bare_words_are_text(literal: str, value: object) -> None:
    assert parse(f"a eq {literal}") == eq("a", value)
    assert parse(f"(a eq {literal}) and b pr") == And((eq("a", value), eq("b", None, "pr")))


def test_paths_have_urns_and_parts() -> None:
    urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    assert parse(f'{urn}:manager.value eq "x"') == Comparison(Path("manager", "value", urn), "eq", "x")
    assert parse('name.familyName co "x"') == eq("name.familyName", "x", "co")


def test_brackets_are_about_one_entry() -> None:
    assert parse('emails[type eq "x" and value pr]') == OneEntry(
        Path("emails"), And((eq("type"), eq("value", None, "pr")))
    )


def test_entras_form_is_a_condition_on_the_chosen_entry() -> None:
    entry = OneEntry(Path("emails"), And((eq("type", "work"), eq("value"))))
    assert parse('emails[type eq "work"].value eq "x"') == entry
    assert parse('emails[type eq "work"].value ne "x"') == Not(entry)


def test_hundred_comparisons_and_twenty_brackets_are_allowed() -> None:
    tree = parse(" or ".join(f'a eq "{number}"' for number in range(100)))
    assert isinstance(tree, Or)
    assert len(tree.parts) == 100
    assert parse("(" * 20 + "a pr" + ")" * 20) == eq("a", None, "pr")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "userName",
        "userName eq",
        'userName eq "open',
        'userName is "x"',
        'userName "x"',
        'userName eq "x" "y"',
        'userName eq "x" and',
        'userName eq "x" userName eq "y"',
        'userName eq "bad \\q escape"',
        'userName eq "\\u0000"',
        'userName eq "\\ud800"',
        '"0" eq "x"',
        'not userName eq "x"',
        'emails[type eq "x"',
        'emails[type eq "x"][value pr]',
        "(userName pr",
        "userName pr)",
        "é pr",
        "(" * 21 + "a pr" + ")" * 21,
        "(" * 2000,
        " or ".join(f'a eq "{number}"' for number in range(101)),
        " or ".join("a pr" for _ in range(101)),
        'a eq "' + "x" * 4096 + '"',
        "userName eq 'x' ; drop",
        "a eq \x00",
    ],
)
def test_what_is_no_filter_is_refused_as_invalid_filter(text: str) -> None:
    with pytest.raises(ScimError) as refused:
        parse(text)
    assert (refused.value.status, refused.value.scim_type) == (400, "invalidFilter")
    assert refused.value.detail
