"""Names of files that somebody else chose: thirty ways out of a folder, and what an ordinary name may be."""

import pytest

from maestro.errors import InvalidInput
from maestro.mesh.paths import check_name, folder_of

ASTRAY = (
    "../etc/passwd", "a/../../b", "..", ".", "./a", "a/./b", "a//b", "/etc/passwd", "//etc/passwd", "a/", "",
    "..\\windows", "a\\b", "C:\\x", "C:x", "\\\\host\\share", "%2e%2e/x", "%2e%2e%2fx", "..%2fx", "a%00b", "a\x00b",
    "..;/x", "~/x", "~root/x", "-rf", "a\nb", "．．/x", "a／b", "…/x", "a\u202egpj.exe", "CON", "nul.txt", "a/com1",
    "a.", "a ", " a", ".ssh/id", "a/.git/config", "file:x", "a:b", "x" * 256, "/".join("a" * 17), "a" + "/b" * 300,
)  # fmt: skip
PLAIN = (
    "paper.pdf",
    "papers/2026/one.pdf",
    "a b (1).txt",
    "Übung.md",
    "論文.pdf",
    "ﬁle.txt",
    "v1..2.txt",
    "a&b,c;d.txt",
)


@pytest.mark.shows("5.5")
def test_there_are_thirty_ways() -> None:
    assert len(set(ASTRAY)) >= 30


@pytest.mark.shows("5.5")
@pytest.mark.parametrize("name", ASTRAY)
def test_no_way_out_is_a_name(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_name(name, "artifact")
    assert caught.value.field == "artifact"


@pytest.mark.parametrize("name", PLAIN)
def test_an_ordinary_name_is_one(name: str) -> None:
    assert str(check_name(name)) == name


@pytest.mark.parametrize(
    "url",
    [
        "file:", "file:///", "file://host/x", "file:///a/../b", "file:///a?glob=../*", "file:///a?x=1", "file:relative",
        "file:///a#b", "file:///%2e%2e/x", "maildir:", "file:///a%00b",
    ],
)  # fmt: skip
def test_what_names_no_folder_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        folder_of(url)
    assert caught.value.field == "url"


def test_a_folder_and_its_pattern() -> None:
    assert tuple(map(str, folder_of("file:///var/in%20box?glob=*.pdf"))) == ("/var/in box", "*.pdf")
    assert tuple(map(str, folder_of("maildir:///var/mail"))) == ("/var/mail", "*")
