"""tools/coverage.py: what counts as a test, what counts as citing a rule, and what fails."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import coverage as tool  # noqa: E402

SPEC = """\
## 1. Topics
| Rule | Statement |
|---|---|
| T-1 | A topic maps `a` to b |
| T-2 | A counter |
| H-5a | source version below V2 | status 158 |
| B-30 | the known standby | swap |
## 10. Known weaknesses of the reference, and what would be right
| W | Weakness | Right |
|---|---|---|
| 13 | clear is silent | new base |
"""

HA_SPEC = """\
## 2. State
1. not a rule
## 3. Rules
1. *Lease.* It may act
"""

RUST = """\
//! T-2 in a file comment shows nothing.

/// T-2 in a comment of code shows nothing.
fn code() {
    work(); // T-2
}

mod tests {
    // T-1
    #[test]
    fn a_topic_maps() {
        assert!(true);
    }

    #[tokio::test(start_paused = true)]
    async fn w13_clear_tells_everybody() {
        if deep {
            // H-5a
        }
    }
    // T-2: after the test, so not of it
}
"""


def tree(tmp_path, **files):
    (tmp_path / "docs/spec").mkdir(parents=True)
    (tmp_path / "docs/spec/behaviour.md").write_text(SPEC)
    (tmp_path / "docs/spec/ha.md").write_text(HA_SPEC)
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tool.Coverage(tmp_path)


def test_rules_come_from_the_page_and_weaknesses_from_its_last_section():
    assert tool.rules_of(SPEC) == {
        "T-1": "A topic maps `a` to b",
        "T-2": "A counter",
        "H-5a": "source version below V2 / status 158",
        "B-30": "the known standby / swap",
        "W13": "new base",
    }


def test_the_real_page_has_all_families_and_only_known_rules():
    rules = tool.rules_of((tool.ROOT / tool.SPEC).read_text(encoding="utf-8"))
    assert len(rules) == 174
    pair = tool.ha_rules_of((tool.ROOT / tool.HA_SPEC).read_text(encoding="utf-8"))
    assert list(pair) == [f"ha-{n}" for n in range(1, 22)]
    assert {rule[0] for rule in [*rules, *pair]} == set(tool.FAMILIES)
    assert tool.REQUIRED_WEAKNESSES <= set(rules)


@pytest.mark.parametrize(
    "name, text, expected",
    [
        ("", "// T-6, S-5: and W13", {"T-6", "S-5", "W13"}),
        ("", "// T-20..T-22", {"T-20", "T-21", "T-22"}),
        ("", "// K-1..3", {"K-1", "K-2", "K-3"}),
        ("", "// W12 to W14", {"W12", "W13", "W14"}),
        ("", "// H-5a", {"H-5a"}),
        ("", "// ha.md rule 7, rules 1 and 2", {"ha-7", "ha-1", "ha-2"}),
        ("", "// rules 10, 15 to 17; rules B", {"ha-10", "ha-15", "ha-16", "ha-17"}),
        ("t6_w13_deltas_are_new", "", {"T-6", "W13"}),
        ("test_h_5a_old_peer", "", {"H-5a"}),
        ("returns_t6", "UTF-8, AT-6, T-6x, T-, x-T-6", set()),
    ],
)
def test_citations(name, text, expected):
    assert tool.cited(name, text) == expected


def test_rust_tests_are_functions_under_a_test_attribute_with_their_comments():
    found = dict(tool.rust_tests(RUST))
    assert list(found) == ["a_topic_maps", "w13_clear_tells_everybody"]
    assert tool.cited("a_topic_maps", found["a_topic_maps"]) == {"T-1"}
    name = "w13_clear_tells_everybody"
    assert tool.cited(name, found[name]) == {"W13", "H-5a"}


def test_attributes_between_comment_and_function_do_not_hide_the_comment():
    text = "// T-1\n#[test]\n#[should_panic(\n    expected = \"x\"\n)]\nfn boom() {}\n"
    [(name, body)] = tool.rust_tests(text)
    assert (name, tool.cited(name, body)) == ("boom", {"T-1"})


def test_python_tests_are_functions_named_test_with_their_comments():
    text = "# T-2\nX = 1\n\n\n# T-1\ndef test_a():\n    pass\n\n\ndef other():\n    '''T-2'''\n"
    [(name, body)] = tool.python_tests(text)
    assert (name, tool.cited(name, body)) == ("test_a", {"T-1"})


def test_only_comments_of_a_scenario_count():
    text = "# T-1\n\n> register T-2\n  #6 T-2\n"
    [(_, body)] = tool.tests_of("tests/scenarios/a.txt", text)
    assert tool.cited("", body) == {"T-1"}


def test_a_rule_without_a_test_fails_the_check(tmp_path, capsys):
    cover = tree(tmp_path, a_dot_rs=RUST)
    (tmp_path / tool.OUTPUT).write_text(cover.table())
    assert cover.missing() == ["T-2", "B-30", "ha-1"]
    assert cover.check() == 1
    out = capsys.readouterr().out
    assert "T-2: no test cites it (A counter)" in out
    assert "3 of 6 rules" in out


def test_a_complete_and_fresh_table_passes_and_a_stale_one_fails(tmp_path):
    cover = tree(tmp_path, a_dot_rs=RUST, tests__scenarios__b_dot_txt="# T-2, B-30, rule 1\n")
    assert cover.check() == 1
    (tmp_path / tool.OUTPUT).write_text(cover.table())
    assert cover.check() == 0


def test_a_citation_of_a_rule_that_does_not_exist_fails(tmp_path, capsys):
    cover = tree(tmp_path, a_dot_py="def test_a():\n    '''T-77'''\n")
    assert cover.check() == 1
    assert "T-77: cited in a.py test_a, but there is no such rule" in capsys.readouterr().out


def test_a_deviation_is_marked_and_must_name_a_rule(tmp_path):
    page = "| Rule | What we do | Why |\n|---|---|---|\n| T-1 (W13) | other | reason |\n"
    cover = tree(tmp_path, docs__deviations_dot_md=page)
    assert set(cover.deviations) == {"T-1", "W13"}
    assert "A topic maps `a` to b **Built otherwise**" in cover.table()
    assert cover.unknown == []


def test_build_folders_are_not_searched(tmp_path):
    cover = tree(tmp_path, target__a_dot_rs=RUST)
    assert not any(cover.tests.values())
