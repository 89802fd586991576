"""Random filters that know their own meaning: a tree, its text, and who meets it. Nothing of the product is used.

`meets` reads the JSON of a resource as a client sees it. Three rules that RFC 7644 leaves open: `ne` is "none equals",
`eq null` and `eq ""` are "has no value", and without a mark an entry is not primary (RFC 7643 section 2.4).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from tests.support.scim_examples import ENTERPRISE, USER

WORDS = [
    *("a", "A", "ab", "aB%", "_", "a_b", "%", 'q"u', "back\\slash", "é", "É", "e\u0301", "ß", "ss", "SS", "ﬁ", "fi"),
    *("😀", "in ner", "1", "10", "true", "null", "'", "and", "a) or (b", "[x]", "ı", "İ", "\u0130x", "tab\tx", "Ω"),
]
KINDS = ["work", "home", "other", "Work"]


@dataclass(frozen=True)
class Leaf:
    """`path` as a client writes it; `op` is `pr` or an operator with `value`, whose text is `literal`."""

    path: str
    op: str
    kind: str
    value: Any = None
    literal: str = ""


@dataclass(frozen=True)
class Entry:
    """`attribute[inner]`; with `then` the form that Entra sends: `emails[type eq "work"].value eq "x"`."""

    attribute: str
    inner: Tree
    then: Leaf | None = None


@dataclass(frozen=True)
class Joined:
    word: str
    parts: tuple[Tree, ...]


Tree = Leaf | Entry | Joined


@dataclass(frozen=True)
class Grammar:
    """What may be asked of a resource type: path -> kind (text, exact, boolean, time), and the parts of entries."""

    paths: dict[str, str]
    entries: dict[str, dict[str, str]]
    urns: dict[str, str]

    def trees(self, moments: list[str]) -> st.SearchStrategy[Tree]:
        leaf = st.sampled_from(sorted(self.paths)).flatmap(lambda path: _leaf(path, self.paths[path], moments))
        entry = st.sampled_from(sorted(self.entries)).flatmap(lambda name: _entry(name, self.entries[name], moments))
        return _joined(st.one_of(leaf, leaf, entry))

    def render(self, tree: Tree, shuffle: Callable[[str], str]) -> str:
        """Text of the tree; `shuffle` changes the case of what has none."""
        if isinstance(tree, Leaf):
            path = shuffle(self.urns.get(tree.path, "") + tree.path)
            return f"{path} {shuffle('pr')}" if tree.op == "pr" else f"{path} {shuffle(tree.op)} {tree.literal}"
        if isinstance(tree, Entry):
            inside = f"{shuffle(tree.attribute)}[{self.render(tree.inner, shuffle)}]"
            if tree.then is None:
                return inside
            return f"{inside}.{shuffle(tree.then.path)} {shuffle(tree.then.op)} {tree.then.literal}"
        texts = [self.render(part, shuffle) for part in tree.parts]
        if tree.word == "not":
            return f"{shuffle('not')} ({texts[0]})"
        texts = [
            f"({text})" if isinstance(part, Joined) and part.word == "or" and tree.word == "and" else text
            for part, text in zip(tree.parts, texts, strict=True)
        ]
        return f" {shuffle(tree.word)} ".join(texts)


USERS = Grammar(
    {
        **dict.fromkeys(
            (
                *("userName", "displayName", "title", "nickName", "userType", "name.givenName", "name.formatted"),
                *("department", "employeeNumber", "emails", "emails.value", "emails.type", "roles.display"),
                *("addresses.locality", "phoneNumbers.type", "groups.display"),
            ),
            "text",
        ),
        **dict.fromkeys(("externalId", "manager.value", "photos.value", "groups.value", "id"), "exact"),
        **dict.fromkeys(("meta.created", "meta.lastModified"), "time"),
        **dict.fromkeys(("active", "emails.primary"), "boolean"),
        **dict.fromkeys(("name", "addresses", "groups", "meta", "manager"), "present"),
    },
    {
        "emails": {"value": "text", "type": "text", "display": "text", "primary": "boolean"},
        "roles": {"value": "text", "display": "text", "primary": "boolean"},
        "addresses": {"locality": "text", "country": "text", "formatted": "text", "type": "text"},
        "photos": {"value": "exact", "type": "text"},
        "groups": {"value": "exact", "display": "text"},
    },
    {
        "title": f"{USER}:",
        "emails.value": f"{USER}:",
        "department": f"{ENTERPRISE}:",
        "manager.value": f"{ENTERPRISE}:",
        "manager": f"{ENTERPRISE}:",
    },
)
GROUPS = Grammar(
    {
        **dict.fromkeys(("displayName", "members.display"), "text"),
        **dict.fromkeys(("externalId", "members.value", "members", "id"), "exact"),
        "meta.created": "time",
        "meta": "present",
    },
    {"members": {"value": "exact", "display": "text", "type": "text"}},
    {},
)

words = st.sampled_from(WORDS)


def _literal(text: str, *, escaped: bool) -> str:
    return json.dumps(text, ensure_ascii=escaped)


def _leaf(path: str, kind: str, moments: list[str]) -> st.SearchStrategy[Leaf]:
    if kind == "present":
        return st.just(Leaf(path, "pr", kind))
    presence = st.sampled_from(
        [Leaf(path, "pr", kind), Leaf(path, "eq", kind, None, "null"), Leaf(path, "ne", kind, None, "null")]
    )
    if kind == "boolean":
        comparisons = st.builds(
            lambda op, truth, literal: Leaf(path, op, kind, truth, literal % str(truth)),
            st.sampled_from(["eq", "ne"]),
            st.booleans(),
            st.sampled_from(["%s", '"%s"']),
        ).map(lambda leaf: Leaf(leaf.path, leaf.op, kind, leaf.value, leaf.literal))
    elif kind == "time":
        comparisons = st.builds(
            lambda op, moment, shift, zone: _time(path, op, moment, shift, zone),
            st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
            st.sampled_from(moments),
            st.sampled_from([-1, 0, 0, 1]),
            st.sampled_from([-5, 0, 2]),
        )
    else:
        comparisons = st.builds(
            lambda op, word, escaped: Leaf(path, op, kind, word, _literal(word, escaped=escaped)),
            st.sampled_from(["eq", "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]),
            words,
            st.booleans(),
        )
    return st.one_of(comparisons, comparisons, comparisons, presence)


def _time(path: str, op: str, moment: str, shift: int, zone: int) -> Leaf:
    """The moment a microsecond on or off, told in another zone, with or without quotes."""
    value = datetime.fromisoformat(moment) + timedelta(microseconds=shift)
    text = value.astimezone(timezone(timedelta(hours=zone))).isoformat(timespec="microseconds")
    return Leaf(path, op, "time", value, f'"{text}"' if zone else text)


def _entry(name: str, parts: dict[str, str], moments: list[str]) -> st.SearchStrategy[Entry]:
    leaf = st.sampled_from(sorted(parts)).flatmap(lambda part: _leaf(part, parts[part], moments))
    plain = st.builds(Entry, st.just(name), _joined(leaf, leaves=3))
    if "value" not in parts or name == "groups":
        return plain
    then = st.builds(
        lambda op, word: Leaf("value", op, parts["value"], word, _literal(word, escaped=False)),
        st.sampled_from(["eq", "ne", "sw"]),
        words,
    )
    kind = st.sampled_from(KINDS).map(lambda word: Leaf("type", "eq", "text", word, f'"{word}"'))
    return st.one_of(plain, st.builds(Entry, st.just(name), kind, then)) if "type" in parts else plain


def _joined(atoms: st.SearchStrategy[Any], leaves: int = 6) -> st.SearchStrategy[Any]:
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.builds(lambda part: Joined("not", (part,)), inner),
            st.builds(
                lambda word, parts: Joined(word, tuple(parts)),
                st.sampled_from(["and", "or"]),
                st.lists(inner, min_size=2, max_size=3),
            ),
        ),
        max_leaves=leaves,
    )


def meets(resource: dict[str, Any], tree: Tree) -> bool:
    if isinstance(tree, Joined):
        results = [meets(resource, part) for part in tree.parts]
        return {"not": not results[0], "and": all(results), "or": any(results)}[tree.word]
    if isinstance(tree, Entry):
        entries = resource.get(tree.attribute, [])
        if tree.then is None:
            return any(meets(entry, tree.inner) for entry in entries)
        op = "eq" if tree.then.op == "ne" else tree.then.op
        then = Leaf(tree.then.path, op, tree.then.kind, tree.then.value)
        found = any(meets(entry, tree.inner) and meets(entry, then) for entry in entries)
        return found is (tree.then.op != "ne")
    return _compare(_values(resource, tree), tree)


def _values(resource: dict[str, Any], leaf: Leaf) -> list[Any]:
    first, _, sub = leaf.path.partition(".")
    if first == "primary":
        return [resource.get("primary", False)]
    value = resource.get(first, resource.get(ENTERPRISE, {}).get(first))
    entries = value if isinstance(value, list) else [] if value is None else [value]
    if entries and isinstance(entries[0], dict) and leaf.kind != "present":
        default = False if sub == "primary" else None
        entries = [entry.get(sub or "value", default) for entry in entries]
    return [entry for entry in entries if entry is not None and entry not in ("", {})]


def _compare(values: list[Any], leaf: Leaf) -> bool:
    if leaf.op == "pr" or (leaf.op == "ne" and leaf.value is None):
        return bool(values)
    if leaf.value is None:
        return not values
    if leaf.op == "ne":
        return not any(_holds(value, "eq", leaf) for value in values)
    return any(_holds(value, leaf.op, leaf) for value in values)


def _holds(have: Any, op: str, leaf: Leaf) -> bool:
    wanted = leaf.value
    if leaf.kind == "time":
        have = datetime.fromisoformat(have).astimezone(UTC)
    elif leaf.kind == "text":
        have, wanted = _fold(have), _fold(wanted)
    rules: dict[str, Callable[[], bool]] = {
        "eq": lambda: have == wanted,
        "co": lambda: wanted in have,
        "sw": lambda: have.startswith(wanted),
        "ew": lambda: have.endswith(wanted),
        "gt": lambda: have > wanted,
        "ge": lambda: have >= wanted,
        "lt": lambda: have < wanted,
        "le": lambda: have <= wanted,
    }
    return rules[op]()


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
