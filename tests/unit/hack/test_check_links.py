"""hack.check_links: which links of a page it reports."""

from pathlib import Path

import pytest

from hack.check_links import broken

OTHER = "# A heading\n\n## `code` & [link](x.md)\n\n## Twice\n\n## Twice\n"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("[a](other.md)", [], id="a file that is there is fine"),
        pytest.param("[a](gone.md)", ["gone.md: no such file"], id="a file that is gone is reported"),
        pytest.param("[a](other.md#a-heading)", [], id="a heading is found by its slug"),
        pytest.param("[a](other.md#code--link)", [], id="a slug keeps the text of code and links"),
        pytest.param("[a](other.md#twice-1)", [], id="a second heading of one name is numbered"),
        pytest.param(
            "[a](other.md#b)", ["other.md#b: no such heading in other.md"], id="a missing heading is reported"
        ),
        pytest.param("# Here\n[a](#here)", [], id="a heading of the page itself is found"),
        pytest.param("[a](https://example.com/x)", [], id="links to elsewhere are not followed"),
        pytest.param("```\n[a](gone.md)\n```\n`[a](gone.md)`", [], id="code is no link"),
        pytest.param("[a]: gone.md", ["gone.md: no such file"], id="link definitions count"),
        pytest.param("![a](dir/gone.svg)", ["dir/gone.svg: no such file"], id="images count"),
    ],
)
def test_broken_links(tmp_path: Path, text: str, want: list[str]) -> None:
    (tmp_path / "other.md").write_text(OTHER)
    page = tmp_path / "page.md"
    page.write_text(text)
    got = list(broken(page))
    assert got == want
