"""Files of users are read as YAML means them, with lines, and nothing in them can do harm."""

import datetime
import textwrap
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from netwatch.core import yaml_reader, yaml_scalars
from netwatch.core.user_yaml import Fields, Problems, YamlMapping, YamlSequence
from netwatch.core.yaml_reader import MAX_NESTING, decode_yaml, parse_yaml, row_mapping
from netwatch.core.yaml_scalars import Row, take_rows


def read(text: str | bytes) -> tuple[YamlMapping | None, list[str]]:
    problems = Problems()
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    found = decode_yaml(raw, "f.yaml", problems)
    return found, [str(problem).removeprefix("f.yaml:") for problem in problems.found]


def with_lines(value: Any) -> Any:
    """A value with the lines of everything in it."""
    if isinstance(value, YamlMapping):
        return value.line, value.lines, {key: with_lines(each) for key, each in value.items()}
    if isinstance(value, YamlSequence):
        return value.line, list(value.lines), [with_lines(each) for each in value]
    return type(value), repr(value)


def test_every_value_has_its_line() -> None:
    found, messages = read(
        "a: 1\nb:\n  - x\n  # no\n  - {c: 2023-01-02,\n     d: yes}\n\ne: [1.5, ~]\n"
    )
    assert messages == []
    assert found == {
        "a": 1,
        "b": ["x", {"c": datetime.date(2023, 1, 2), "d": True}],
        "e": [1.5, None],
    }
    assert found is not None
    assert found.lines == {"a": 1, "b": 2, "e": 8}
    assert list(found["b"].lines) == [3, 5]
    assert (found["b"][1].line, found["b"][1].lines) == (5, {"c": 5, "d": 6})


