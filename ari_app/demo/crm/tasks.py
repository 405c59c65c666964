"""Tasks and notices of one account of the simulated retailCRM, and what we promise of them."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ari_app.demo.crm.rules import Fields, Filled, Phone, Told, Wrong, of_site, read_entity, read_query


def _minute(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", value):
        raise ValueError("expected the format Y-m-d H:i")
    datetime.strptime(value, "%Y-%m-%d %H:%M")
    return value


class ToldTask(Told):
    """`task` of POST tasks/create; `datetime` is when it is due, in the account's local time."""

    text: Annotated[Filled, Field(max_length=255)]
    commentary: str | None = None
    datetime: Annotated[str, AfterValidator(_minute)]
    performer_id: int
    performer_type: Literal["user"] | None = None
    phone: Phone | None = None
    phone_site: Filled | None = None
    complete: bool = False


class EditedTask(Told):
    """`task` of POST tasks/{id}/edit, as far as we change one."""

    complete: bool


class ToldNotification(Told):
    """`notification` of POST notifications/send."""

    type: Literal["api.info"]
    message: Filled
    user_ids: list[int] = Field(default=[])
    user_groups: list[Filled] = Field(default=[])

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if bool(self.user_ids) == bool(self.user_groups):
            raise ValueError("one of userIds, userGroups is required")
        return self


class TasksQuery(Told):
    """Query of GET tasks, with one of its filters."""

    limit: Literal["20", "50", "100"] = "20"
    page: Annotated[str, Field(pattern=r"^[1-9]\d*$")] = "1"
    text: str | None = Field(default=None, alias="filter[text]")


@dataclass(slots=True)
class Task:
    """A task as the CRM keeps it."""

    id: int
    told: ToldTask
    complete: bool = False


@dataclass(slots=True, eq=False)
class Desk:
    """What users of the account see that others have written for them."""

    tasks: list[Task] = field(default_factory=list)
    notices: list[ToldNotification] = field(default_factory=list)

    def create(self, form: Fields, users: Collection[int], sites: Collection[str]) -> dict[str, Any]:
        """Answer of POST tasks/create; raises `Wrong`."""
        told = of_site(form, "task", ToldTask, sites)
        if told.performer_id not in users:
            raise Wrong(400, "Errors in the entity format", {"performerId": "no such user"})
        if told.phone_site is not None and told.phone_site not in sites:
            raise Wrong(400, "Errors in the entity format", {"phoneSite": "no such site"})
        self.tasks.append(Task(len(self.tasks) + 1, told, told.complete))
        return {"success": True, "id": len(self.tasks)}

    def edit(self, ident: int, form: Fields, sites: Collection[str]) -> dict[str, Any]:
        """Answer of POST tasks/{id}/edit; raises `Wrong`."""
        edited = of_site(form, "task", EditedTask, sites)
        task = next((task for task in self.tasks if task.id == ident), None)
        if task is None:
            raise Wrong(404, "Not found")
        task.complete = edited.complete
        return {"success": True}

    def find(self, query: Fields) -> dict[str, Any]:
        """Answer of GET tasks; raises `Wrong`."""
        wanted = read_query(TasksQuery, query)
        found = [task for task in self.tasks if (wanted.text or "") in task.told.text]
        limit, page = int(wanted.limit), int(wanted.page)
        tasks = [
            {"id": task.id, "text": task.told.text, "complete": task.complete, "performer": 1}
            for task in found[(page - 1) * limit : page * limit]
        ]
        return {"success": True, "pagination": {"limit": limit, "currentPage": page}, "tasks": tasks}

    def notify(self, form: Fields, users: Collection[int]) -> dict[str, Any]:
        """Answer of POST notifications/send; raises `Wrong`."""
        told = read_entity(ToldNotification, form, "notification")
        if strangers := [user for user in told.user_ids if user not in users]:
            raise Wrong(400, "Errors in the entity format", {"userIds": f"no such users: {strangers}"})
        self.notices.append(told)
        return {"success": True}
