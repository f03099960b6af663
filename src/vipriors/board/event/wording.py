"""Days, hours and names as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time

from markupsafe import Markup

from vipriors.board.event.fields import zone_of

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def day(value: date) -> str:
    """`23 August 2020`: the same in every country, unlike figures alone."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def weekday(value: date) -> str:
    """`Sunday`."""
    names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    return names[value.weekday()]


def when(value: date, zone: str | None, utc: bool = True) -> Markup:
    """A day, or a day with an hour in a zone and, if wanted and the zone is another, in UTC."""
    if not isinstance(value, datetime):
        return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), day(value))
    assert zone is not None
    moment = value.replace(tzinfo=zone_of(zone))
    shown = Markup('<time datetime="{}">{}, {} {}</time>').format(
        moment.isoformat(timespec="minutes"), day(moment), f"{moment:%H:%M}", zone
    )
    if not utc or not moment.utcoffset():
        return shown
    there = moment.astimezone(UTC)
    other_day = f"{day(there)}, " if there.date() != moment.date() else ""
    return shown + Markup(' <span class="note">({}{} UTC)</span>').format(other_day, f"{there:%H:%M}")


def moment(value: datetime) -> Markup:
    """A moment, in UTC."""
    return when(value.astimezone(UTC).replace(tzinfo=None), "UTC")


def hour(clock: time, of: date, zone: str) -> Markup:
    """An hour of a day; its zone stands above, and in the attribute."""
    moment = datetime.combine(of, clock, zone_of(zone))
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="minutes"), f"{moment:%H:%M}"
    )


def in_utc(clock: time, of: date, zone: str) -> str | None:
    """An hour in UTC, with the day if it is another; None where the zone is at UTC on that day."""
    moment = datetime.combine(of, clock, zone_of(zone))
    if not moment.utcoffset():
        return None
    there = moment.astimezone(UTC)
    return f"{there:%H:%M} UTC" + (f" on {day(there)}" if there.date() != of else "")


def initials(name: str) -> str:
    """The first letters of the first and the last word: `JG` for Jan van Gemert."""
    letters = [next((letter for letter in word if letter.isalnum()), "") for word in name.split()]
    letters = [letter for letter in letters if letter] or ["?"]
    return "".join(letters if len(letters) < 2 else (letters[0], letters[-1])).upper()


def listed(items: Iterable[str]) -> Markup:
    """Names after one another; each stays together at the end of a line where it can."""
    return Markup(", ").join(Markup('<span class="name">{}</span>').format(item) for item in items)
