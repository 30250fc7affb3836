from server.jwks.published import PublishedKeySet
from tests.minting import key_set

URL = "https://issuer.example/keys"


def published(**headers: str) -> PublishedKeySet:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PublishedKeySet(key_set(), URL, named, asked_at=100)


def test_a_document_is_asked_for_by_the_validators_that_came_with_it() -> None:
    held = published(ETag='"a"', Last_Modified="yesterday", Age="5")

    assert held.conditions(URL) == {"If-None-Match": '"a"', "If-Modified-Since": "yesterday"}


def test_a_document_without_validators_is_asked_for_without_conditions() -> None:
    assert published(Age="5").conditions(URL) == {}


def test_the_validators_of_one_place_are_not_another_places() -> None:
    assert published(ETag='"a"').conditions("https://issuer.example/moved") == {}


def test_a_document_that_is_confirmed_lives_as_the_confirmation_says() -> None:
    held = published(ETag='"a"', Cache_Control="max-age=60", Age="50", Date="then")

    confirmed = held.confirmed({"Cache-Control": "max-age=120"}, asked_at=200)

    assert confirmed.keys is held.keys
    assert confirmed.asked_at == 200
    assert confirmed.headers == {"ETag": '"a"', "Cache-Control": "max-age=120"}


def test_a_confirmation_that_says_nothing_leaves_what_was_said() -> None:
    held = published(ETag='"a"', Cache_Control="max-age=60")

    assert held.confirmed({}, asked_at=200).headers == held.headers
