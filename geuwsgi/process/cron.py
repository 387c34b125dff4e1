"""When a cron is due: five numbers, as `uwsgi.add_cron` and `--cron` take them.

-1 stands for any value, -N for every value that N divides. Day and weekday are alternatives when both are given, as in crontab(5);
weekday 7 is Sunday, too.

Source: uWSGI's documentation, "The uWSGI cron-like interface".
"""

from __future__ import annotations

import time
from collections.abc import Sequence


def is_due(fields: Sequence[int], moment: time.struct_time) -> bool:
    """Whether a cron is due in a minute.

    Args:
        fields: minute, hour, day, month, weekday.
        moment: local time.
    """
    minute, hour, day, month, weekday = fields
    on_day = _fits(day, moment.tm_mday)
    on_weekday = _fits(0 if weekday == 7 else weekday, (moment.tm_wday + 1) % 7)
    either = day != -1 and weekday != -1
    return (
        _fits(minute, moment.tm_min)
        and _fits(hour, moment.tm_hour)
        and _fits(month, moment.tm_mon)
        and ((on_day or on_weekday) if either else (on_day and on_weekday))
    )


def _fits(field: int, value: int) -> bool:
    return field == -1 or (value % -field == 0 if field < 0 else value == field)
