"""Forms of settings: fields of an account's models as people see, type, get wrong and keep them.

How a page has one::

    FORM = Form(RegisteredAccount, Text("calls.manager_caller_name"), Number("calls.ring_manager_seconds"),
                Flag("calls.record"), Secret("pbx.ari_password"))

    async def show(request, visit):
        return _page(request, visit, FORM.show(request, visit.account))

    async def save(request, visit):
        filled = await FORM.store(request, visit.account.id)     # 403 without the form's token
        return _page(request, visit, filled) if filled.bad else saved("/telephony")

    def _page(request, visit, filled):
        return page(request, "telephony.html", visit, status=filled.status, form=filled)

and in its template, where labels and sentences are (so that they are translated)::

    {% import "parts/fields.html" as fields with context %}
    {{ fields.said(form) }}                            {# saved, wrong, changed by somebody else meanwhile #}
    {% call fields.form(form, "/telephony") %}
      {{ fields.text(form, "manager_caller_name", _("Name"), help=_("What the phone shows")) }}
      {{ fields.number(form, "ring_manager_seconds", _("Rings for"), unit=_("s")) }}
      {{ fields.flag(form, "record", _("Record calls")) }}
      {{ fields.secret(form, "ari_password", _("Password")) }}
      {{ fields.choice(form, "country", _("Country"), [("RU", _("Russia"))]) }}
    {% endcall %}

A field is named by its path in the model; in the form by the path's last word. What the model demands is the
only rule: limits, required fields and those that may be empty are read off it. What is wrong is a word for
each field (empty, number, range, long, letters, bad), for which `parts/fields.html` has the sentences; a page
says more of a field with ``bad=_("...")``, and adds words for what it checks itself by `Filled.refused`.

A stored password is never shown: an empty field keeps it, and a box beside one that may be absent takes it
away. What was typed is shown again when it was refused. `Filled.version` is what the form was filled from: a
form that shows older settings than the stored ones is refused, with what was typed kept and what is stored
now beside it; sent once more, it is taken. Only the form's own fields count, and only they are changed.

A form of something else than an account (one row of a list, say) is ``Form(ExtensionOf, ...)`` with
`Form.show`, `Form.read` and `Filled.onto`; give it a `prefix` of its own where a page has several.
`Accounts.change` changes an account so that nobody else's change is lost.

`static/forms.js` lets the button “Apply changes” be pressed only when something was changed, and asks before
changes are lost; without it the form works too.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any, Generic, TypeVar, get_args

import annotated_types
import orjson
from aiohttp import web
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from ari_app.accounts.account import RegisteredAccount, checked_account
from cabinet.forms.fields import FORGET, Field, Flag, Number, Secret, Text, Words
from cabinet.frame.clients import SERVICE
from cabinet.frame.visits import Form as Sent
from cabinet.frame.visits import form_of

__all__ = ["Field", "Filled", "Flag", "Form", "Number", "Secret", "Text", "Words", "saved"]

Model = TypeVar("Model", bound=BaseModel)

VERSION_FIELD = "version"
SAVED = "saved"


@dataclass(frozen=True, slots=True)
class Filled(Generic[Model]):
    """A form with its texts: those that are stored, or those that were typed."""

    form: Form[Model]
    texts: Mapping[str, str]
    version: str
    kept: frozenset[str]
    """The passwords that are stored."""
    forgotten: frozenset[str] = frozenset()
    """The passwords that are to be taken away."""
    wrong: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with a field, in a word."""
    problem: str = ""
    """What is wrong with the whole: ``old``, ``together`` (it doesn't fit what the account has besides), or a
    word of the page's own."""
    there: Mapping[str, str] = field(default_factory=dict)
    """What is stored now, of the fields that show something else."""
    typed: bool = False
    changed: bool = False
    """Whether what was typed differs from what is stored."""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    just_saved: bool = False
    prefix: str = ""

    @property
    def bad(self) -> bool:
        """Whether it can't be taken."""
        return bool(self.wrong or self.problem)

    @property
    def status(self) -> int:
        """The status of an answer that shows it."""
        return 409 if self.problem == "old" else 422 if self.bad else 200

    def id(self, name: str) -> str:
        """Give a field's id on the page."""
        return f"{self.prefix}{name}"

    @property
    def first_wrong(self) -> str:
        """Name the field that the reader should look at first."""
        return next((one.name for one in self.form.fields if one.name in self.wrong), "")

    def with_values(self, values: Mapping[str, Any]) -> Filled[Model]:
        """Give it with values, by their paths, that nobody has typed."""
        return replace(self, values={**self.values, **values})

    def refused(self, problem: str = "", **wrong: str) -> Filled[Model]:
        """Give it with what a page found wrong: words for fields, and for the whole."""
        return replace(self, problem=problem or self.problem, wrong={**self.wrong, **wrong})

    def onto(self, stored: Model) -> Model:
        """Give what is stored with what was typed.

        Raises:
            ValidationError: the model does not take it.
        """
        return self.form.apply(stored, self.values)


