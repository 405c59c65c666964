"""«Статистика»: what the calls of a period add up to, by day, hour, manager and line; also as files."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock
from zoneinfo import ZoneInfo

from aiohttp import web

from ari_app.calls import Direction, whole_seconds
from ari_app.store.missed_figures import MissedFigures, MissedStatistics, Remembered, missed_statistics
from ari_app.store.statistics import By, Figures, Statistics, StatisticsStore, days
from cabinet.frame.clients import SERVICE
from cabinet.frame.language import Speech, chosen
from cabinet.frame.people import names_of
from cabinet.frame.rendering import page, shown_number, text_of
from cabinet.frame.visits import Visit
from cabinet.pages.charts import Chart, chart, some
from cabinet.pages.spreadsheet import spreadsheet

PERIODS = {"today": 1, "7": 7, "30": 30, "90": 90}
"""Days up to today."""
USUAL = "30"
MOST_DAYS = 366
DAYS_ONE_BY_ONE = 92
"""More days than that are drawn a week a bar."""
TABLES = ("days", "hours", "managers", "lines")
_DIRECTIONS = {"": tuple(Direction), "in": (Direction.IN,), "out": (Direction.OUT,)}
_WEEK = 7
_LAST_DAY = date(2199, 12, 31)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for; `first` and `last` are shown as they were typed, `wrong` names what can't be."""

    period: str
    direction: str
    first: str
    last: str
    days: tuple[date, date] | None
    wrong: str = ""

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions of the calls that count."""
        return _DIRECTIONS[self.direction]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: a day, an hour, a manager or a number of the shop's. `key` may be empty."""

    key: str
    name: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class MissedRow:
    """The same of the customers who were missed."""

    key: str
    name: str
    figures: MissedFigures


REMEMBERED = web.AppKey("missed figures", Remembered)


def set_up(app: web.Application) -> None:
    """Remember what days that are over add up to."""
    app[REMEMBERED] = Remembered()


async def show(request: web.Request, visit: Visit) -> web.Response:
    """Show a period."""
    asked = read(request.query, datetime.fromtimestamp(time.time(), visit.zone).date())
    found = await _found(request, visit, asked)
    speech = chosen(request)
    days_ = _days(found, asked, speech)
    by_week = len(days_) > DAYS_ONE_BY_ONE
    days_ = _weeks(days_) if by_week else days_
    hours = _hours(found, asked)
    missed = await _missed(request, visit, asked)
    return page(
        request,
        "statistics.html",
        visit,
        asked=asked,
        total=sum((row.figures for row in days_), Figures()),
        days=days_,
        hours=hours,
        by_week=by_week,
        by_day=_by_day(days_),
        by_hour=chart([(row.name, row.figures) for row in hours], [str(hour) for hour in range(0, 25, 4)]),
        managers=await _managers(found, asked, visit),
        lines=_lines(found, asked),
        missed=missed.all,
        missed_by=await _missed_rows(missed, visit),
        complete=await _store(request, visit).complete(),
        zone=_zone_name(visit.zone),
    )


async def save(request: web.Request, visit: Visit) -> web.Response:
    """Give a table as a file."""
    asked = read(request.query, datetime.fromtimestamp(time.time(), visit.zone).date())
    table = request.query.get("table", "")
    if asked.days is None or table not in TABLES:
        raise web.HTTPBadRequest
    found = await _found(request, visit, asked)
    if table == "managers":
        rows = await _managers(found, asked, visit)
    elif table == "lines":
        rows = _lines(found, asked)
    else:
        rows = _days(found, asked, chosen(request)) if table == "days" else _hours(found, asked)
    heads = html.unescape(text_of(request, "parts/statistics_heads.html", visit, table=table)).split("\n")
    lines: list[list[str | int | None]] = [[head.strip() for head in heads if head.strip()]]
    lines += (_cells(row, table) for row in rows)
    first, last = asked.days
    return spreadsheet(f"statistics-{table}-{first}-{last}.csv", lines)


def read(query: Mapping[str, str], today: date) -> Asked:
    """Read what an address asks for; the last 30 days when it doesn't say."""
    direction = query.get("direction", "")
    direction = direction if direction in _DIRECTIONS else ""
    period = query.get("period", "")
    first, last = (query.get(name, "").strip()[:20] for name in ("from", "to"))
    if period in PERIODS or not (first or last):
        period = period if period in PERIODS else USUAL
        since = today - timedelta(days=PERIODS[period] - 1)
        return Asked(period, direction, since.isoformat(), today.isoformat(), (since, today))
    since_, until = _day(first), _day(last) if last else today
    wrong = ""
    if since_ is None:
        wrong = "from"
    elif until is None:
        wrong = "to"
    elif until < since_:
        wrong = "order"
    elif (until - since_).days >= MOST_DAYS:
        wrong = "long"
    span = (since_, until) if since_ and until and not wrong else None
    return Asked("own", direction, first, last or (today.isoformat() if not wrong else ""), span, wrong)


