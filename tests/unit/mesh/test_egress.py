"""Which addresses may be called: sixty forms by which somebody reaches inside, and what stays reachable."""

import resource
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from maestro.errors import EgressRefused, InvalidInput
from maestro.mesh.egress import Egress, destination, parse_address, special

MB = 1024 * 1024
INSIDE = (  # what names or means an inner address, or leaves the web
    "http://127.0.0.1/", "http://127.0.0.1:6379/", "http://127.255.255.254/", "http://0.0.0.0/", "http://0/",
    "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/",
    "http://0177.0.0.1/", "http://017700000001/", "http://0x7f.0.0.1/", "http://127.0.0.1./", "http://127.000.000.001/",
    "http://10.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/", "http://168.63.129.16/", "http://198.18.0.1/", "http://192.0.0.192/",
    "http://224.0.0.1/", "http://239.255.255.250/", "http://255.255.255.255/", "http://240.0.0.1/",
    "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b::a00:1]/",
    "http://[64:ff9b:1::1]/", "http://[2002:7f00:1::]/", "http://[2001:0:7f00:1::]/", "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/", "http://[fc00::1]/", "http://[fd00:ec2::254]/", "http://[ff02::1]/",
    "http://[2001:db8::1]/", "http://[2a00::5efe:7f00:1]/",
    "http://１２７.０.０.１/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/",
    "http://user@127.0.0.1/", "http://example.org@127.0.0.1/", "http://127.0.0.1\\@example.org/",
    "http://example.org:80@127.0.0.1/", "http://[::1]example.org/",
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "ftp://example.org/", "unix:///run/redis.sock",
    "dict://127.0.0.1:11211/", "data:text/plain,x", "//127.0.0.1/", "http:127.0.0.1", "jar:http://example.org!/",
    "http://127.0.0.1%2f@example.org/", "http://%31%32%37.0.0.1/", "http://exa\nmple.org/", "http://example.org:0/",
)  # fmt: skip
NAMES = {  # what a resolver answers
    "rebound.example": ["93.184.216.34", "127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "zoned.example": ["fe80::1%eth0"],
    "nowhere.example": [],
}


def addresses(url: str) -> list[str]:
    to = destination(url)
    return NAMES.get(to.host, [to.host] if to.address else ["93.184.216.34"])


def allowed(url: str, egress: Egress = Egress()) -> bool:  # noqa: B008 - frozen
    try:
        return bool(egress.check(destination(url), addresses(url)))
    except EgressRefused:
        return False


@contextmanager
def cheaply() -> Iterator[None]:
    """What happens inside takes less than a second and 100 MB."""
    grown_kib, began_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    tracemalloc.start()
    try:
        yield
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100 * MB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown_kib < 100 * 1024
    assert time.process_time() - began_s < 1.0


@pytest.mark.shows("5.5")
def test_there_are_sixty_forms() -> None:
    assert len({*INSIDE, *NAMES}) >= 60


@pytest.mark.shows("5.5")
@pytest.mark.parametrize("url", INSIDE)
def test_no_form_of_an_inner_address_may_be_called(url: str) -> None:
    with cheaply():
        assert not allowed(url)


@pytest.mark.shows("5.5")
@pytest.mark.parametrize("name", NAMES)
def test_a_name_with_one_inner_address_may_not_be_called(name: str) -> None:
    with cheaply():
        assert not allowed(f"http://{name}/")


@pytest.mark.parametrize("port", [22, 25, 6379, 8265, 10_250, 65_535])
def test_only_the_ports_of_the_web_may_be_called(port: int) -> None:
    assert not allowed(f"http://example.org:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/", "http://EXAMPLE.org./feed", "https://bücher.example/", "http://93.184.216.34:8080/",
        "http://[2606:2800:220:1:248:1893:25c8:1946]/", "http://[64:ff9b::5db8:d822]/", "https://a_b.example/?q=1#f",
        "https://1.example/", "https://rss.arxiv.org/rss/cs.AI",
    ],
)  # fmt: skip
def test_the_public_web_may_be_called(url: str) -> None:
    assert allowed(url)


def test_a_refusal_says_what_is_wrong_and_how_to_allow_it() -> None:
    with pytest.raises(EgressRefused) as caught:
        Egress().check(destination("http://metadata.example/"), NAMES["metadata.example"])
    assert caught.value.facts["reason"] == "egress_refused"
    assert "metadata" in caught.value.message
    assert "MAESTRO_EGRESS_ALLOW" in (caught.value.hint or "")


def test_an_operator_opens_hosts_and_networks_by_name() -> None:
    egress = Egress.parse(["127.0.0.1:8080", "wiki.corp", "10.1.0.0/16", "[::1]:9000"])
    assert allowed("http://127.0.0.1:8080/", egress)
    assert allowed("http://10.1.2.3:5000/", egress)
    assert allowed("http://[::1]:9000/", egress)
    assert egress.check(destination("http://wiki.corp:1234/"), ["192.168.0.7"])
    assert not allowed("http://127.0.0.1:6379/", egress)
    assert not allowed("http://10.2.0.1/", egress)
    assert not allowed("http://[::1]/", egress)


@pytest.mark.parametrize("entry", ["", "http://x", "a b", "10.0.0.0/33", "127.1", "me@host", "host:99999"])
def test_what_cannot_be_allowed_is_refused_by_name(entry: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Egress.parse([entry])
    assert caught.value.field == "egress_allow"


def test_an_address_that_an_operator_wrote_is_meant_and_a_name_is_not() -> None:
    assert allowed("http://127.0.0.1:4711/x", Egress().with_origin("http://127.0.0.1:4711/feed"))
    assert not allowed("http://127.0.0.1:4712/x", Egress().with_origin("http://127.0.0.1:4711/feed"))
    assert not allowed("http://metadata.example/", Egress().with_origin("http://metadata.example/"))


def test_every_special_network_is_known_by_its_first_and_last_address() -> None:
    for text in ("10.0.0.0", "10.255.255.255", "100.127.255.255", "198.19.255.255", "fdff::1", "febf::1", "3fff::1"):
        assert special(parse_address(text)) is not None
    for text in ("9.255.255.255", "11.0.0.0", "100.128.0.0", "172.32.0.0", "2600::1"):
        assert special(parse_address(text)) is None