class Form(Generic[Model]):
    """Fields of one model."""

    def __init__(self, model: type[Model], *fields: Field) -> None:
        self.model = model
        self.fields = fields
        self._about = {one.name: _about(model, one.path) for one in fields}
        if len(self._about) != len(fields):
            raise ValueError("two fields of the form have the same name")

    # -- what the model demands ---------------------------------------------------------------------------

    def optional(self, name: str) -> bool:
        """Whether a field may be absent."""
        return NoneType in get_args(self._about[name].annotation)

    def required(self, name: str) -> bool:
        """Whether a field must be filled in."""
        return self._about[name].is_required()

    def least(self, name: str) -> int | None:
        """The smallest number that a field takes."""
        return self._limit(name, annotated_types.Ge, "ge")

    def most(self, name: str) -> int | None:
        """The greatest number that a field takes."""
        return self._limit(name, annotated_types.Le, "le")

    def longest(self, name: str) -> int | None:
        """How many characters a field takes."""
        return self._limit(name, annotated_types.MaxLen, "max_length")

    def _limit(self, name: str, kind: type, attribute: str) -> int | None:
        found = (getattr(one, attribute) for one in self._about[name].metadata if isinstance(one, kind))
        return next(found, None)

    # -- showing and reading ------------------------------------------------------------------------------

    def show(self, request: web.Request, stored: Model, prefix: str = "") -> Filled[Model]:
        """Fill the form with what is stored."""
        return Filled(
            self,
            {one.name: one.text(self._value(stored, one)) for one in self.fields},
            self._version(request, stored),
            self._kept(stored),
            just_saved=SAVED in request.query,
            prefix=prefix,
        )

    async def read(self, request: web.Request, stored: Model, prefix: str = "") -> Filled[Model]:
        """Read the form that was sent, and say what is wrong with it; 403 if it is no form of ours."""
        return self.take(request, await form_of(request), stored, prefix)

    def take(self, request: web.Request, sent: Sent, stored: Model, prefix: str = "") -> Filled[Model]:
        """Read a form that was sent, as `read` does."""
        values: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for one in self.fields:
            try:
                values[one.path] = one.read(sent, self._value(stored, one), self.optional(one.name))
            except ValueError as problem:
                wrong[one.name] = str(problem)
        found, whole = self._wrong(stored, values)
        texts = {one.name: one.sent(sent) for one in self.fields}
        forgotten = frozenset(one.name for one in self.fields if f"{one.name}{FORGET}" in sent)
        before = {one.name: one.text(self._value(stored, one)) for one in self.fields}
        filled = Filled(
            self,
            texts,
            sent.get(VERSION_FIELD, ""),
            self._kept(stored),
            forgotten,
            wrong=found | wrong,
            problem="" if found or wrong else whole,
            typed=True,
            changed=bool(forgotten) or texts != before,
            values=values,
            prefix=prefix,
        )
        return self.compare(request, filled, stored)

    def compare(self, request: web.Request, filled: Filled[Model], stored: Model) -> Filled[Model]:
        """Refuse a form that was filled from something older than what is stored now."""
        now = self._version(request, stored)
        if hmac.compare_digest(now.encode(), filled.version.encode()):
            return filled
        shown = [one for one in self.fields if not isinstance(one, Secret)]
        there = {one.name: one.text(self._value(stored, one)) for one in shown}
        return replace(
            filled,
            problem="old",
            version=now,
            there={name: text for name, text in there.items() if text != filled.texts[name]},
        )

    async def store(
        self: Form[RegisteredAccount], request: web.Request, account_id: str
    ) -> Filled[RegisteredAccount]:
        """Read the form that was sent, and store it if it is right: `Filled.bad` tells.

        Raises:
            AccountConflict: another account has what was typed.
            StoreUnavailable: Redis can't be reached, or does not answer.
            HTTPForbidden: it is no form of ours.
        """
        sent = await form_of(request)
        return await self.put(request, account_id, lambda account: self.take(request, sent, account))

    async def put(
        self: Form[RegisteredAccount],
        request: web.Request,
        account_id: str,
        read: Callable[[RegisteredAccount], Filled[RegisteredAccount]],
    ) -> Filled[RegisteredAccount]:
        """Store what `read` makes of the account as it is stored at the moment, unless it is bad.

        Raises:
            AccountConflict: another account has what was typed.
            StoreUnavailable: Redis can't be reached, or does not answer.
        """
        filled: Filled[RegisteredAccount] | None = None

        def alter(account: RegisteredAccount) -> RegisteredAccount:
            nonlocal filled
            filled = read(account)
            if filled.bad:
                raise _NotTaken
            return filled.onto(account)

        with suppress(_NotTaken):
            await request.app[SERVICE].accounts.change(account_id, alter)
        if filled is None:  # the account was removed while its page was open
            raise web.HTTPNotFound
        return filled

    def apply(self, stored: Model, values: Mapping[str, Any]) -> Model:
        """Give what is stored with other values, by their paths.

        Raises:
            ValidationError: the model does not take it.
        """
        data = stored.model_dump()
        for path, value in values.items():
            *sections, name = path.split(".")
            inner = data
            for section in sections:
                inner[section] = dict(inner[section] or {})
                inner = inner[section]
            inner[name] = value
        if isinstance(stored, RegisteredAccount):
            return checked_account(data)  # type: ignore[return-value]  # an Account when it has a PBX now
        return type(stored).model_validate(data)

    # -- inside -------------------------------------------------------------------------------------------

    def _wrong(self, stored: Model, values: Mapping[str, Any]) -> tuple[dict[str, str], str]:
        """Ask the model; say of each field of ours what is wrong, and of the whole, in a word."""
        optional = {one.path for one in self.fields if self.optional(one.name)}
        given = {path: value for path, value in values.items() if value is not None or path in optional}
        try:
            self.apply(stored, given)
        except ValidationError as error:
            problems = {_path(problem["loc"]): _word(problem) for problem in error.errors()}
        else:
            return {}, ""
        return {one.name: problems[one.path] for one in self.fields if one.path in problems}, "together"

    def _kept(self, stored: Model) -> frozenset[str]:
        return frozenset(
            one.name
            for one in self.fields
            if isinstance(one, Secret) and self._value(stored, one) is not None
        )

    def _value(self, stored: Model, one: Field) -> Any:
        """Give the stored value; what isn't set up yet has what the model puts there by itself."""
        value: Any = stored
        for part in one.path.split("."):
            if value is None:
                about = self._about[one.name]
                return None if about.is_required() else about.get_default(call_default_factory=True)
            value = getattr(value, part)
        return value

    def _version(self, request: web.Request, stored: Model) -> str:
        values = {one.path: self._value(stored, one) for one in self.fields}
        text = orjson.dumps(
            values, default=lambda one: one.get_secret_value() if isinstance(one, SecretStr) else str(one)
        )
        return hmac.digest(request.config_dict[SERVICE].key_for("form versions"), text, "sha256").hex()[:32]


def saved(path: str) -> web.Response:
    """Go to the page that says that it is saved."""
    return web.Response(status=303, headers={"Location": f"{path}?{SAVED}=1"})


class _NotTaken(Exception):
    """The form is bad: nothing is stored."""


def _about(model: type[BaseModel], path: str) -> FieldInfo:
    *sections, name = path.split(".")
    for section in sections:
        annotation = model.model_fields[section].annotation
        kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not NoneType]
        model = kinds[0]
    return model.model_fields[name]


def _path(loc: tuple[int | str, ...]) -> str:
    return ".".join(part for part in loc if isinstance(part, str))  # a word of several counts as its field


def _word(problem: Any) -> str:
    kind, value = problem["type"], problem["input"]
    if kind == "missing" or value is None or value == "":
        return "empty"
    if kind in ("greater_than_equal", "less_than_equal"):
        return "range"
    if kind == "string_too_long":
        return "long"
    return "letters" if isinstance(value, SecretStr) else "bad"