TAGS = sorted(tag for tag in yaml.SafeLoader.yaml_constructors if tag)
VALUES = [
    "x",
    '""',
    "''",
    "12",
    "1.5",
    "yes",
    "2023-01-02",
    "[a, b]",
    "{a: b}",
    "~",
    "aGk=",
    "=",
    "<<",
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("tag", [*TAGS, "tag:yaml.org,2002:python/object:os.system", "!own", "!"])
def test_a_tag_is_the_type_that_a_value_has_or_a_mistake(tag: str, value: str) -> None:
    written = f"!<{tag}>" if tag != "!" else "!"
    found, messages = read(f"version: 1\nkey: {written} {value}\n")
    assert found is not None
    if messages:
        assert len(messages) == 1
        assert messages[0].startswith("2: expected ")
    else:
        is_key = value in ("<<", "=")
        expected = value if is_key else yaml.safe_load(f"key: {written} {value}\n")["key"]
        assert (found["key"], type(found["key"])) == (expected, type(found["key"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k: !!timestamp x", "1: expected a date, as the tag !!timestamp requires, found 'x'"),
        ("k: !!bool x", "1: expected true or false, as the tag !!bool requires, found 'x'"),
        ('k: !!int ""', "1: expected an integer, as the tag !!int requires, found ''"),
        ('k: !!float ""', "1: expected a number, as the tag !!float requires, found ''"),
        ("k: !!null x", "1: expected nothing, as the tag !!null requires, found 'x'"),
        ("k: !!binary aGk=", "1: expected a value without the tag !!binary, found 'aGk='"),
        ("k: !own x", "1: expected a value without the tag !own, found 'x'"),
        ("k: !!set {a, b}", "1: expected a value without the tag !!set"),
        ("k: !!omap [a: b]", "1: expected a value without the tag !!omap"),
        ("k: !!str [a, b]", "1: expected a value without the tag !!str"),
        ("k: !!str {a: b}", "1: expected a value without the tag !!str"),
        ("k: 2023-02-30", "1: expected a date: day is out of range for month, found '2023-02-30'"),
        ("k: 2023-01-01T00:00:00+99:00", "1: expected a date: "),
        ("k: 0b_", "1: expected an integer: "),
        ("k: &a [x]\nl: *a", "2: expected values written out, found an alias (*name)"),
        ("k: &a [*a]", "1: expected values written out, found an alias (*name)"),
        ("a: 1\n---\nb: 2", "2: expected one document in the file, found a second one (---)"),
        ("? [a, b]\n: c\nd: 1", "1: expected a word as key, found a list or a mapping"),
        ("? {a: [b, {c: d}]}\n: {e: f}\nd: 1", "1: expected a word as key, found a list or a map"),
        ("a: {b: 1}\na: {c: 2}\nd: 1", "2: duplicate key 'a' (first on line 1)"),
        ("[a]", "1: expected a mapping (key: value), found a list"),
        ("\ntext", "2: expected a mapping (key: value), found a single value"),
        ("a: b\n c: d", "2: is not valid YAML: mapping values are not allowed in this context"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    _, messages = read(text)
    assert len(messages) == 1
    assert messages[0].startswith(message)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n...\n", "\ufeff"])
def test_an_empty_file(text: str) -> None:
    expected = "f.yaml: expected a mapping (key: value), found an empty file"
    found, messages = read(text)
    assert found is None
    assert [f"f.yaml:{message}" for message in messages] == [expected]


def test_what_follows_a_mistake_is_still_read() -> None:
    found, messages = read("a: !!int x\n? [k]\n: v\nb: [!!bool y, 2]\na: {c: !!float z}\nd: 3\n")
    assert found == {"a": None, "b": [None, 2], "d": 3}
    assert [message[:2] for message in messages] == ["1:", "2:", "4:", "5:", "5:"]


def test_merge_keys_are_keys_like_others() -> None:
    found, messages = read("<<: {a: 1}\nb: <<\nc: =\n")
    assert messages == []
    assert found == {"<<": {"a": 1}, "b": "<<", "c": "="}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "&a [", "!!seq [", '[{"b": '])
def test_deep_nesting_is_a_mistake_and_costs_no_stack(opening: str) -> None:
    start = "k:\n  " if opening[0] in "-?" else "k: "
    _, messages = read(start + opening * 200_000)
    expected = f"expected at most {MAX_NESTING} lists and mappings inside one another"
    flow = "is not valid YAML: exceeded maximum nesting depth"
    assert messages[-1].split(": ", 1)[1] in (expected, flow)
    assert len(messages) <= MAX_NESTING


def test_nesting_up_to_the_limit() -> None:
    depth = MAX_NESTING - 1
    found, messages = read("k: " + "[" * depth + "]" * depth)
    assert messages == []
    assert found is not None
    assert len(read("k: " + "[" * (depth + 1) + "]" * (depth + 1))[1]) == 1


def test_an_alias_bomb_is_refused_at_its_first_alias() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert read("\n".join(lines)) == (
        None,
        ["2: expected values written out, found an alias (*name)"],
    )


@pytest.mark.parametrize(
    "number",
    [
        "9" * 5000,
        "-" + "9" * 5000,
        "0x" + "f" * 5000,
        "0b" + "1" * 5000,
        "1:" + "59:" * 2000 + "1.0",
    ],
)
def test_a_number_of_thousands_of_digits_is_not_shown_whole(number: str) -> None:
    for text in (
        f"k: {number}",
        f"l:\n  - {{k: {number.replace(':', '')}}}",
        f"k: !!{'float' if '.' in number else 'int'} {number}",
    ):
        _, messages = read(text)
        assert len(messages) == 1
        assert "expected a number or date of at most 100 characters" in messages[0]
        assert len(messages[0]) < 250


def test_long_texts_are_not_shown_whole() -> None:
    long = "x" * 1000  # the longest key that YAML allows has 1,024 characters
    _, messages = read(f"{long}: 1\n{long}: 2\n")
    assert len(messages[0]) < 250
    problems = Problems()
    mapping = parse_yaml(f"{long}: 1\nb: {long}\nc: [{long}]\nd: {long}\n", "f", problems)
    assert mapping is not None
    fields = Fields(mapping, "f", problems, "a thing")
    assert fields.choice("b", ["one", "two"], None) is None
    assert fields.date("d") is None
    fields.texts("c")
    fields.reject_unknown()
    assert len(problems.found) == 3
    assert max(len(problem.message) for problem in problems.found) < 250


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a: 1\nb: \xff\n", "2: expected UTF-8 text, found other bytes"),
        (b"a: 1\nb: \xed\xa0\x80\n", "2: expected UTF-8 text, found other bytes"),
        ("a: 1\n".encode("utf-16"), "1: expected UTF-8 text, found other bytes"),
        (b"a: 1\nb: x\x00y\n", "2: expected text, found the character U+0000"),
        (bytes(1 << 20), "1: expected text, found the character U+0000"),
        (b"a: 1\n# \x1b[31m\n", "2: expected text, found the character U+001B"),
        ("a: \ufffe\n".encode(), "1: expected text, found the character U+FFFE"),
    ],
)
def test_what_is_not_text(raw: bytes, message: str) -> None:
    assert read(raw) == (None, [message])


def test_byte_order_mark_and_line_ends_of_windows() -> None:
    found, messages = read(b"\xef\xbb\xbfa: 1\r\nb:\r\n  - {c: d}\r\n  - {c: e}\r\n")
    assert messages == []
    assert found is not None
    assert found == {"a": 1, "b": [{"c": "d"}, {"c": "e"}]}
    assert list(found["b"].lines) == [3, 4]


def test_text_is_read_as_it_is_written() -> None:
    text = "a: 012\nb: 1_000\nc: 12:34:56:11:22:33\nd: 2023-01-02\ne: 1.50\nf: 0x1F\n"
    rows = f"r:\n  - {{{', '.join(text.replace('c: 12:34:56:11:22:33', 'c: x').splitlines())}}}\n"
    problems = Problems()
    mapping = parse_yaml(text + rows, "f", problems)
    assert mapping is not None
    fields = Fields(mapping, "f", problems, "a thing")
    expected = ["012", "1_000", "12:34:56:11:22:33", "2023-01-02", "1.50", "0x1F"]
    assert [fields.text(key) for key in "abcdef"] == expected
    (row,) = fields.build_each("r", lambda entry: [entry.text(key) for key in "abdef"], "a row")
    assert row == [each for each in expected if ":" not in each]
    assert problems.found == []


# Rows: the fast way to read a line must give exactly what the parser gives.


def slowly(text: str) -> tuple[Any, list[str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_reader, "take_rows", lambda text: (text, [], []))
        return read(text)


def same(text: str) -> int:
    """Asserts that rows change nothing; the number of rows that were taken."""
    fast, slow = read(text), slowly(text)
    assert (with_lines(fast[0]), fast[1]) == (with_lines(slow[0]), slow[1])
    return len(take_rows(text)[2])


@pytest.mark.parametrize(
    "row",
    [
        "- {suffix: tiktok.com, role: exclusive, sources: [v2fly, nextdns]}",
        "-   { a: b , c: [ d ,e ] ,f: [] }   # a comment: {x: y}",
        '- {name: "Head: office, {x: y}", cidrs: ["2001:db8::/32", 10.0.0.0/8]}',
        "- {a: 1, b: 1.5, c: yes, d: null, e: 2023-01-02, f: 0x1f, g: 1_0, h: 012, i: 1e3, j: Off}",
        "- {a: 1, a: 2}",
        "- {a: 2023-02-30}",
        f"- {{a: {'9' * 200}}}",
        "- {a: p16-*.example.com, yes: no}",
        '- {a: "", b: [""], c: "1"}',
        "- {a: 1.5e-3, b: 1.5.2, c: _1, d: 1-2}",
    ],
)
def test_a_row_means_what_the_parser_says(row: str) -> None:
    assert same(f"k:\n  {row}\n  {row}\n") == 2
    assert same(f"k:\n{row}\n  # no\n\n{row}") == 2


@pytest.mark.parametrize(
    "row",
    [
        "- {a: b}:",
        "- {a: b}#",
        "- {a: b} c",
        "- {a: b},",
        "- {a:b}",
        "- {a: b:c}",
        "- {a: b c}",
        "- {a: 'b'}",
        "- {a: &x b}",
        "- {a: !!int 1}",
        "- {a: {b: c}}",
        "- {a: [[b]]}",
        "- {a}",
        "- {}",
        "- {a: }",
        "- {a: é}",
        '- {"a": b}',
        '- {a: "\\n"}',
        "- - {a: b}",
        "-{a: b}",
        "- {a: b,}",
        "-\t{a: b}",
    ],
)
def test_everything_else_is_left_to_the_parser(row: str) -> None:
    assert same(f"k:\n  {row}\n") == 0


ROW = "- {a: b, c: [d]}"


@pytest.mark.parametrize(
    "text",
    [
        f"k: |\n  {ROW}\n  {ROW}\n",
        f"k: >\n  text\n  {ROW}\n",
        f"k: 'text\n  {ROW}\n  more'\n",
        f'k: "text\n  {ROW}\n  more"\n',
        f"k: text\n  {ROW}\n  more\n",
        f"k:\n  {ROW}\n     more\n",
        f"k:\n  {ROW}\n     {ROW}\n",
        f"k:\n  {ROW}\n {ROW}\n",
        f"k:\n  {ROW}\n   x: y\n",
        f"k: [\n  {ROW}\n]\n",
        f"k:\n  {ROW}\n  - x\n  -\n    - {{a: b}}\n  {ROW}\n",
        f"k:\n  {ROW}\nl:\n  - 0\n  {ROW}\n",
        f"{ROW}\n{ROW}\n",
        f"--- |\n{ROW}\n",
        f"k:\n  {ROW}\nk:\n  {ROW}\nl: [\n",
        f"k:\n  {ROW}\n\tx\n",
        f"k:\n  {ROW}\n...\n---\na: 1\n",
        f"k: &x\n  {ROW}\nl: *x\n",
        f"k:\n  {ROW}\r  {ROW}\nl: 1\n",
        f"k: '\x85'\nl:\n  {ROW}\nm: n: o\n",
        f"k:\n  {ROW}\nm: n: o\n",
        f"? \n  {ROW}\n: x\n",
    ],
)
def test_rows_inside_of_other_things(text: str) -> None:
    same(text)


LINES = st.sampled_from(
    [
        *("k:", "l:", "  m:", "k: |", "k: >-", "k: '", "'", '"', 'k: "', "text", "  text", "# c"),
        *("", "---", "...", "[", "]", "  ]", "- 0", "  - 0", "  - x", "  -", "    x: y", "\t"),
        *(
            ROW,
            f"  {ROW}",
            f"  {ROW}",
            f"  {ROW}",
            f"    {ROW}",
            f" {ROW}",
            f"  {ROW}  # c",
            "  - é",
        ),
    ]
)


@given(st.lists(LINES, max_size=14).map("\n".join))
@example("k:\n  - {a: b, c: [d]}\n\nk: '\n  - {a: b, c: [d]}\n'")
def test_rows_never_change_what_a_file_means(text: str) -> None:
    same(text)


@given(st.text(alphabet="ab1:,{}[]\"'-.#*& \n!|0?\t", max_size=60))
@example("- {a: 1}\n- {a: 1}")
def test_any_text_is_values_or_problems(text: str) -> None:
    same(text)
    found, messages = read(text)
    if found is not None and not messages:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        assert repr(found) == repr(as_pyyaml_reads(loader, loader.get_single_node()))


def as_pyyaml_reads(loader: yaml.SafeLoader, node: yaml.Node | None) -> Any:
    """The value of a node, but with the keys as they are written, since here they are text."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: as_pyyaml_reads(loader, value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [as_pyyaml_reads(loader, item) for item in node.value]
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_object(node)  # type: ignore[no-untyped-call]


@given(st.binary(max_size=80))
def test_any_bytes_are_values_or_problems(raw: bytes) -> None:
    found, messages = read(raw)
    assert (found is None) <= bool(messages)


def test_rows_of_one_list_may_stay_as_they_are_written() -> None:
    text = textwrap.dedent(
        """\
        domains:
          - {suffix: a.example, role: vendor}
          - suffix: b.example
            more: [x]
          - {suffix: c.example}
        other:
          domains:
            - {suffix: d.example}
        """
    )
    problems = Problems()
    mapping = parse_yaml(text, "f.yaml", problems, rows_of="domains")
    assert mapping is not None
    first, second, third = mapping["domains"]
    assert isinstance(first, Row)
    assert isinstance(third, Row)
    assert first.text == "{suffix: a.example, role: vendor}"
    assert second == {"suffix": "b.example", "more": ["x"]}
    assert list(mapping["domains"].lines) == [2, 3, 5]
    assert mapping["other"] == {"domains": [{"suffix": "d.example"}]}
    assert row_mapping(third, "f.yaml", 5, problems) == {"suffix": "c.example"}
    assert problems.found == []


def test_a_long_line_that_is_almost_a_row_takes_linear_time() -> None:
    """With backtracking, this would take far longer than the tests may."""
    for middle in ("a, ", "a.b-", '"x", ', "a: b, ", "a: [b, "):
        assert take_rows("- {a: [" + middle * 100_000 + "!}\n")[2] == []
    assert yaml_scalars.PLACEHOLDER not in yaml_scalars.take_rows("k:\n  - {a: b}!\n")[0]
