"""`forebay.dams.csv_lines`: lines that do not belong to the table, and separators at the ends of lines."""

import pytest

from forebay.dams.csv_layout import TextLayout
from forebay.dams.csv_lines import only_table_lines, without_surplus_fields
from forebay.dams.csv_text import read_columns
from forebay.errors import SourceError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a,b\n1,2,\n3,4,,\n", b"a,b\n1,2\n3,4\n"),
        (b"a,b\n1,2,5\n3,4\n", b"a,b\n1,2,5\n3,4\n"),
        (b'a,b\n1,"2,5",\n', b'a,b\n1,"2,5"\n'),
        (b"a,b\n1,2, \r\n", b"a,b\n1,2\n"),
    ],
)
def test_only_empty_surplus_fields_are_cut(text: bytes, expected: bytes) -> None:
    assert without_surplus_fields(text, ",", 2) == expected


def test_a_surplus_field_with_a_text_is_refused_with_its_line() -> None:
    layout = TextLayout(path="a.csv")
    assert read_columns(b"a,b\n1,2,\n", ["b"], layout)["b"].to_list() == ["2"]
    with pytest.raises(SourceError, match="line 3: 3 fields where the header has 2"):
        read_columns(b"a,b\n1,2,\n1,2,5\n", ["b"], layout)


def test_comments_keep_the_numbers_of_the_lines_and_the_stated_header() -> None:
    layout = TextLayout(path="a.csv", comment=("Total", "date"), header_line=1)
    text = b'date,x\n2024-01-01,1\nTotal,5\n"Total, all",6\ndate,x\n2024-01-02,2\n'
    assert only_table_lines(text, layout) == b"date,x\n2024-01-01,1\n\n\n\n2024-01-02,2\n"
