"""What a PBX's firewall has to let in."""

from ari_app.network.seen_from import seen_from


async def test_a_pbx_beside_us_sees_our_own_address() -> None:
    assert await seen_from("127.0.0.1", "https://203.0.113.7") == "127.0.0.1"
    assert await seen_from("localhost", "https://203.0.113.7") in ("127.0.0.1", "::1")


async def test_a_pbx_in_the_internet_sees_the_address_at_which_we_are_reached() -> None:
    assert await seen_from("", "https://8.8.4.4/cabinet") == "8.8.4.4"
    assert await seen_from("no such name", "https://8.8.4.4") == "8.8.4.4"


async def test_where_nobody_can_know_it_nothing_is_said() -> None:
    assert await seen_from("", "http://127.0.0.1:8080") is None
    assert await seen_from("", "https://no-such-name.invalid") is None
