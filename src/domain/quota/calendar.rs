//! The days and months of quotas, in the time zone that the operator chose.

use chrono::{DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use entity::Timestamp;

use crate::store::usage::Period;

/// Where days and months begin.
#[derive(Clone, Copy, Debug)]
pub struct Calendar(pub Tz);

impl Calendar {
    /// The day and the month of a time.
    #[must_use]
    pub fn period(self, at: Timestamp) -> Period {
        let day = at.with_timezone(&self.0).date_naive();
        Period { day, month: first_of_month(day) }
    }

    #[must_use]
    pub fn end_of_day(self, period: Period) -> Timestamp {
        self.start_of(period.day + Days::new(1))
    }

    #[must_use]
    pub fn end_of_month(self, period: Period) -> Timestamp {
        self.start_of(period.month + Months::new(1))
    }

    /// The start of a day: midnight, or, where the clocks are put forward at midnight, the first quarter of an hour after it that
    /// exists in this zone.
    fn start_of(self, date: NaiveDate) -> Timestamp {
        let quarters =
            (0..96).map(|quarter| date.and_time(NaiveTime::MIN) + TimeDelta::minutes(15 * quarter));
        let starts = quarters.map(|local| match self.0.from_local_datetime(&local) {
            LocalResult::Single(start) | LocalResult::Ambiguous(start, _) => Some(start),
            LocalResult::None => None,
        });
        // A few time zones have skipped a whole day. No local time of that day exists, so midnight UTC stands for its start.
        starts
            .flatten()
            .next()
            .map_or_else(|| date.and_time(NaiveTime::MIN).and_utc(), |start| DateTime::to_utc(&start))
    }
}

fn first_of_month(date: NaiveDate) -> NaiveDate {
    date.with_day(1).unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The day of `time` in this zone, and when the day and the month end.
    fn day_and_ends(zone: Tz, time: &str) -> (String, String, String) {
        let calendar = Calendar(zone);
        let period = calendar.period(at(time));
        let text = |time: Timestamp| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        (period.day.to_string(), text(calendar.end_of_day(period)), text(calendar.end_of_month(period)))
    }

    fn expected(date: &str, end_of_day: &str, end_of_month: &str) -> (String, String, String) {
        (date.to_owned(), end_of_day.to_owned(), end_of_month.to_owned())
    }

    #[test]
    fn days_and_months_begin_at_local_midnight() {
        assert_eq!(
            day_and_ends(Tz::UTC, "2026-12-31T23:59:59Z"),
            expected("2026-12-31", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
        );
        assert_eq!(
            day_and_ends(Tz::Asia__Kolkata, "2026-11-30T18:29:59Z"),
            expected("2026-11-30", "2026-11-30T18:30:00Z", "2026-11-30T18:30:00Z")
        );
        assert_eq!(
            day_and_ends(Tz::America__Los_Angeles, "2026-11-01T06:59:59Z"),
            expected("2026-10-31", "2026-11-01T07:00:00Z", "2026-11-01T07:00:00Z")
        );
    }

    #[test]
    fn days_with_a_change_of_the_clocks_are_shorter_or_longer() {
        // New York, 2026-03-08: 23 hours; 2026-11-01: 25 hours.
        assert_eq!(day_and_ends(Tz::America__New_York, "2026-03-08T05:00:00Z").1, "2026-03-09T04:00:00Z");
        assert_eq!(day_and_ends(Tz::America__New_York, "2026-11-01T04:00:00Z").1, "2026-11-02T05:00:00Z");
        // Cairo puts its clocks forward at midnight: 2026-04-24 begins at 01:00, which is 22:00 UTC.
        assert_eq!(day_and_ends(Tz::Africa__Cairo, "2026-04-23T12:00:00Z").1, "2026-04-23T22:00:00Z");
    }
}
