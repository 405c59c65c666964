"""Leaves calls out of a search by what their stored states say in plain bytes, where they are stored: sending
and reading them is what costs.

What a sieve lets through may still not be wanted; what it leaves out never is.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from ari_app.store.packed import NAMED, text_in

SIFT = """
local states, way, answered, line, named = unpack(ARGV, 4, 8)
local is_counted = way ~= '' or answered ~= '' or line ~= ''
local function counts_otherwise(stored)
  local is_way, is_answered, is_line = string.match(stored,
    '^{"counted":%["[^"]*","[^"]*","(%a+)",([01]),[^,]*,[^,]*,"[^"\\\\]*","([^"\\\\]*)"%]')
  return is_way and (way ~= '' and is_way ~= way or answered ~= '' and is_answered ~= answered
    or line ~= '' and is_line ~= line)
end
local function leaves_out(stored)
  if is_counted and counts_otherwise(stored) then return true end
  if #ARGV < 9 then return false end
  local ends = string.find(stored, '\\n', 1, true)
  if ends then
    stored = string.sub(stored, string.find(stored, '"packed":', 1, true) or 1, ends)
    if not string.find(stored, named, 1, true) then return false end
  end
  for index = 9, #ARGV do
    if not string.find(stored, ARGV[index], 1, true) then return true end
  end
  return false
end
local most = tonumber(ARGV[3])
if string.sub(ARGV[1], 1, 1) ~= '(' then most = most + redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[1]) end
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', 0, most)
local given, run = {#found == 2 * most}, nil
local keys, known = {}, {}
for index = 1, #found, 2 do
  keys[#keys + 1] = states .. found[index]
  if #keys == 1000 or index + 1 == #found then
    for _, stored in ipairs(redis.call('MGET', unpack(keys))) do known[#known + 1] = stored end
    keys = {}
  end
end
for index = 1, #found, 2 do
  local id, at, stored = found[index], found[index + 1], known[(index + 1) / 2]
  local count = stored and 1 or 0
  stored = stored and not leaves_out(stored) and stored
  if run and not stored and tonumber(at) ~= tonumber(ARGV[1]) then
    run[1], run[2], run[4] = id, at, run[4] + count
  else
    run = {id, at, stored or '', count}
    given[#given + 1] = run
    if stored or tonumber(at) == tonumber(ARGV[1]) then run = nil end
  end
end
return given
"""
"""Lua. The key: an index of calls. The arguments: the newest and the oldest moment, how many calls (and those
of the newest moment besides), what the keys of their states begin with, and `Sieve.words`.

It gives whether there may be more behind them, then the calls, the newest first: id, moment, state, 1. Those
that are left out in a row stand together, without a state: id and moment of the last of them, and how many
they are (one that is gone doesn't count); only in the newest moment each stands alone.
"""


@dataclass(frozen=True, slots=True)
class Sieve:
    """What calls are looked for; what is empty leaves none out."""

    direction: str = ""
    answered: bool | None = None
    line: str = ""
    """The shop's number, in E.164."""
    extension: str = ""
    """One that stands somewhere in the call."""
    ending: str = ""
    """A word of `Ending`."""

    @property
    def words(self) -> list[str | bytes | int]:
        """Give what the script is told: what a call is counted as is compared as it is, the last ones stand
        somewhere in the state, or in what is said in front of a packed one.
        """
        answered = "" if self.answered is None else int(self.answered)
        return [self.direction, answered, self.line, NAMED, *self._texts]

    @property
    def _texts(self) -> list[bytes]:
        ending = [b'"ending":' + orjson.dumps(self.ending)] if self.ending else []
        return [*ending, orjson.dumps(self.extension)] if self.extension else ending

    def leaves_out(self, state: bytes) -> bool:
        """Tell whether a call that the script has let through is certainly not looked for: of those that an
        earlier version has packed it can't see much.
        """
        texts = self._texts
        text = text_in(state) if texts else None
        return text is not None and not all(one in text for one in texts)
