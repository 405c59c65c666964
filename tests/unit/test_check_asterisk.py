"""Which Asterisk can a recording bring down."""

import pytest

from ari_app.check.asterisk import falls

WITH_THE_FAULT = """
    16.16.0 16.28.0~dfsg-0+deb11u3 16.30.1 18.2.0 18.10.0~dfsg 18.16.0 19.0.0 19.8.1 20.0.0 20.1.0
    certified/18.9-cert5 18.9-cert5
"""
WITHOUT_IT = """
    16.15.1 17.9.4 18.1.1 18.17.0 18.26.4 20.2.0 20.6.0~dfsg+~cs6.13.40431414 certified/20.7-cert3
    certified/16.8-cert14 21.0.0 22.10.0 GIT-master-1da489a434
"""


@pytest.mark.parametrize("version", WITH_THE_FAULT.split())
def test_it_crashes_when_a_customer_hangs_up_as_the_recording_begins(version: str) -> None:
    assert falls(version)


@pytest.mark.parametrize("version", ["", *WITHOUT_IT.split()])
def test_it_does_not_crash_or_it_is_not_known(version: str) -> None:
    assert not falls(version)