async def _found(request: web.Request, visit: Visit, asked: Asked) -> Statistics:
    if asked.days is None:
        return Statistics()
    return await _store(request, visit).read(*asked.days)


async def _missed(request: web.Request, visit: Visit, asked: Asked) -> MissedStatistics:
    """Add up the customers who were first missed in the period; none where only outgoing calls count."""
    if asked.days is None or Direction.IN not in asked.directions:
        return MissedStatistics()
    first, last = asked.days
    since, until = (
        datetime.combine(day, clock(), visit.zone).timestamp() for day in (first, last + timedelta(days=1))
    )
    remembered = request.config_dict[REMEMBERED]
    return await missed_statistics(visit.calls.missed, since, until, visit.zone, time.time(), remembered)


async def _missed_rows(missed: MissedStatistics, visit: Visit) -> dict[str, list[MissedRow]]:
    names = await names_of(visit)
    return {
        "managers": _most_missed(missed, By.MANAGER, lambda code: names.get(code, "")),
        "lines": _most_missed(missed, By.LINE, shown_number),
        "hours": [
            MissedRow(hour, f"{hour}:00–{hour}:59", figures)
            for hour, figures in sorted(missed.by[By.HOUR].items())
        ],
    }


def _most_missed(missed: MissedStatistics, by: By, name: Callable[[str], str]) -> list[MissedRow]:
    rows = (MissedRow(key, name(key), figures) for key, figures in missed.by[by].items())
    return sorted(rows, key=lambda row: (not row.key, -row.figures.missed, row.key))


def _store(request: web.Request, visit: Visit) -> StatisticsStore:
    return StatisticsStore(request.config_dict[SERVICE].redis, visit.account.id)


def _days(found: Statistics, asked: Asked, speech: Speech) -> list[Row]:
    if asked.days is None:
        return []
    year = asked.days[0].year != asked.days[1].year
    return [
        Row(
            day.isoformat(),
            speech.short_day(day, year),
            sum((found.days.get((way, day), Figures()) for way in asked.directions), Figures()),
        )
        for day in days(*asked.days)
    ]


def _hours(found: Statistics, asked: Asked) -> list[Row]:
    sums = _sums(found, asked, By.HOUR)
    hours = [f"{hour:02}" for hour in range(24)]
    return [Row(hour, f"{hour}:00–{hour}:59", sums.get(hour, Figures())) for hour in hours]


async def _managers(found: Statistics, asked: Asked, visit: Visit) -> list[Row]:
    names = await names_of(visit)
    return _busiest(
        Row(code, names.get(code, ""), figures) for code, figures in _sums(found, asked, By.MANAGER).items()
    )


def _lines(found: Statistics, asked: Asked) -> list[Row]:
    return _busiest(
        Row(line, shown_number(line), figures) for line, figures in _sums(found, asked, By.LINE).items()
    )


def _busiest(rows: Iterator[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (not row.key, -row.figures.calls, row.key))


def _sums(found: Statistics, asked: Asked, by: By) -> dict[str, Figures]:
    sums: dict[str, Figures] = {}
    for (way, kind, key), figures in found.by.items():
        if kind is by and way in asked.directions:
            sums[key] = sums.get(key, Figures()) + figures
    return sums


def _by_day(rows: list[Row]) -> Chart:
    labels = [row.name.partition(" – ")[0] for row in rows]
    return chart([(row.name, row.figures) for row in rows], some(labels))


def _weeks(rows: list[Row]) -> list[Row]:
    """Add up days to weeks that begin with the period's own first day."""
    weeks = (rows[start : start + _WEEK] for start in range(0, len(rows), _WEEK))
    return [
        Row(week[0].key, f"{week[0].name} – {week[-1].name}", sum((row.figures for row in week), Figures()))
        for week in weeks
    ]


def _cells(row: Row, table: str) -> list[str | int | None]:
    figures = row.figures
    named: list[str | int | None] = [row.key, row.name] if table == "managers" else [row.key]
    return [
        *named,
        *(figures.calls, figures.answered, figures.missed),
        *(_whole(figures.share, 100), _whole(figures.average_waiting), _whole(figures.average_talking)),
        whole_seconds(figures.talking),
    ]


def _whole(value: float | None, times: int = 1) -> int | None:
    return None if value is None else whole_seconds(value * times)


def _zone_name(zone: ZoneInfo) -> str:
    return zone.key.replace("_", " ")


def _day(text: str) -> date | None:
    try:
        return min(date.fromisoformat(text), _LAST_DAY)
    except ValueError:
        return None
