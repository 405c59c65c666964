"""Names that are stored stay: what was written before a renaming is read, and the other way round."""

import orjson
from pydantic import TypeAdapter

from ari_app.calls.call import Way
from ari_app.calls.stored import dump_call, load_call
from tests.support.story import clicked


def test_that_the_crm_was_told_is_written_by_its_old_name_and_read_from_it() -> None:
    story = clicked().manager_answers().caller_hangs_up()
    for told, was_told in ((story.call, True), (clicked().call, False)):
        written = orjson.loads(dump_call(told))
        assert written["reported"] is was_told
        assert load_call(orjson.dumps(written)) == told


def test_a_call_that_a_dialplan_reports_is_written_as_ever() -> None:
    assert TypeAdapter(Way).dump_json(Way.REPORTED) == b'"reported"'
